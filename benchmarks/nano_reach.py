"""What the nano model can be measured on: its held-out set, a second grammar, a few CruxEval rows.

    python benchmarks/nano_reach.py --draw                       # makes data/nano_ood.jsonl again
    python benchmarks/nano_reach.py --cruxeval cruxeval.jsonl.gz --run runs/nano-reach

Measures the shipped base and a run of the package, which is trained first if the folder is not
there. Writes docs/results/nano_reach.json and docs/nano_reach.md; 20 minutes or so on one CPU core.
"""

import argparse
import gzip
import json
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from azr_mini.environment import environment, hardware  # noqa: E402
from azr_mini.evaluate.heldout import evaluate, first_of_each_type, load_heldout_tasks  # noqa: E402
from azr_mini.evaluate.intervals import Interval  # noqa: E402
from azr_mini.evaluate.scores import Scores, gains  # noqa: E402
from azr_mini.nano.ood import write_ood  # noqa: E402
from azr_mini.nano.reach import reach, tasks_in_reach  # noqa: E402
from azr_mini.nano.second_grammar import is_combined  # noqa: E402
from azr_mini.policy import load_policy  # noqa: E402
from azr_mini.runs import Run  # noqa: E402
from azr_mini.sampler import Sampler  # noqa: E402
from azr_mini.sandbox import Executor  # noqa: E402
from azr_mini.tasks import Task, TaskType  # noqa: E402

RESULTS, PAGE = ROOT / "docs/results/nano_reach.json", ROOT / "docs/nano_reach.md"
TASKS, SAMPLES, STEPS = 300, 4, 40
HELDOUT, COMBINED, NEW, CRUXEVAL = "held-out", "combined", "new", "cruxeval"


def read_rows(path: Path) -> list[dict]:
    """The rows of CruxEval."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def sets(rows: list[dict]) -> dict[str, list[Task]]:
    """The tasks of each set that is measured."""
    ood = load_heldout_tasks(name="ood")
    return {
        HELDOUT: first_of_each_type(load_heldout_tasks(), TASKS),
        COMBINED: [task for task in ood if is_combined(task.program)],
        NEW: [task for task in ood if not is_combined(task.program)],
        CRUXEVAL: tasks_in_reach(rows),
    }


def measure(model: str, chosen: dict[str, list[Task]], executor: Executor) -> dict[str, Scores]:
    """The scores of a model on every set, at temperature 1."""
    policy = load_policy(model)
    found = {}
    for name, tasks in chosen.items():
        scores = evaluate(policy, Sampler(policy), executor, tasks, samples=SAMPLES)
        found[name] = scores
        by_type = ((t.value, scores.accuracy(t).estimate) for t in scores.attempts)
        shown = "  ".join(f"{type} {accuracy:.1%}" for type, accuracy in by_type)
        print(f"{model:<32} {name:<10} {shown}", flush=True)
    return found


def _row(scores, type: TaskType) -> dict:
    correct = scores.attempts[type].correct
    found = {"accuracy": scores.accuracy(type), f"pass@{SAMPLES}": scores.pass_at(SAMPLES, type)}
    return {"tasks": len(correct), **{name: _ends(interval) for name, interval in found.items()}}


def _ends(interval: Interval) -> list[float]:
    return [round(x, 6) for x in (interval.estimate, interval.low, interval.high)]


def rows_of(scores: dict[str, Scores]) -> dict:
    """By set and task type: tasks, accuracy and pass@4, each with its interval."""
    return {name: {t.value: _row(s, t) for t in s.attempts} for name, s in scores.items()}


def paired_gains(before: dict[str, Scores], after: dict[str, Scores]) -> dict:
    """By set and task type: the gain on the same tasks with its paired interval."""
    return {
        name: {gain.name: _ends(gain.gain) for gain in gains(s.to_json(), after[name].to_json())}
        for name, s in before.items()
    }


def train(folder: Path) -> str:
    """Trains a run with seed 0 unless it is there; returns its command."""
    words = ["-m", "azr_mini", "train", "--run", str(folder), "--seed", "0", "--threads", "1"]
    words += ["--num-steps", str(STEPS), "--heldout-tasks", "0"]
    if not (folder / "config.json").exists():
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True)
    return shlex.join(["python", *words])


# ---- the page ------------------------------------------------------------------------------------


def page(record: dict) -> str:
    """docs/nano_reach.md, every number from the record."""
    counts, trained, machine = record["cruxeval"]["counts"], record["trained"], record["hardware"]
    both, rows, samples = counts["both"], counts["rows"], record["samples"]
    return f"""# What the nano model can be measured on

Drawn by `python benchmarks/nano_reach.py` from
[`results/nano_reach.json`](results/nano_reach.json).

