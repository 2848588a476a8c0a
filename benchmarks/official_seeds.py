"""Triples that real models proposed, through our validator and grader.

    AZR_DATA=folder python benchmarks/official_seeds.py      # the folder holds official_seeds/

The data are seed tasks of the official AZR repository (LeapLabTHU/Absolute-Zero-Reasoner, `data/`,
MIT), 256 rows a file, with outputs from its executor. Each row becomes the task it stands for; our
output is compared with the stored one, and the stored output, the stored input and the program are
graded as answers. Where we differ, a rule says why from the row alone. Writes
docs/results/official_seeds.json and the page docs/official_seeds.md.
"""

import argparse
import ast
import gzip
import json
import math
import os
import platform
import re
import shlex
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from azr_mini.environment import hardware  # noqa: E402
from azr_mini.prompts import Proposal  # noqa: E402
from azr_mini.sandbox import Executor, Job, Result  # noqa: E402
from azr_mini.tasks import Task, TaskType  # noqa: E402
from azr_mini.validate import Rejection, grade, validate  # noqa: E402
from azr_mini.values import canonical_value_text, parse_value  # noqa: E402

TRIPLES = ("3b_coder_seed_io", "7b_seed_io")  # a program, an input, an output
PAIRS = ("3b_coder_code_f_seed_io", "7b_code_f_seed_io")  # a program, ten pairs, a message
SHORT = 40  # characters of a stored or computed text that may be shown
CUT = re.compile(r"(?s).{200}\.\.\..{200}")  # how the official executor shortens an output
CUT_AT_400 = "stored output was cut at 400 characters"
SAME = "same value, spelled differently"
DIGITS = "last digits: sum() adds floats otherwise since Python 3.12"
OTHER = "other"


@dataclass(frozen=True)
class Pair:
    """One stored run beside ours: `output` is our canonical text, None where `status` says why."""

    program: str
    input: str
    stored: str
    output: str | None
    status: str = "ok"
    detail: str = ""


def rows_of(folder: Path, name: str) -> list[dict]:
    """The rows of one file, in order."""
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


# ---- why we differ ------------------------------------------------------------------------------


def cause(pair: Pair) -> str | None:
    """The rule that explains a difference, from the pair alone; None if the texts are the same."""
    if pair.output is None:
        return REFUSALS.get(pair.status, lambda pair: OTHER)(pair)
    if pair.output == pair.stored:
        return None
    if pair.stored == "":
        return "stored output is empty"
    if CUT.fullmatch(pair.stored):
        return CUT_AT_400 if _ends_agree(pair) else OTHER
    try:
        if canonical_value_text(pair.stored) == pair.output:
            return SAME
        return DIGITS if _nearly(parse_value(pair.stored), parse_value(pair.output)) else OTHER
    except ValueError:
        return OTHER


def _nearly(a: object, b: object) -> bool:
    """Whether two values differ in the last digits of floats only."""
    if type(a) is type(b) is float:
        return math.isclose(a, b, rel_tol=1e-12)
    if type(a) is type(b) and isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_nearly, a, b))
    return type(a) is type(b) and a == b


def _ends_agree(pair: Pair) -> bool:
    """Whether a cut text has the ends of ours, or ours holds a dict, whose order we do not keep."""
    text = repr(parse_value(pair.output))
    return pair.stored == f"{text[:200]}...{text[-200:]}" or "{" in text


def _bad_input(pair: Pair) -> str:
    try:
        call = ast.parse(f"f({pair.input}\n)", mode="eval").body
    except (SyntaxError, ValueError):
        return "input is not the arguments of one call"
    if call.keywords:
        return "input names its arguments"
    if any(isinstance(node, ast.Name) and node.id == "f" for node in map(_called, call.args)):
        return "input is the whole call of f"
    if "plain value" in pair.detail or "finite" in pair.detail:
        return "input is not a plain value (inf, complex, ellipsis)"
    return "input is an expression, not literals"


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _bad_output(pair: Pair) -> str:
    if pair.detail == "None":
        prints = "print(" in pair.program
        return "prints instead of returning" if prints else "returns None"
    if pair.detail.endswith("is not a plain value"):
        return "output is not a plain value (generator, Counter, deque, ...)"
    if pair.detail.endswith("is not finite"):
        return "output holds inf or nan"
    if pair.detail.startswith("text longer"):
        return "output is longer than 20,000 characters"
    return OTHER


REFUSALS = {
    "input": _bad_input,
    "output": _bad_output,
    "unsafe": lambda pair: "static check: " + re.sub(r"\.\w+", "", pair.detail),
    "error": lambda pair: "program raises an exception",
    "timeout": lambda pair: "needs longer than the limit",
    "nondeterministic": lambda pair: "not deterministic: two runs disagree",
    "too_long": lambda pair: "message is longer than 1,000 characters",
    "leak": lambda pair: "message contains the program",
}


# ---- a file through validator and grader --------------------------------------------------------


