"""Draws docs/performance.md from the recorded results; nothing is measured here.

python benchmarks/performance.py
"""

import json
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import changes, learner, operations, soak, step  # noqa: E402
from benchmarks.recording import RESULTS  # noqa: E402

PAGE = ROOT / "docs" / "performance.md"
NAMES = ("step", "profile", "changes", "sampler", "learner", "executor", "soak", "operations")


def load() -> dict[str, dict]:
    """Every result file that the page draws on, by name."""
    return {
        name: json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES
    }


def targets(found: dict[str, dict]) -> list[str]:
    """What was aimed at and what was reached."""
    executor = found["executor"]["ratios"]
    speeds = {
        name: statistics.median(row["programs_per_s"] for row in found["executor"][name])
        for name in ("executor", "executor_isolated")
    }
    forks = [executor[f"cpu_per_run_in_c_forks_{name}"] for name in speeds]
    subprocess = [executor[f"speed_against_subprocess{end}"] for end in ("", "_isolated")]
    rows = {row["dtype"]: row["ratio"] for row in found["sampler"]["rows"]}
    memory = soak.ratios(found["soak"])["memory"]
    steps, update = step.ratios(found["step"]), learner.ratios(found["learner"])
    lines = [
        ("sampler over `transformers.generate`, float32", "3 x", f"{rows['float32']:.2f} x"),
        ("the same in bfloat16", "", f"{rows['bfloat16']:.2f} x"),
        ("executor over a subprocess a run", "8 x", _pair(subprocess, " x")),
        ("its CPU time a run, in C forks", "at most 12", _pair(forks)),
        ("programs a second", "300", _pair(speeds.values(), digits=0)),
        ("learner over TRL's GRPOTrainer", "1 x", f"{update['times_as_fast']:.2f} x"),
        (
            "peak memory of TRL over the learner's",
            "above 1",
            f"{update['peak_memory_of_trl']:.2f} x",
        ),
        (
            "a step over the sum of its parts",
            "at most 1.25",
            f"{steps['step_over_sum_of_parts']:.2f}",
        ),
        (
            "a step over one before the changes below",
            "at most 0.80",
            f"{steps['now_over_before']:.2f}",
        ),
        ("memory at the end of a long run over step 100", "0.95 to 1.05", f"{memory:.3f}"),
    ]
    return ["| what | reach | reached |", "|---|---|---|"] + [
        f"| {what} | {reach} | {reached} |" for what, reach, reached in lines
    ]


def _pair(values, unit: str = "", digits: int = 1) -> str:
    """A value with shared second runs, and in brackets with every run isolated."""
    shared, isolated = (f"{value:.{digits}f}{unit}" for value in values)
    return f"{shared} ({isolated} with both runs isolated)"


def step_table(found: dict) -> list[str]:
    """Milliseconds of a step by part, medians over the steps."""
    parts = found["parts"]
    whole = statistics.median(row["step"] for row in parts)
    lines = ["| part | milliseconds | share |", "|---|---|---|"]
    known = 0.0
    for name, what in (
        ("sampler", "sampler: both generations"),
        ("learner", "learner: the update"),
        ("executor", "executor: validation and grading"),
    ):
        seconds = statistics.median(row[name] for row in parts)
        known += seconds
        lines.append(f"| {what} | {1000 * seconds:.0f} | {seconds / whole:.0%} |")
    lines.append(
        f"| prompts, parsing, rewards, buffer | {1000 * (whole - known):.0f} | "
        f"{(whole - known) / whole:.0%} |"
    )
    return [*lines, f"| the step | {1000 * whole:.0f} | |"]


def soak_table(found: dict) -> list[str]:
    """What a step, and each operation of its buffer, costs at the end over what it cost early."""
    ratios = soak.ratios(found)
    first, last = found["buffer"]
    lines = ["| | step 100 | the end | ratio |", "|---|---|---|---|"]
    for key, what, unit in (
        ("memory", "resident memory, MB", 0),
        ("seconds", "seconds a step", 2),
        ("seconds_per_token", "milliseconds a completion token", 2),
    ):
        early, late = soak.medians(found, key)
        lines.append(f"| {what} | {early:.{unit}f} | {late:.{unit}f} | {ratios[key]:.2f} |")
    lines.append(f"| tasks in the buffer | {first['tasks']} | {last['tasks']} | |")
    for name in first:
        if name != "tasks":
            lines.append(
                f"| `{name}`, microseconds | {first[name]:.1f} | {last[name]:.1f} "
                f"| {ratios[f'buffer_{name}']:.2f} |"
            )
    return lines


