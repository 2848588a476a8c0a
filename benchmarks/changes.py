"""What each change for speed was expected to bring, and what it brought.

    python benchmarks/changes.py        # each against what it replaced, in turns: ten minutes
    python benchmarks/changes.py --new  # only those that are not recorded yet

The expectations come from a profile or a prototype, before the change was made. Writes
docs/results/changes.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.recording import RESULTS, header, write  # noqa: E402
from benchmarks.step import PHASES, run_steps  # noqa: E402

# commit before, commit after, what changed, the phases it is about, their seconds expected (after
# over before)
CHANGES = (
    (
        "dac94c6",
        "c634210~1",
        "generation has its own forward pass: joined matrices, weights cast once, few rows in "
        "float32",
        ("propose", "solve"),
        0.6,
    ),
    (
        "c634210~1",
        "c634210",
        "micro-batches side by side on two cores, operations of a small model on one thread",
        ("update",),
        0.8,
    ),
    (
        "c634210",
        "42a7655",
        "attention of the learner as two plain products in bfloat16",
        ("update",),
        0.85,
    ),
    (
        "c4507c9",
        "5d410df",
        "nothing is kept for a gradient of entropies that nobody learns from; log-probabilities "
        "are picked, not copied by row",
        ("update",),
        0.9,
    ),
)


def checkout(stack: ExitStack, folder: Path, revision: str) -> Path:
    """A working tree of that revision, which the stack removes."""
    tree = folder / revision.replace("~", "-before-")
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
    stack.callback(subprocess.run, [*git, "remove", "--force", str(tree)], check=True)
    return tree


def measure(wanted: Sequence[tuple], num_steps: int, rounds: int) -> list[dict]:
    """For each change, the phase seconds of both versions in every round."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        trees = {}
        for revision in {name for change in wanted for name in change[:2]}:
            trees[revision] = checkout(stack, Path(folder), revision)
        for before, after, what, phases, expected in wanted:
            turns = []
            for _ in range(rounds):
                pair = {
                    name: summed(run_steps(trees[revision], num_steps))
                    for name, revision in (("before", before), ("after", after))
                }
                turns.append(pair)
                print(what, pair, flush=True)
            row = {"date": today(), "before": before, "after": after}
            row |= {"what": what, "phases": phases}
            rows.append(row | {"expected": expected, "turns": turns})
    return rows


def today() -> str:
    """The date, for rows that are measured later than the others."""
    return datetime.now(UTC).date().isoformat()


def summed(steps: list[dict[str, float]]) -> dict[str, float]:
    """Seconds of each phase over all steps."""
    return {phase: round(sum(step[f"time/{phase}"] for step in steps), 3) for phase in PHASES}


def ratio(change: dict, phases=None) -> float:
    """Median over the rounds: seconds after over seconds before, of these phases or its own."""
    phases = phases or change["phases"]
    sums = [
        {name: sum(turn[name][phase] for phase in phases) for name in ("before", "after")}
        for turn in change["turns"]
    ]
    return round(statistics.median(pair["after"] / pair["before"] for pair in sums), 2)


def table(record: dict) -> list[str]:
    """The lines of the table in docs/performance.md."""
    lines = [
        "| change | phases | expected | measured | whole step |",
        "|---|---|---|---|---|",
    ]
    for change in record["changes"]:
        phases = " and ".join(change["phases"])
        lines.append(
            f"| {change['what']} | {phases} | {change['expected']:.2f} | {ratio(change):.2f} | "
            f"{ratio(change, PHASES):.2f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "changes.json")
    parser.add_argument("--new", action="store_true", help="only what is not recorded yet")
    options = parser.parse_args()
    record, wanted = header("changes.py") | {"changes": []}, CHANGES
    if options.new:
        record = json.loads(options.out.read_text(encoding="utf-8"))
        known = {(change["before"], change["after"]) for change in record["changes"]}
        wanted = [change for change in CHANGES if change[:2] not in known]
    record["changes"] += measure(wanted, options.steps, options.rounds)
    print("\n".join(table(record)))
    write(options.out, record)


if __name__ == "__main__":
    main()