def measure_triples(rows: list[dict], executor: Executor) -> dict:
    """Each row as a deduction and as an abduction task."""
    checked, verdicts = {}, {}
    for type, field in ((TaskType.DEDUCTION, "output"), (TaskType.ABDUCTION, "input")):
        proposals = [Proposal(type, row["snippet"], (row["input"],)) for row in rows]
        checked[type] = validate(proposals, executor)
        valid = [i for i, task in enumerate(checked[type]) if isinstance(task, Task)]
        answers = [rows[i][field] for i in valid]
        found = grade([checked[type][i] for i in valid], answers, executor)
        verdicts[type] = dict(zip(valid, (verdict.status for verdict in found), strict=True))
    listed = []
    for i, (row, ours) in enumerate(zip(rows, checked[TaskType.DEDUCTION], strict=True)):
        pair = Pair(row["snippet"], row["input"], row["output"], *_outcome(ours))
        listed += _listed(i, [pair], [1])
        same = _outcome(checked[TaskType.ABDUCTION][i]) == _outcome(ours)
        assert same, (i + 1, ours, checked[TaskType.ABDUCTION][i])
    return {
        "valid": dict(Counter(_name(ours) for ours in checked[TaskType.DEDUCTION])),
        "stored output as deduction answer": _count(verdicts[TaskType.DEDUCTION]),
        "stored input as abduction answer": _count(verdicts[TaskType.ABDUCTION]),
        "pairs": len(rows),
        "not correct": _not_correct(verdicts),
        "differences": listed,
    }


def measure_pairs(rows: list[dict], executor: Executor) -> dict:
    """Each row as an induction task, each of its pairs as a run, its program as the answer."""
    proposals = [
        Proposal(TaskType.INDUCTION, row["snippet"], tuple(row["inputs"]), row["message"])
        for row in rows
    ]
    checked = validate(proposals, executor)
    valid = [i for i, task in enumerate(checked) if isinstance(task, Task)]
    found = grade([checked[i] for i in valid], [rows[i]["snippet"] for i in valid], executor)
    verdicts = dict(zip(valid, (verdict.status for verdict in found), strict=True))
    listed = []
    for i, (row, ours, pairs) in enumerate(
        zip(rows, checked, _runs_of_pairs(rows, executor), strict=True)
    ):
        listed += _listed(i, pairs, range(1, len(pairs) + 1))
        if isinstance(ours, Rejection) and ours.name in ("too_long", "leak", "message"):
            pair = Pair(row["snippet"], "", "", None, ours.name, ours.detail)
            listed += _listed(i, [pair], ["message"])
    return {
        "valid": dict(Counter(map(_name, checked))),
        "program as induction answer": _count(verdicts),
        "pairs": sum(len(row["inputs"]) for row in rows),
        "not correct": _not_correct({TaskType.INDUCTION: verdicts}),
        "differences": listed,
    }


def _runs_of_pairs(rows: list[dict], executor: Executor) -> list[list[Pair]]:
    """Every pair of each row; those that failed together with others are run once more, alone."""
    together = executor.run([Job(row["snippet"], row["inputs"]) for row in rows])
    places = [
        (i, k)
        for i, run in enumerate(together)
        for k, text in enumerate(run.outputs)
        if text is None
    ]
    alone = executor.run([Job(rows[i]["snippet"], [rows[i]["inputs"][k]]) for i, k in places])
    again: dict[tuple[int, int], Result] = dict(zip(places, alone, strict=True))
    answer = []
    for i, (row, run) in enumerate(zip(rows, together, strict=True)):
        pairs = []
        for k, text in enumerate(run.outputs):
            said = (text,) if text is not None else _said(again[i, k])
            pairs.append(Pair(row["snippet"], row["inputs"][k], row["outputs"][k], *said))
        answer.append(pairs)
    return answer


def _said(alone: Result) -> tuple[str | None, str, str]:
    if alone.status == "ok":
        return None, "nondeterministic", "depends on the calls before"
    return None, alone.status, alone.detail


def _outcome(checked: Task | Rejection) -> tuple[str | None, str, str]:
    if isinstance(checked, Task):
        return checked.outputs[0], "ok", ""
    return None, checked.name, checked.detail


def _name(checked: Task | Rejection) -> str:
    return "valid" if isinstance(checked, Task) else checked.name


def _count(verdicts: dict[int, str]) -> dict[str, int]:
    return dict(Counter(verdicts.values()))


def _not_correct(verdicts: dict[TaskType, dict[int, str]]) -> list[list]:
    return [
        [type.value, i + 1, status]
        for type, found in verdicts.items()
        for i, status in found.items()
        if status != "correct"
    ]