def generation_table(found: dict) -> list[str]:
    """Decoding steps by how many rows still run."""
    lines = ["| running rows | decoding steps | tokens | ms a decoding step | share of the time |"]
    lines.append("|---|---|---|---|---|")
    whole = sum(kind["seconds"] for kind in found["generation"])
    for kind in found["generation"]:
        share = f"{kind['seconds'] / whole:.0%}"
        if kind["steps"]:
            each = 1000 * kind["seconds"] / kind["steps"]
            lines.append(
                f"| up to {kind['rows_at_most']} | {kind['steps']} | {kind['rows']} | {each:.1f} "
                f"| {share} |"
            )
        else:
            lines.append(f"| prompts and choosing tokens | | | | {share} |")
    return lines


def update_table(found: dict) -> list[str]:
    """One update by kind of operation."""
    whole = sum(found["update"].values())
    lines = ["| operations of the update | share of the time |", "|---|---|"]
    return lines + [f"| {kind} | {value / whole:.0%} |" for kind, value in found["update"].items()]


def page(found: dict[str, dict]) -> str:
    """docs/performance.md, every number from the records."""
    machine, long = found["step"]["hardware"], found["soak"]
    tables = {
        "targets": targets(found),
        "step": step_table(found["step"]),
        "generation": generation_table(found["profile"]),
        "update": update_table(found["profile"]),
        "operations": operations.section(found["operations"]),
        "changes": changes.table(found["changes"]),
        "soak": soak_table(found["soak"]),
    }
    tables = {name: "\n".join(lines) for name, lines in tables.items()}
    return f"""# Performance: where the milliseconds go

Drawn by `python benchmarks/performance.py` from [`results/`](results/), whose files say command,
date, versions and hardware. All ratios compare two things in one run on {machine["cores"]} cores
({machine["cpu"]}). Absolute times are of that machine.

{tables["targets"]}

## A step

The nano model, 16 proposals of each type, 8 attempts at each of 48 tasks. Each part is run again
alone with the weights and the inputs that it had.

{tables["step"]}

## Generation

One solve phase on one thread. A few completions run to the limit while all others have ended, so
many decoding steps move few rows, and there an operation costs the same however little it computes.

{tables["generation"]}

## The update

One thread; in a run the micro-batches are computed side by side.

{tables["update"]}

## An update of an adapter on a GPU

A GPU computes most operations of a micro-batch faster than Python asks for them, so that their
number is its time. Counted on a CPU along the branches that a GPU takes: a decoder layer of Qwen2
in NF4 with LoRA and bfloat16 that is recomputed, forward, forward again and backward. Views launch
nothing. Our norms and attention stand for one operation each way, as on a GPU; TRL's trainer is
without Liger's kernels, which need one.

{tables["operations"]}

## A long run

{len(long["steps"]):,} steps with a quarter of the tasks, beside other programs on the same two
cores, which is what moves the seconds. Completions grow longer as the model learns to think, so the
price of a token is what should not grow.

```
{long["train"]}
```

![Memory, seconds a step, milliseconds a token, tasks in the buffer](figures/soak.png)

{tables["soak"]}

## What was changed, what was expected, what came of it

Seconds after the change over seconds before, the two versions in turns. Expected: from a profile or
a prototype, before the change was made.

{tables["changes"]}

The second change is no gain on two idle cores: the update is as fast as before, and sampling on one
thread gives back a part of what its own forward pass won. It is kept because of busy machines: two
threads in every operation wait for each other thousands of times a second, and where another
program takes one of the two cores each wait lasts until that program is interrupted. On machines
with four cores or more, two threads share the operations.

What was tried and not kept:

- Fewer attempts that share a prompt in the learner, because attention grows with the square of an
  entry: expected to pay, made no difference.
- Two Python threads, each generating half of the prompts: no gain, each half has its own long tail.
- The learner through the sampler's forward pass: a small gain. The model's own code stays.
- Larger thresholds of the C library's allocator, huge pages: no difference.
- Giving memory back every tenth step instead of each: a little faster, since pages that were given
  back are cleared again, but twice the memory.
- Grading in a thread while the longest completions are still being written: no gain that stands out
  of the noise, because both need the interpreter.
- Two threads in a decoding step of more than 64 rows, each with half of the prompts: bit for bit
  the same completions, no gain, because half of the rows take well over half of the time.
"""


def main() -> None:
    PAGE.write_text(page(load()), encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
