"""Changes the definitions one at a time, in a copy of the repository, and shows which test notices.

    python benchmarks/mutants.py [--row 16 17] [--open]

benchmarks/mutants.toml lists the mutants: wrong variants of the twenty rows of docs/definitions.md
that are in use elsewhere. Each meets the tests that its row names, and only those. The results go
to docs/results/mutants.json, and docs/mutants.md is drawn from it. All rows take some minutes.

One process imports the heavy libraries once and forks for every mutant. It must not import
azr_mini before: a fork would keep the package as it is instead of reading the mutated copy.
"""

import argparse
import ast
import importlib
import json
import multiprocessing
import os
import platform
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "benchmarks/mutants.toml"
MEMORY = 16 << 30  # bytes of address space: a mutant may lose a bound
PRELOADED = (
    "pytest", "hypothesis", "numpy", "pandas", "torch", "torch._dynamo", "transformers", "peft",
    "transformers.models.llama.modeling_llama", "transformers.models.qwen2.modeling_qwen2",
    "transformers.models.qwen3.modeling_qwen3", "transformers.generation.utils",
)  # fmt: skip
SURVIVED, KILLED, TIMEOUT, CRASH = "survived", "killed", "timeout", "crash"


@dataclass(frozen=True)
class Edit:
    """A text that stands once in a file of the package, and what a mutant puts there."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A known wrong variant of a definition, in words and as edits."""

    row: str  # the number of a row, or the title of an item beside the table
    what: str
    edits: tuple[Edit, ...]


