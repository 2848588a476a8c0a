"""What each change for speed was expected to bring, and what it brought.

    python benchmarks/changes.py    # each against what it replaced, in turns: ten minutes

The expectations come from a profile or a prototype, before the change was made. Writes
docs/results/changes.json.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
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
)


def checkout(stack: ExitStack, folder: Path, revision: str) -> Path:
    """A working tree of that revision, which the stack removes."""
    tree = folder / revision.replace("~", "-before-")
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
    stack.callback(subprocess.run, [*git, "remove", "--force", str(tree)], check=True)
    return tree


def measure(num_steps: int, rounds: int) -> list[dict]:
    """For each change, the phase seconds of both versions in every round."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        trees = {}
        for revision in {name for change in CHANGES for name in change[:2]}:
            trees[revision] = checkout(stack, Path(folder), revision)
        for before, after, what, phases, expected in CHANGES:
            turns = []
            for _ in range(rounds):
                pair = {
                    name: summed(run_steps(trees[revision], num_steps))
                    for name, revision in (("before", before), ("after", after))
                }
                turns.append(pair)
                print(what, pair, flush=True)
            row = {"before": before, "after": after, "what": what, "phases": phases}
            rows.append(row | {"expected": expected, "turns": turns})
    return rows


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
    options = parser.parse_args()
    record = header("changes.py")
    record["changes"] = measure(options.steps, options.rounds)
    print("\n".join(table(record)))
    write(options.out, record)


if __name__ == "__main__":
    main()
