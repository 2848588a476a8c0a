"""A whole nano step against the sum of its parts, and against an earlier commit.

    python benchmarks/step.py                    # ten steps, a few minutes on two cores
    python benchmarks/step.py --before REVISION  # the same steps by an earlier commit, in turns
    python benchmarks/step.py --before REVISION --busy 1  # and few steps beside a busy loop

The parts of a step are its two generations, its executor calls and its update, each run again alone
with the weights and the inputs that it had: what is left is reading, rewarding and keeping. With
`--before` the two versions alternate, each in its own process. Writes docs/results/step.json.
"""

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.recording import RESULTS, header, write  # noqa: E402

PHASES = ("propose", "validate", "solve", "update")

# The steps of whatever version stands in the folder given; prints its phase times as JSON.
STEPS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from azr_mini.sandbox import Executor
from azr_mini.train import Config, TrainState, train
config = Config(num_steps=int(sys.argv[2]))
with Executor() as executor:
    for step in train(config, TrainState.create(config), executor):
        times = {key: value for key, value in step.metrics.items() if key.startswith("time/")}
        tokens = sum(len(rollout.completion_ids) for rollout in step.rollouts)
        print(json.dumps(times | {"tokens": tokens}), flush=True)
"""


class Calls:
    """Stands before a sampler or an executor and keeps what it was asked."""

    def __init__(self, target, method: str):
        self.target, self.method, self.kept = target, method, []

    def __getattr__(self, name):
        if name != self.method:
            return getattr(self.target, name)

        def call(first, **options):
            first = list(first)
            self.kept.append((first, options))
            return getattr(self.target, name)(first, **options)

        return call

    def again(self) -> None:
        """Asks everything once more and forgets it."""
        for first, options in self.kept:
            getattr(self.target, self.method)(first, **options)
        self.kept = []


def seconds(function, *arguments) -> float:
    """Wall seconds of one call."""
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def measure_parts(num_steps: int) -> list[dict[str, float]]:
    """For each step: its seconds, and those of its parts run again alone."""
    from azr_mini.learner import update
    from azr_mini.sampler import Sampler
    from azr_mini.sandbox import Executor
    from azr_mini.train import Config, TrainState, train

    config = Config(num_steps=num_steps)
    state = TrainState.create(config)
    rows = []
    with Executor() as executor:
        sampler, runner = Calls(Sampler(state.policy), "generate"), Calls(executor, "run")
        steps = train(config, state, runner, sampler=sampler)
        while state.step < num_steps:
            before = snapshot(state)
            began = time.perf_counter()
            step = next(steps)
            whole = time.perf_counter() - began
            after = snapshot(state)
            restore(state, *before)
            row = {
                "step": whole,
                "sampler": seconds(sampler.again),
                "executor": seconds(runner.again),
                "learner": seconds(update, state, step.rollouts, config),
            }
            restore(state, *after)
            rows.append({name: round(value, 4) for name, value in row.items()})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def snapshot(state) -> tuple[dict, dict]:
    """Copies of the weights and of the optimizer's state."""
    return copy.deepcopy((state.policy.model.state_dict(), state.optimizer.state_dict()))


def restore(state, weights: dict, moments: dict) -> None:
    """Puts weights and optimizer back to where they were."""
    state.policy.model.load_state_dict(weights)
    state.optimizer.load_state_dict(moments)


def run_steps(folder: Path, num_steps: int) -> list[dict[str, float]]:
    """The phase seconds of the steps of the version in a folder."""
    words = [sys.executable, "-c", STEPS, str(folder), str(num_steps)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(revision: str, num_steps: int, rounds: int) -> dict:
    """The steps of this version and of an earlier one in turns; ratios of whole runs."""
    with tempfile.TemporaryDirectory() as folder:
        earlier = Path(folder, "earlier")
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(earlier), revision], check=True)
        try:
            turns = []
            for _ in range(rounds):
                pair = {
                    "before": run_steps(earlier, num_steps),
                    "now": run_steps(ROOT, num_steps),
                }
                turns.append(pair)
                print({name: round(total(steps), 2) for name, steps in pair.items()}, flush=True)
        finally:
            subprocess.run([*git, "remove", "--force", str(earlier)], check=True)
    return {"revision": revision, "turns": turns}


def compare_busy(revision: str, num_steps: int, loops: int) -> dict:
    """A few steps of each version while other processes, `loops` of them, do nothing but count."""
    words = [sys.executable, "-c", "while True: pass"]
    burning = [subprocess.Popen(words) for _ in range(loops)]
    try:
        return compare(revision, num_steps, rounds=1) | {"loops": loops}
    finally:
        for process in burning:
            process.kill()
            process.wait()


def total(steps: list[dict[str, float]]) -> float:
    """Seconds of all phases of all steps."""
    return sum(step[f"time/{phase}"] for step in steps for phase in PHASES)


def ratios(record: dict) -> dict[str, float]:
    """What is claimed: a step over the sum of its parts, and this version over the earlier one."""
    parts = [
        row["step"] / (row["sampler"] + row["executor"] + row["learner"]) for row in record["parts"]
    ]
    found = {"step_over_sum_of_parts": round(statistics.median(parts), 3)}
    if "before" in record:
        turns = [total(turn["now"]) / total(turn["before"]) for turn in record["before"]["turns"]]
        found["now_over_before"] = round(statistics.median(turns), 3)
    if "busy" in record:
        (turn,) = record["busy"]["turns"]
        found["now_over_before_busy"] = round(total(turn["now"]) / total(turn["before"]), 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--before", metavar="REVISION", help="an earlier commit to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", type=int, metavar="LOOPS", help="busy loops beside a few steps")
    parser.add_argument("--out", type=Path, default=RESULTS / "step.json")
    options = parser.parse_args()
    record = header("step.py")
    record["parts"] = measure_parts(options.steps)
    if options.before:
        record["before"] = compare(options.before, options.steps, options.rounds)
    if options.before and options.busy:
        record["busy"] = compare_busy(options.before, 3, options.busy)
    record["ratios"] = ratios(record)
    print(record["ratios"])
    write(options.out, record)


if __name__ == "__main__":
    main()