def load_mutants(path: Path = LIST) -> list[Mutant]:
    """The listed mutants, in the order of the rows."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))
    return [
        Mutant(row, mutant["what"], tuple(Edit(*edit) for edit in mutant["edits"]))
        for row, mutants in rows.items()
        for mutant in mutants
    ]


def tests_of_rows(root: Path = ROOT) -> dict[str, list[str]]:
    """The names of the tests that each row of the page, and each item beside the table, names."""
    page = (root / "docs/definitions.md").read_text(encoding="utf-8")
    table, _, beside = page.partition("\n## Beside the table")
    parts = re.findall(r"^### (\d+)\.(.*?)(?=^##|\Z)", table, flags=re.MULTILINE | re.DOTALL)
    parts += re.findall(r"^- \*\*(.*?)\.?\*\*(.*?)(?=^- |\Z)", beside, re.MULTILINE | re.DOTALL)
    return {row: re.findall(r"`(test_\w+)`", text) for row, text in parts}


def files_of_tests(root: Path = ROOT) -> dict[str, list[str]]:
    """The files that define each test function, relative to `root`."""
    found = defaultdict(list)
    for path in sorted(root.glob("tests/**/test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[node.name].append(str(path.relative_to(root)))
    return found


def node_ids(names: list[str]) -> list[str]:
    """What pytest calls these tests; KeyError for a name that no file defines."""
    files = {**files_of_tests()}
    return [f"{file}::{name}" for name in names for file in files[name]]


def make_copy(folder: Path, edits: tuple[Edit, ...] = ()) -> None:
    """Puts the package and its tests into an empty folder and edits them there."""
    for name in ("azr_mini", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "data").symlink_to(ROOT / "data")
    for edit in edits:
        text = (folder / edit.file).read_text(encoding="utf-8")
        assert text.count(edit.old) == 1, (edit.file, edit.old, text.count(edit.old))
        (folder / edit.file).write_text(text.replace(edit.old, edit.new), encoding="utf-8")


class _FirstFailure:
    """A pytest plugin that remembers the first test that failed."""

    name = ""

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed and not self.name:
            self.name = re.sub(r"\[.*", "", report.nodeid.partition("::")[2], flags=re.DOTALL)


def _test_in_child(folder: Path, ids: list[str], answer) -> None:
    import pytest

    assert "azr_mini" not in sys.modules, "a fork would not read the mutated copy"
    os.setsid()
    if sys.platform == "linux":  # elsewhere the kernel refuses this limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = str(folder)
    log = os.open("log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1), os.dup2(log, 2)
    first = _FirstFailure()
    options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", "--rootdir=."]
    code = pytest.main([*options, *ids], plugins=[first])
    answer.send((int(code), first.name))
    sys.stdout.flush()
    os._exit(0)  # no farewells of the libraries that the parent will need again


def run_tests(ids: list[str], edits: tuple[Edit, ...] = (), timeout: float = 300) -> dict:
    """What became of an edited copy: `outcome`, `killed_by` (a test's name) and `seconds`.

    RuntimeError, with pytest's words, if the tests could not be collected.
    """
    fork = multiprocessing.get_context("fork")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_copy(folder, edits)
        receiver, sender = fork.Pipe(duplex=False)
        child = fork.Process(target=_test_in_child, args=(folder, ids, sender))
        child.start()
        child.join(timeout)
        outcome, killed_by = CRASH, ""
        if child.is_alive():
            outcome = TIMEOUT
            os.killpg(child.pid, signal.SIGKILL)
            child.join()
        elif receiver.poll():
            code, killed_by = receiver.recv()
            if code not in (0, 1):
                raise RuntimeError((folder / "log").read_text(encoding="utf-8")[-3000:])
            outcome = KILLED if code else SURVIVED
    seconds = round(time.perf_counter() - began, 1)
    return {"outcome": outcome, "killed_by": killed_by, "seconds": seconds}


def judge(mutants: list[Mutant], timeout: float = 300) -> list[dict]:
    """One record for each mutant, printed as it comes."""
    tests, records = tests_of_rows(), []
    for mutant in mutants:
        names = tests[mutant.row]
        today = time.strftime("%Y-%m-%d", time.gmtime())
        record = {**asdict(mutant), "tests": names, "date": today}
        records.append(record | run_tests(node_ids(names), mutant.edits, timeout))
        end = records[-1]["killed_by"] or records[-1]["outcome"]
        print(f"{mutant.row:>9}  {mutant.what:<75} {end} {records[-1]['seconds']}", flush=True)
    return records


def page(record: dict) -> str:
    """docs/mutants.md, every word of its table and every number from the record."""
    mutants, versions = record["mutants"], record["versions"]
    killed = sum(mutant["outcome"] != SURVIVED for mutant in mutants)
    rows = "\n".join(f"| {m['row']} | {m['what']} | {_end(m)} |" for m in mutants)
    dates = sorted({mutant["date"] for mutant in mutants})
    used = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"""# Mutants: what would notice a changed definition

[`definitions.md`](definitions.md) is a contract; this page shows that it binds. Each line is a
wrong variant, seen in another implementation or easily made, that was put into a copy of the
package as a small edit. Only the tests that its row names were run on it; the first that failed
is named. The edits are in [`mutants.toml`](../benchmarks/mutants.toml). An edit that changes
nothing that anybody could observe is no variant and is not listed.

{killed} of {len(mutants)} were noticed, on {" and ".join(dates)}, by `{record["command"]}`
({used}).
The same tests pass on the package as it is.

| row | wrong variant | noticed by |
|---|---|---|
{rows}
"""


def _end(mutant: dict) -> str:
    return f"`{mutant['killed_by']}`" if mutant["killed_by"] else mutant["outcome"]


def software() -> dict[str, str]:
    """Versions of Python and of what decides the numbers."""
    names = ("torch", "transformers", "numpy", "hypothesis", "pytest")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def renewed(old: dict | None, records: list[dict]) -> dict:
    """The record of all listed mutants: these results, and old ones for mutants not run again."""
    record = {"command": "python benchmarks/mutants.py", "versions": software()}
    known = old["mutants"] if old and old["versions"] == record["versions"] else []
    found = {_key(mutant): mutant for mutant in known + records}
    listed = [_key(asdict(mutant)) for mutant in load_mutants()]
    return {**record, "mutants": [found[key] for key in listed if key in found]}


def _key(mutant: dict) -> str:
    return json.dumps([mutant["row"], mutant["what"], mutant["edits"]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--row", nargs="*", help="run only these rows and keep the other results")
    parser.add_argument("--open", action="store_true", help="only what no test has noticed yet")
    options = parser.parse_args()
    results = ROOT / "docs/results/mutants.json"
    old = json.loads(results.read_text(encoding="utf-8")) if results.exists() else None
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in PRELOADED:
        importlib.import_module(name)
    chosen = [m for m in load_mutants() if not options.row or m.row in options.row]
    if options.open:
        noticed = {_key(m) for m in renewed(old, [])["mutants"] if m["outcome"] != SURVIVED}
        chosen = [mutant for mutant in chosen if _key(asdict(mutant)) not in noticed]
    tests = tests_of_rows()
    unmutated = node_ids(sorted({name for m in chosen for name in tests[m.row]}))
    found = run_tests(unmutated, timeout=3600)
    if found["outcome"] != SURVIVED:
        raise SystemExit(f"the package as it is fails {found['killed_by'] or found['outcome']}")
    records = judge(chosen)
    survivors = [record["what"] for record in records if record["outcome"] == SURVIVED]
    print(f"{len(records) - len(survivors)} of {len(records)} killed", *survivors, sep="\n")
    record = renewed(old, records)
    results.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (ROOT / "docs/mutants.md").write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
