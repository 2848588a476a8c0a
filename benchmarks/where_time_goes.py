"""Where the milliseconds of a nano step go: generation by running rows, the update by operation.

    python benchmarks/where_time_goes.py    # half a minute

Everything runs on one thread, so that times add up. Writes docs/results/profile.json.
"""

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.recording import RESULTS, header, write  # noqa: E402

ROWS = (4, 16, 64, 128, 256, 512)  # upper ends of the classes of running rows
KINDS = {  # of the learner's operations, by what their names contain
    "attention": ("scaled_dot_product", "bmm", "softmax"),
    "matrix products": ("::mm", "::addmm"),
    "casts and copies": ("copy_", "cat", "index", "scatter", "fill_"),
    "element-wise": ("mul", "add", "sub", "div", "neg", "pow", "rsqrt", "silu", "sum", "exp"),
}


def step_of(num_steps: int):
    """The state before the update of the last of so many steps, and that step's rollouts."""
    from azr_mini.sandbox import Executor
    from azr_mini.train import Config, TrainState, train

    config = Config(num_steps=num_steps, threads=1)
    state = TrainState.create(config)
    with Executor() as executor:
        for step in train(config, state, executor):
            rollouts = step.rollouts
    return config, state, rollouts


def generation(config, state, rollouts) -> list[dict]:
    """For each class of running rows: decoding steps, rows and seconds."""
    from azr_mini import running
    from azr_mini.sampler import Sampler
    from azr_mini.tasks import Role

    solves = [r for r in rollouts if r.role is Role.SOLVE]
    prompts = [*dict.fromkeys((r.type, r.task_index, r.prompt_ids) for r in solves)]
    found = defaultdict(lambda: {"steps": 0, "rows": 0, "seconds": 0.0})
    decode = running.RunningBatch.decode

    def timed(batch):
        rows, began = len(batch.rows), time.perf_counter()
        logits = decode(batch)
        kind = found[next(most for most in ROWS if rows <= most)]
        kind["steps"] += 1
        kind["rows"] += rows
        kind["seconds"] += time.perf_counter() - began
        return logits

    def run() -> float:
        began = time.perf_counter()
        Sampler(state.policy).generate(
            [ids for *_, ids in prompts],
            seeds=range(len(prompts)),
            num_completions=config.num_attempts,
            max_new_tokens=config.max_new_tokens,
        )
        return time.perf_counter() - began

    run()
    running.RunningBatch.decode = timed
    try:
        whole = run()
    finally:
        running.RunningBatch.decode = decode
    classes = [{"rows_at_most": most, **found[most]} for most in ROWS if most in found]
    rest = whole - sum(kind["seconds"] for kind in classes)
    return [*classes, {"rows_at_most": 0, "steps": 0, "rows": 0, "seconds": rest}]


def operations(config, state, rollouts) -> dict[str, float]:
    """Seconds of the kinds of operations in one update."""
    from torch.profiler import ProfilerActivity, profile

    from azr_mini.learner import update

    update(state, rollouts, config)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        update(state, rollouts, config)
    seconds = dict.fromkeys([*KINDS, "the rest"], 0.0)
    for event in seen.key_averages():
        kinds = [kind for kind, parts in KINDS.items() if any(part in event.key for part in parts)]
        seconds[kinds[0] if kinds else "the rest"] += event.self_cpu_time_total / 1e6
    return {kind: round(value, 3) for kind, value in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4, help="the step looked at")
    parser.add_argument("--out", type=Path, default=RESULTS / "profile.json")
    options = parser.parse_args()
    record = header("where_time_goes.py")
    made = step_of(options.steps)
    record["rollouts"] = len(made[2])
    record["completion_tokens"] = sum(len(r.completion_ids) for r in made[2])
    record["generation"] = [
        {**kind, "seconds": round(kind["seconds"], 4)} for kind in generation(*made)
    ]
    record["update"] = operations(*made)
    for kind in record["generation"]:
        print(kind)
    print(record["update"])
    write(options.out, record)


if __name__ == "__main__":
    main()
