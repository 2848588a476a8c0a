"""Measures the nano base on the whole held-out set and writes its model card.

    python benchmarks/base.py

Reads data/nano_base/pretraining.json, the record of how the base was made; writes
docs/results/base.json and data/nano_base/README.md. Some minutes on two CPU cores.
"""

import argparse
import json
import shlex
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from azr_mini.environment import environment, hardware  # noqa: E402
from azr_mini.evaluate.heldout import evaluate, first_of_each_type, load_heldout_tasks  # noqa: E402
from azr_mini.nano.tokenizer import build_tokenizer  # noqa: E402
from azr_mini.policy import load_policy  # noqa: E402
from azr_mini.sampler import Sampler  # noqa: E402
from azr_mini.sandbox import Executor  # noqa: E402
from azr_mini.tasks import TaskType  # noqa: E402

MODES = (  # name, forced opening, temperature, samples
    ("free", None, 1.0, 8),
    ("think", "think", 1.0, 4),
    ("answer", "answer", 1.0, 4),
    ("free, greedy", None, 0.0, 1),
    ("think, greedy", "think", 0.0, 1),
    ("answer, greedy", "answer", 0.0, 1),
)


def summary(scores, samples: int) -> dict:
    """Per type: accuracy with interval, thinking share, length, and pass@8 of 8 samples."""
    record = {}
    for type, attempts in scores.attempts.items():
        accuracy = scores.accuracy(type)
        record[type.value] = {
            "accuracy": round(accuracy.estimate, 4),
            "interval": [round(accuracy.low, 4), round(accuracy.high, 4)],
            "thinking_share": round(float(attempts.thinks.mean()), 4),
            "mean_length": round(float(attempts.lengths.mean()), 2),
            "truncated_share": round(float(attempts.truncated.mean()), 4),
        }
        if samples >= 8:
            record[type.value]["pass@8"] = round(scores.pass_at(8, type).estimate, 4)
    return record


def measure(limit: int | None) -> tuple[dict, dict]:
    """(modes, environment): every mode on the first `limit` tasks of each type."""
    policy = load_policy("nano")
    tasks = first_of_each_type(load_heldout_tasks(), limit)
    modes = {}
    with Executor() as executor:
        for name, forced, temperature, samples in MODES:
            scores = evaluate(
                policy, Sampler(policy), executor, tasks,
                samples=samples, temperature=temperature, forced=forced,
            )  # fmt: skip
            modes[name] = summary(scores, samples)
            by_type = "  ".join(f"{t} {m['accuracy']:.1%}" for t, m in modes[name].items())
            print(f"{name:<16} {by_type}", flush=True)
    parameters = sum(p.numel() for p in policy.model.parameters())
    return modes, {**environment(policy), "parameters": parameters, "tasks_per_type": limit or 1000}


def card(record: dict) -> str:
    """The model card in Markdown, every number from the record."""
    pre, modes, found = record["pretraining"], record["modes"], record["environment"]
    free, machine = modes["free"], pre["hardware"]

    def row(name: str, values: list[float]) -> str:
        return f"| {name} | " + " | ".join(f"{100 * value:.1f} %" for value in values) + " |"

    table = [
        row(name, [mode[t.value]["accuracy"] for t in TaskType]) for name, mode in modes.items()
    ]
    table.append(row("free, pass@8", [free[t.value]["pass@8"] for t in TaskType]))
    table.append(
        row("free, share that thinks", [free[t.value]["thinking_share"] for t in TaskType])
    )
    rows = "\n".join(table)
    return f"""---
license: mit
library_name: transformers
---
# The nano base of azr-mini

A Llama of {found["parameters"]:,} parameters, stored in bfloat16, that reads and writes a small
subset of Python: it proposes and solves the three task types of Absolute Zero Reasoner over
programs of one to five operations on small integers, short lists and strings of the letters a to h.
Its vocabulary has {record["vocabulary"]} tokens, 256 of them bytes, so any text round-trips. It was
trained on programs that a grammar generated and on what they do, on no human text. It is a means to
watch self-play learn on a CPU. It is not a language model, and nothing measured on it is a
statement about language models.

Some of its answers follow a thought. In deduction a thought is the value of every variable as the
program assigns it. In abduction it is these values from the last to the first, worked backward from
the output, or, less often, up to three tried inputs. In induction it is the values on the first
visible pair.

## How it was made

    {pre["command"]}

Seed {pre["seed"]}, {pre["tokens"] / 1e6:.1f} M tokens in {pre["steps"]:,} steps, final loss
{pre["loss"]:.3f} nats (mean over completion tokens, proposals weighted 0.2),
{pre["seconds"] / 60:.0f} min on {machine["cores"]} cores of {machine["cpu"]}. {pre["note"]}

## What it can do

Accuracy on {found["tasks_per_type"]} held-out tasks of each type at temperature 1 unless greedy;
"think" and "answer" force the first tag of a completion.

| mode | deduction | abduction | induction |
|---|---|---|---|
{rows}

Measured by `{record["command"]}` in {record["seconds"] / 60:.0f} min; intervals and lengths are in
`docs/results/base.json`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--limit", type=int, help="tasks of each type; all by default")
    options = parser.parse_args()
    results = ROOT / "docs/results/base.json"
    pretraining = json.loads((ROOT / "data/nano_base/pretraining.json").read_text())
    began = time.time()
    modes, found = measure(options.limit)
    record = {
        "command": shlex.join(["python", "benchmarks/base.py", *sys.argv[1:]]),
        "hardware": hardware(),
        "seconds": round(time.time() - began),
        "environment": found,
        "vocabulary": len(build_tokenizer()),
        "pretraining": pretraining,
        "modes": modes,
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(record, indent=2) + "\n")
    (ROOT / "data/nano_base/README.md").write_text(card(record))


if __name__ == "__main__":
    main()
