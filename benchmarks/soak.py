"""A long run: does a step at the end cost what a step at the beginning did?

    python benchmarks/soak.py               # 1,000 steps at a quarter of the batch
    python benchmarks/soak.py --draw        # only the figure, from the recorded result

Trains the nano model with the command line, checkpoints included, then times the buffer's
operations at the sizes it had at step 100 and at the end. Completions grow longer as the model
learns to think, so time is also given per completion token. Writes docs/results/soak.json and
docs/figures/soak.png; the run stays in runs/soak.
"""

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.recording import RESULTS, header, write  # noqa: E402

RUN = ROOT / "runs" / "soak"
FIGURE = ROOT / "docs" / "figures" / "soak.png"
EARLY, AROUND = 100, 10  # the step compared with the last, and the steps around it that count
PHASES = ("propose", "validate", "solve", "update")


def train(num_steps: int, batch_size: int) -> list[str]:
    """Runs the command line; returns its words after the interpreter."""
    shutil.rmtree(RUN, ignore_errors=True)
    words = ["-m", "azr_mini", "train", "--run", str(RUN.relative_to(ROOT)), "--seed", "0"]
    words += ["--num-steps", str(num_steps), "--batch-size", str(batch_size)]
    words += ["--heldout-tasks", "0", "--checkpoint-every", "50"]
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)
    return ["python", *words]


def read_steps() -> list[dict[str, float]]:
    """For each step: resident memory in MB, seconds, completion tokens, tasks in the buffer."""
    rows = []
    for line in (RUN / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        metrics = json.loads(line)
        tokens = metrics["time/update"] * metrics["tokens_per_second/update"]
        rows.append(
            {
                "memory": round(metrics["memory/rss"] / 1e6, 1),
                "seconds": round(sum(metrics[f"time/{phase}"] for phase in PHASES), 4),
                "tokens": round(tokens),
                "tasks": sum(v for k, v in metrics.items() if k.startswith("buffer/size/")),
            }
        )
    return rows


def time_buffer(sizes: list[int]) -> list[dict[str, float]]:
    """Microseconds of each operation of a buffer that holds so many of the run's tasks."""
    from azr_mini.buffer import TripleBuffer
    from azr_mini.tasks import task_from_json

    lines = (RUN / "buffer.jsonl").read_text(encoding="utf-8").splitlines()
    tasks = [task_from_json(json.loads(line)) for line in lines]
    random.Random(0).shuffle(tasks)  # all three types at every size
    found = []
    for size in sizes:
        buffer = TripleBuffer()
        for task in tasks[:size]:
            buffer.add(task)
        timed = operations(buffer, tasks[: min(200, size)], random.Random(0))
        found.append({"tasks": size} | {name: microseconds(call) for name, call in timed.items()})
    return found


def operations(buffer, known: list, rng: random.Random) -> dict:
    """What a step asks of its buffer, each as a function of the call's number."""
    from azr_mini.tasks import TaskType

    type = TaskType.DEDUCTION
    return {
        "contains": lambda i: buffer.contains(known[i % len(known)]),
        "add": lambda i: buffer.add(known[i % len(known)]),
        "sample_references": lambda i: buffer.sample_references(type, 2, rng),
        "sample_program": lambda i: buffer.sample_program(rng),
        "fill": lambda i: buffer.fill(type, [], 16, rng),
    }


def microseconds(call, repeats: int = 2000, rounds: int = 5) -> float:
    """The best of some rounds: mean microseconds of one call."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        for i in range(repeats):
            call(i)
        times.append((time.perf_counter() - began) / repeats * 1e6)
    return round(min(times), 2)


COSTS = {  # of a step, from its row
    "memory": lambda row: row["memory"],
    "seconds": lambda row: row["seconds"],
    "seconds_per_token": lambda row: 1000 * row["seconds"] / row["tokens"],
}


def medians(record: dict, key: str) -> tuple[float, float]:
    """A cost of the steps around step 100, and of the last ones."""
    steps = record["steps"]
    parts = steps[EARLY - AROUND : EARLY + AROUND], steps[-2 * AROUND :]
    early, late = (statistics.median(map(COSTS[key], part)) for part in parts)
    return early, late


def ratios(record: dict) -> dict[str, float]:
    """The end over step 100: medians over the steps around each."""
    first, last = record["buffer"]
    operations = {
        f"buffer_{name}": round(last[name] / first[name], 2) for name in first if name != "tasks"
    }
    pairs = {key: medians(record, key) for key in COSTS}
    return {key: round(late / early, 3) for key, (early, late) in pairs.items()} | operations


def draw(record: dict) -> None:
    """The figure: memory, seconds a step, milliseconds a token, tasks in the buffer."""
    import pandas as pd

    from azr_mini.viz.style import DPI, curve, house_style, name_steps, panels

    steps = pd.DataFrame(record["steps"])
    steps["per_token"] = 1000 * steps["seconds"] / steps["tokens"]
    columns = (
        ("memory", "resident memory, MB"),
        ("seconds", "seconds a step"),
        ("per_token", "milliseconds a completion token"),
        ("tasks", "tasks in the buffer"),
    )
    with house_style():
        title = f"{len(steps):,} steps: what a step costs from the first to the last"
        figure, grid = panels(title, 2, 2, sharex=True)
        for axes, (key, label) in zip(grid.flat, columns, strict=True):
            curve(axes, steps, key, color="#333333")
            axes.axvline(EARLY, color="#E69F00", linewidth=1, linestyle=":")
            axes.set_ylim(0, 1.1 * steps[key].quantile(0.999))
            axes.set_title(label)
        name_steps(grid[-1])
        FIGURE.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(FIGURE, dpi=DPI)
    print(f"wrote {FIGURE}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument(
        "--batch-size", type=int, default=4, help="of each type; a nano step has 16"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "soak.json")
    parser.add_argument("--draw", action="store_true")
    options = parser.parse_args()
    if options.draw:
        return draw(json.loads(options.out.read_text(encoding="utf-8")))
    record = header("soak.py")
    record["train"] = " ".join(train(options.steps, options.batch_size))
    record["steps"] = steps = read_steps()
    record["buffer"] = time_buffer([int(steps[EARLY]["tasks"]), int(steps[-1]["tasks"])])
    record["ratios"] = ratios(record)
    print(json.dumps(record["ratios"], indent=1))
    write(options.out, record)
    draw(record)


if __name__ == "__main__":
    main()