| benchmark | does it mean anything for nano? |
|---|---|
| held-out set (`heldout`) | yes: the grammar of its pre-training, programs that no training saw |
| second grammar (`ood`) | yes: statements that nothing of its pre-training contained |
| CruxEval-I, CruxEval-O | no: {both} of {rows} rows are in its reach, too few for a number |
| LiveCodeBench-Execution | no: programs of another size and kind |
| HumanEval+, MBPP+, LiveCodeBench v5 | no: it reads no English |
| AIME'24, AIME'25, AMC'23, MATH500, Minerva, OlympiadBench | no: nor any formula |

The commands run all of them on nano as well, so that every path can be tried on a CPU. Their scores
for nano are tests of the code, not of the model.

## The second grammar

`data/nano_ood.jsonl` holds 300 tasks of each type, made by
`python benchmarks/nano_reach.py --draw`; every output comes from the executor. Every program has a
statement that the first grammar cannot write; a test compares both grammars statement by statement.

- **combined**: operations and statements that the first grammar has, put together in ways that it
  never does: two operations in one expression (`a * 2 + 1`, `sorted(a)[-1]`, `max(a) - min(a)`), a
  branch inside a branch, two statements in a branch, a loop that fills a list or a string.
- **new**: at least one of `+=`, `**`, a conditional expression, `while`, `and`, `not`, `break`,
  `enumerate`, `any` over a generator, `[::2]`, `.count()`, `.replace()`, `.capitalize()`,
  `.startswith()`, `.split()`.

## CruxEval rows in reach

A row is in reach if its program uses only operations and statements of the first grammar, nested in
any way ({counts["program"]} of {rows} rows), and its argument and output are literals as small
as those of the grammar, whole numbers to 99, five items, eight characters
({counts["values"]} rows). Both hold for {both} rows (`reach` in `azr_mini/nano/reach.py`).

## Measured

Accuracy in percent at temperature 1, {samples} samples a task, with 95 % bootstrap intervals over
tasks. After self-play: the {trained["steps"]} steps of
`{trained["command"]}`.

| set | type | tasks | base | after | paired gain | base, pass@{samples} | after, pass@{samples} |
|---|---|---|---|---|---|---|---|
{chr(10).join(table(record))}

{said(record)}

Measured on {record["date"][:10]}, {machine["cores"]} cores, {machine["cpu"]}.
"""


def said(record: dict) -> str:
    """Which gains are more than chance, in words."""
    moved, still = [], []
    for name in (HELDOUT, COMBINED, NEW):
        for type in TaskType:
            estimate, low, high = record["gains"][name][type.value]
            words = f"{name} {type.value} ({100 * estimate:+.1f})"
            (moved if low > 0 or high < 0 else still).append(words)
    return f"""Gains in points whose interval leaves out 0: {", ".join(moved)}.

The others, where these tasks and this one run do not tell: {", ".join(still)}."""


def table(record: dict) -> list[str]:
    """The rows of the table of accuracies."""
    lines = []
    for name, by_type in record["models"]["base"].items():
        for type, before in by_type.items():
            after = record["models"]["trained"][name][type]
            key = f"pass@{record['samples']}"
            gain = record["gains"][name][type]
            cells = [before["accuracy"], after["accuracy"], gain, before[key], after[key]]
            lines.append(
                f"| {name} | {type} | {before['tasks']} | " + " | ".join(map(_cell, cells)) + " |"
            )
    return lines  # fmt: skip


def _cell(interval: list[float]) -> str:
    estimate, low, high = (100 * number for number in interval)
    return f"{estimate:.1f} ({low:.1f} to {high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draw", action="store_true", help="make the set of the second grammar")
    parser.add_argument("--cruxeval", type=Path, help="the file of CruxEval's rows")
    parser.add_argument(
        "--run", type=Path, default=Path("runs/nano-reach"), help="a run to measure"
    )
    options = parser.parse_args()
    if options.draw:
        with Executor() as executor:
            print(write_ood(ROOT / "data/nano_ood.jsonl", executor))
        return
    if options.cruxeval is None:
        parser.error("name the file of CruxEval's rows with --cruxeval")
    began, rows = time.time(), read_rows(options.cruxeval)
    found = [reach(row) for row in rows]
    command = train(options.run)
    run = Run.open(ROOT / options.run)
    if run.step != STEPS:
        raise SystemExit(f"{run.folder} has {run.step} steps, not {STEPS}: train it to the end")
    chosen = sets(rows)
    with Executor() as executor:
        base = measure("nano", chosen, executor)
        trained = measure(str(run.checkpoint_folder), chosen, executor)
    record = {
        "command": "python benchmarks/nano_reach.py --cruxeval FILE",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(),
        "seconds": round(time.time() - began),
        "environment": environment(load_policy("nano")),
        "samples": SAMPLES,
        "cruxeval": {
            "counts": {
                "rows": len(rows),
                "program": sum(r.program for r in found),
                "values": sum(r.values for r in found),
                "both": sum(map(bool, found)),
            }
        },
        "trained": {"command": command, "steps": run.step},
        "models": {"base": rows_of(base), "trained": rows_of(trained)},
        "gains": paired_gains(base, trained),
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
