"""Did self-play learn or only sharpen, and does one task type teach the others? For notebook 08.

    python benchmarks/sharpening.py                    # every part, about an hour and a half
    python benchmarks/sharpening.py --parts base six-0 # some of them, added to the record so far

`base` and `six-0` to `six-2` write many samples at the same held-out tasks, before and after the
runs that `record_runs.py` made in runs/recorded/ (or in --runs). `only-...` trains with rewards
from one task type alone: all other advantages are 0. Writes data/sharpening.json.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from azr_mini.config import Config  # noqa: E402
from azr_mini.cores import share_cores  # noqa: E402
from azr_mini.evaluate.heldout import (  # noqa: E402
    evaluate,
    first_of_each_type,
    load_heldout_tasks,
)
from azr_mini.evaluate.scores import Scores  # noqa: E402
from azr_mini.evaluate.sharpening import gain_at_k  # noqa: E402
from azr_mini.models import quiet_transformers  # noqa: E402
from azr_mini.policy import Policy, load_policy  # noqa: E402
from azr_mini.recorded import recorded  # noqa: E402
from azr_mini.runs import Run  # noqa: E402
from azr_mini.sampler import Sampler  # noqa: E402
from azr_mini.sandbox import Executor  # noqa: E402
from azr_mini.tasks import TaskType  # noqa: E402
from azr_mini.train import TrainState, train  # noqa: E402
from azr_mini.trr import task_relative_advantages  # noqa: E402
from benchmarks.recording import header  # noqa: E402

RECORD = ROOT / "data/sharpening.json"
RUNS = ROOT / "runs/recorded"
BASE, TRAINED = "base", ("six-0", "six-1", "six-2")
ONLY = {f"only-{type.value}-{seed}": (type, seed) for seed in (0, 1) for type in TaskType}
MANY, MANY_TASKS = 64, 100  # samples at each task, tasks of each type
FEW, FEW_TASKS = 4, 200
STEPS, BATCH_SIZE = 40, 8  # of a run with one task type


def only(type: TaskType) -> Callable:
    """Task-relative advantages of one task type, and 0 for the others."""

    def advantages(rewards: torch.Tensor, groups) -> torch.Tensor:
        mine = torch.tensor([task_type is type for _, task_type in groups])
        return task_relative_advantages(rewards, groups) * mine

    return advantages


def many_samples(policy: Policy, executor: Executor) -> dict:
    """How many of MANY samples at each task were right, by task type."""
    tasks = first_of_each_type(load_heldout_tasks(), MANY_TASKS)
    return counts(evaluate(policy, Sampler(policy), executor, tasks, samples=MANY, seed=8))


def few_samples(policy: Policy, executor: Executor) -> dict:
    """The same for FEW samples at more tasks."""
    tasks = first_of_each_type(load_heldout_tasks(), FEW_TASKS)
    return counts(evaluate(policy, Sampler(policy), executor, tasks, samples=FEW, seed=8))


def counts(scores: Scores) -> dict:
    """Right samples at each task, by task type, and the share of completions that think."""
    return {
        "num_samples": scores.num_samples,
        "correct": {t.value: a.correct.sum(axis=1).tolist() for t, a in scores.attempts.items()},
        "thinking_share": {
            t.value: round(float(a.thinks.mean()), 4) for t, a in scores.attempts.items()
        },
    }


def of_base(executor: Executor) -> dict:
    """The shipped base."""
    policy = load_policy("nano")
    share_cores(policy, 2)
    return many_samples(policy, executor) | {"few": few_samples(policy, executor)}


def of_run(name: str, runs: Path, executor: Executor) -> dict:
    """The last checkpoint of the run that was recorded under this name."""
    run = Run.open(runs / name)
    if run.heldout != recorded(name).heldout:
        raise ValueError(f"{run.folder} is not the run that was recorded as {name}")
    folder = run.last_checkpoint.folder
    policy = load_policy(str(folder))
    share_cores(policy, 2)
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    return many_samples(policy, executor) | {"weights": weights, "steps": run.step}


def of_one_type(type: TaskType, seed: int, executor: Executor) -> dict:
    """A run in which only this task type is rewarded."""
    config = Config(num_steps=STEPS, batch_size=BATCH_SIZE, seed=seed)
    state = TrainState.create(config)
    for step in train(config, state, executor, advantages=only(type)):
        if step.step % 10 == 9:
            print(f"  step {step.step + 1}", flush=True)
    return few_samples(state.policy, executor) | {"steps": STEPS, "seed": seed}


def facts(record: dict) -> set[float]:
    """The numbers that may be said of the record: k, tasks, samples, steps, gains, their ends."""
    runs = [record[name] for name in TRAINED]
    gains = {k: gain_at_k(record[BASE], runs, k) for k in (1, MANY)}
    ends = {abs(round(100 * x, 1)) for g in gains.values() for x in (g.estimate, g.low, g.high)}
    tasks = sum(map(len, record[BASE]["correct"].values()))
    return ends | {float(n) for n in (*gains, tasks, *(run["steps"] for run in runs))}


def main() -> None:
    parts = [BASE, *TRAINED, *ONLY]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts, metavar="PART")
    parser.add_argument("--runs", type=Path, default=RUNS, help="default: runs/recorded")
    options = parser.parse_args()
    quiet_transformers()
    with Executor() as executor:
        for part in options.parts:
            print(part, flush=True)
            began = time.perf_counter()
            if part == BASE:
                found = of_base(executor)
            elif part in TRAINED:
                found = of_run(part, options.runs, executor)
            else:
                found = of_one_type(*ONLY[part], executor)
            found["seconds"] = round(time.perf_counter() - began, 1)
            made = header("sharpening.py") | {
                "command": f"python benchmarks/sharpening.py --parts {part}"
            }
            record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
            record[part] = made | found
            # a part a line: the numbers are many
            lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in record.items())
            RECORD.write_text("{\n" + lines + "\n}\n", encoding="utf-8")
            print(f"  {found['seconds']} s, wrote {RECORD}", flush=True)


if __name__ == "__main__":
    main()
