"""Runs the notebooks from top to bottom and stores their outputs.

    python benchmarks/run_notebooks.py             # all, in full; the outputs are stored
    python benchmarks/run_notebooks.py 03 04       # some
    python benchmarks/run_notebooks.py --smoke     # as short as possible; nothing is stored

Each runs in a kernel of its own, in the folder that holds it. A full run writes the minutes that it
took into the notebook's first cell and into docs/results/notebooks.json. What differs from machine
to machine (times of cells, state of widgets, the kernel's name) is not stored.
"""

import argparse
import json
import math
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.recording import RESULTS, header, write  # noqa: E402

NOTEBOOKS = ROOT / "notebooks"
RECORD = RESULTS / "notebooks.json"
WIDGET = "application/vnd.jupyter.widget-view+json"
TIME = re.compile(r"(?<=\*\*Time on CPU:\*\* )[^\n·]*")


def paths(numbers: list[str]) -> list[Path]:
    """The notebooks and solutions with these numbers, all if there are none."""
    found = sorted(NOTEBOOKS.glob("[0-9]*.ipynb")) + sorted(NOTEBOOKS.glob("solutions/*.ipynb"))
    return [path for path in found if not numbers or path.name[:2] in numbers]


def execute(path: Path, *, smoke: bool, timeout: int = 1800) -> tuple[nbformat.NotebookNode, float]:
    """The executed notebook and its seconds; CellExecutionError shows the cell that failed."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,
        record_timing=False,
    )
    env = {**os.environ, "SMOKE": "1" if smoke else "0", "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    client.execute(env=env)
    return notebook, time.perf_counter() - began


def normalize(notebook: nbformat.NotebookNode) -> None:
    """Takes out what differs between machines, in place."""
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata.pop("widgets", None)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
        for output in cell.get("outputs", []):
            if output.get("data", {}).pop(WIDGET, None):
                output["data"]["text/plain"] = "(a widget: it needs a running kernel)"
            output.get("metadata", {}).pop(WIDGET, None)


def say_minutes(notebook: nbformat.NotebookNode, seconds: float) -> None:
    """Writes the measured time into the first cell."""
    first = notebook.cells[0]
    first.source = TIME.sub(f"{minutes(seconds)} on two cores ", first.source)


def minutes(seconds: float) -> str:
    """A measured time, rounded up."""
    whole = max(1, math.ceil(seconds / 60))
    return f"{whole} minute{'s' if whole > 1 else ''}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", metavar="NN", help="such as 03; none means all")
    parser.add_argument("--smoke", action="store_true", help="as short as possible, store nothing")
    options = parser.parse_args()
    failed = 0
    for path in paths(options.numbers):
        name = str(path.relative_to(NOTEBOOKS))
        try:
            notebook, seconds = execute(path, smoke=options.smoke)
        except CellExecutionError as error:
            failed += 1
            print(f"{name} FAILED\n{error}", flush=True)
            continue
        print(f"{name} {seconds:.0f} s", flush=True)
        if not options.smoke:
            say_minutes(notebook, seconds)
            normalize(notebook)
            nbformat.write(notebook, path)
            record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
            record[name] = header("run_notebooks.py") | {"seconds": round(seconds, 1)}
            write(RECORD, dict(sorted(record.items())))
    return failed


if __name__ == "__main__":
    sys.exit(main())
