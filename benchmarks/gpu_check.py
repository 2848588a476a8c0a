"""Everything that needs a GPU: one command, one table.

    python benchmarks/gpu_check.py                              # all rows, most important first
    python benchmarks/gpu_check.py --minutes 10                 # those that fit
    python benchmarks/gpu_check.py --rows gradients trl         # these
    python benchmarks/gpu_check.py --draw                       # docs/gpu.md from the record
    python benchmarks/gpu_check.py --tiny --out /tmp/tiny.json  # only whether the code runs

Each row runs in a process of its own and within a time limit, and the results are written after
each: a row that fails, or a command that is cut, loses nothing else. What was not measured says so.
Writes docs/results/gpu.json and docs/gpu.md. Rows that were measured before stay until they are
measured again.

On a bare Linux machine with a GPU, PyTorch and no network, wheels of what is missing there can
travel in a folder `.whl` beside the repository's files:

    python3 -m pip install -q --no-index --no-deps --no-compile --target /tmp/site .whl/*.whl &&
    export PYTHONPATH=/tmp/site && mkdir -p out &&
    timeout 540 python3 benchmarks/gpu_check.py --minutes 8.5 --out out/gpu.json
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.gpu.build import Sizes  # noqa: E402
from benchmarks.gpu.measure import card  # noqa: E402
from benchmarks.gpu.rows import (  # noqa: E402
    MARK,
    ROWS,
    Outcome,
    card_here,
    command_of,
    found_by,
    in_its_own_process,
    measured,
)
from benchmarks.gpu.shapes import estimate_again  # noqa: E402
from benchmarks.gpu.table import page, table  # noqa: E402
from benchmarks.recording import RESULTS, header, write  # noqa: E402

PAGE, RECORD = ROOT / "docs" / "gpu.md", RESULTS / "gpu.json"
BEFORE = RESULTS / "gpu_before.json"  # some rows of the first measurement


def load(path: Path) -> dict:
    """The record in a file, or one without rows."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"rows": {}}


def load_to_go_on(options) -> dict:
    """The record that the options name; ends with a sentence if its sizes are the other ones, so
    that no tiny number ever stands among measured ones.
    """
    record = load(options.out)
    if any(row["tiny"] != options.tiny for row in record["rows"].values()):
        kind = "real" if options.tiny else "tiny"
        sys.exit(f"{options.out} holds rows of {kind} sizes: name another --out")
    return record


def recorded(outcome: Outcome, tiny: bool, device: dict | None) -> dict:
    """A row as it is written: what it found, on what, when."""
    made = header("gpu_check.py") | {"device": device, "tiny": tiny}
    return made | {"reason": outcome.reason, "found": outcome.found}


def one_row(options) -> None:
    """The part of a row's own process: prints all that it has found after each piece."""
    device = options.device
    sizes = Sizes.small(device) if options.tiny else Sizes(device, new=options.new_tokens)
    for found in found_by(options.row, sizes):
        print(MARK + json.dumps(found), flush=True)


def measure(options, device: dict | None, stop: Callable[[], bool] = lambda: False) -> dict:
    """Runs the rows and writes the record after each; none is begun once `stop` says so."""
    record, where = load_to_go_on(options), "cuda" if device else "cpu"

    def run(name: str, limit: float) -> Outcome:
        if device is None and not options.tiny:
            return Outcome({}, "no CUDA GPU was found")
        return in_its_own_process(
            command_of(name, options.tiny, where, options.new_tokens), limit, stop
        )

    for name, outcome in measured(options.rows, run, options.minutes):
        if outcome is None:
            print(f"{name}: not begun, the time is up", flush=True)
            continue
        print(f"{name}: {outcome.reason or 'done'}", flush=True)
        if (device or options.tiny) and (outcome.found or not stop()):
            record["rows"][name] = recorded(outcome, options.tiny, device)
            write(options.out, record)
        if stop():
            break
    return record


def until_asked_to_end() -> Callable[[], bool]:
    """Whether Ctrl-C or `timeout` has asked this command to end, from now on."""
    asked = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.append(True))
    return lambda: bool(asked)


def parse(words: list[str] | None = None):
    """The options; tiny rows go nowhere near the recorded results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=[*ROWS], metavar="ROW")
    parser.add_argument("--minutes", type=float, help="begin no row and end all after so many")
    parser.add_argument("--out", type=Path, help="default: docs/results/gpu.json")
    parser.add_argument("--new-tokens", type=int, default=Sizes.new, help="of each completion")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, also without a GPU")
    parser.add_argument(
        "--draw", action="store_true", help="only estimate again and draw docs/gpu.md"
    )
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--card", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.out is None:
        scratch = Path(tempfile.gettempdir(), "azr-mini-gpu-tiny.json")
        options.out = scratch if options.tiny else RECORD
    if options.tiny and options.out.resolve() == RECORD:
        parser.error(f"--tiny measures nothing that belongs into {RECORD.name}: name another --out")
    return options


def main() -> None:
    options = parse()
    if options.row:
        return one_row(options)
    if options.card:
        return print(MARK + json.dumps({"card": card()}))
    if options.draw:
        record = load_to_go_on(options)
        for name, row in record["rows"].items():
            if name.startswith("shape-") and not row["tiny"]:
                row["found"] = estimate_again(row["found"])
        write(options.out, record)
    else:
        device = card_here()
        record = measure(options, device, until_asked_to_end())
    print(*(["TINY SIZES: no number here means anything"] if options.tiny else []), sep="\n")
    print(*table(record), sep="\n")
    if options.out.resolve() == RECORD:
        PAGE.write_text(page(record, load(BEFORE)), encoding="utf-8")
        print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