def _listed(row: int, pairs: list[Pair], names) -> list[dict]:
    """One entry for each cause in a row, with the pairs it explains and the first of them."""
    by_cause: dict[str, list] = {}
    for name, pair in zip(names, pairs, strict=True):
        why = cause(pair)
        if why is not None:
            by_cause.setdefault(why, []).append((name, pair))
    return [
        {
            "row": row + 1,
            "pairs": [name for name, _ in found],
            "stored": short(found[0][1].stored),
            "ours": short(found[0][1].output or _said_no(found[0][1])),
            "cause": why,
        }
        for why, found in by_cause.items()
    ]


def _said_no(pair: Pair) -> str:
    return f"{pair.status}: {pair.detail}"


def short(text: str) -> str:
    """At most SHORT characters of a text, on one printable line."""
    line = text[: SHORT + 1].encode("unicode_escape").decode("ascii")
    return line if len(line) <= SHORT else line[: SHORT - 3] + "..."


def measure(folder: Path) -> dict:
    """The record of every file, by name."""
    # One program takes most of the usual half second: its verdict would depend on the machine.
    with Executor(cpu_seconds=2.0) as executor:
        files = {name: measure_triples(rows_of(folder, name), executor) for name in TRIPLES}
        files |= {name: measure_pairs(rows_of(folder, name), executor) for name in PAIRS}
    return files


# ---- the page -----------------------------------------------------------------------------------


def causes(files: dict) -> Counter:
    """How many pairs each cause explains, messages counting one."""
    counts = Counter()
    for record in files.values():
        for entry in record["differences"]:
            counts[entry["cause"]] += len(entry["pairs"])
    return counts


def page(record: dict) -> str:
    """docs/official_seeds.md, every number from the record."""
    files = record["files"]
    counts = causes(files)
    total = sum(found["pairs"] for found in files.values())
    summary = [
        f"| {name} | {found['pairs']} | {_agreeing(found)} | {found['valid'].get('valid', 0)} "
        f"| {_words(found['valid'], 'valid')} |"
        for name, found in files.items()
    ]
    graded = [
        f"| {name} | {what} | {_words(found[what])} |"
        for name, found in files.items()
        for what in found
        if what.endswith("answer")
    ]
    listed = [
        f"| {name}:{entry['row']} | {_pairs(entry['pairs'])} | {_code(entry['stored'])} "
        f"| {_code(entry['ours'])} | {entry['cause']} |"
        for name, found in files.items()
        for entry in found["differences"]
        if entry["cause"] != SAME
    ]
    return "\n".join(
        [
            "# Triples of real models",
            "",
            "The seed tasks of the official repository (LeapLabTHU/Absolute-Zero-Reasoner,",
            f"`data/`, MIT): 256 rows a file, {total:,} stored runs, put whole through our",
            f"validator and grader. Drawn by `{record['command']}` from",
            "[`results/official_seeds.json`](results/official_seeds.json).",
            "",
            "| file | stored runs | our output is the same value | valid rows | rejected rows |",
            "|---|---|---|---|---|",
            *summary,
            "",
            "Every valid row was graded with what is stored as the answer:",
            "",
            "| file | answer | verdicts |",
            "|---|---|---|",
            *graded,
            "",
            "Why a stored run differs from ours or is refused. Each cause is found by a rule from",
            "the row alone:",
            "",
            "| cause | runs |",
            "|---|---|",
            *(f"| {why} | {count} |" for why, count in counts.most_common()),
            "",
            "Row by row, values shortened; rows whose value is the same are left out.",
            "",
            "| row | pairs | stored | ours | cause |",
            "|---|---|---|---|---|",
            *listed,
            "",
        ]
    )


def _agreeing(found: dict) -> int:
    differ = [entry for entry in found["differences"] if entry["cause"] != SAME]
    return found["pairs"] - len(
        {(e["row"], k) for e in differ for k in e["pairs"] if k != "message"}
    )


def _words(counts: dict[str, int], leave_out: str = "") -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if name != leave_out)


def _pairs(names: list) -> str:
    return ", ".join(map(str, names))


def _code(text: str) -> str:
    return f"`` {text} ``".replace("|", "\\|") if text else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("AZR_DATA"), help="default: AZR_DATA"
    )
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the folder that holds official_seeds/ with --data or AZR_DATA")
    began = time.time()
    files = measure(options.data / "official_seeds")
    record = {
        "command": shlex.join(["python", "benchmarks/official_seeds.py"]),
        "date": time.strftime("%Y-%m-%d", time.gmtime(began)),
        "seconds": round(time.time() - began, 1),
        "hardware": hardware(),
        "python": platform.python_version(),
        "files": files,
    }
    (ROOT / "docs/results/official_seeds.json").write_text(json.dumps(record, indent=1) + "\n")
    (ROOT / "docs/official_seeds.md").write_text(page(record), encoding="utf-8")
    for name, found in files.items():
        print(f"{name:24} {found['pairs']:5} runs, {_agreeing(found):5} the same value")
    for why, count in causes(files).most_common():
        print(f"{count:5}  {why}")


if __name__ == "__main__":
    main()
