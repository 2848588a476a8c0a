"""Does the default run learn, and what would have happened without it? Runs and controls.

    python benchmarks/learning.py                # every row, about an hour on two CPU cores
    python benchmarks/learning.py --rows seed0   # some of them, added to the results so far

Each row is a subprocess with the command line of the package, on the same held-out tasks, one after
the other. Writes docs/results/learning.json; the runs stay in runs/learning/.
"""

import argparse
import json
import platform
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from azr_mini.environment import hardware  # noqa: E402
from azr_mini.evaluate.scores import correct_from_json, gains  # noqa: E402

RESULTS = ROOT / "docs/results/learning.json"
RUNS = ROOT / "runs/learning"
TASKS = 200  # held-out tasks of each type, as `make train` uses
TRAINED = {
    "seed0": ["--seed", "0"],
    "seed1": ["--seed", "1"],
    "seed2": ["--seed", "2"],
    "rewards shuffled": ["--seed", "0", "--shuffle-rewards"],
    "proposer frozen": ["--seed", "0", "--no-train-proposer"],
}
FORCED = {"base forced to think": "think", "base forced to answer": "answer"}
PRETRAINED = "same minutes of pre-training"


def command(*words: str) -> list[str]:
    """A command of the package for this interpreter."""
    return [sys.executable, "-m", "azr_mini", *words]


def timed(words: list[str]) -> float:
    """Runs it, showing what it prints; returns wall seconds. CalledProcessError if it fails."""
    print("$ " + shlex.join(["python", *words[1:]]), flush=True)
    began = time.time()
    subprocess.run(words, cwd=ROOT, check=True)
    return time.time() - began


def trained(name: str) -> dict:
    """A self-play run: held-out scores before and after."""
    folder = RUNS / name.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    words = command("train", "--run", str(folder.relative_to(ROOT)), *TRAINED[name])
    seconds = timed(words)
    lines = [json.loads(line) for line in (folder / "heldout.jsonl").read_text().splitlines()]
    rows = (folder / "metrics.jsonl").read_text().splitlines()
    metrics = [json.loads(line) for line in rows]
    steps = sum(v for m in metrics for k, v in m.items() if k.startswith("time/"))
    config = json.loads((folder / "config.json").read_text())["config"]
    return {
        "command": shlex.join(["python", *words[1:]]),
        "seconds": round(seconds),
        "training_seconds": round(steps),
        "seconds_per_step": round(steps / len(metrics), 2),
        "num_steps": config["num_steps"],
        "before": {kind: line for kind, line in zip(("sampled", "greedy"), lines[:2], strict=True)},
        "after": {kind: line for kind, line in zip(("sampled", "greedy"), lines[-2:], strict=True)},
    }


def evaluated(model: str, *options: str) -> dict:
    """Held-out scores of a model, sampled and greedy."""
    path = RUNS / "evaluation.json"
    path.unlink(missing_ok=True)
    name = str(path.relative_to(ROOT))
    words = command("evaluate", model, "--limit", str(TASKS), "--json", name, *options)
    seconds = timed(words)
    record = json.loads(path.read_text())
    return {
        "command": shlex.join(["python", *words[1:]]),
        "seconds": round(seconds),
        "after": {kind: record[kind] for kind in ("sampled", "greedy")},
    }


def pretrained(seconds: float) -> dict:
    """The base after as many seconds of more pre-training on the hardest documents."""
    folder = RUNS / "more-pretraining"
    shutil.rmtree(folder, ignore_errors=True)
    words = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "azr_mini",
        "pretrain-nano", "--threads", "1", "--start-from", "data/nano_base",
        "--out", str(folder.relative_to(ROOT)), "--curriculum", "0",
        "--minutes", f"{seconds / 60:.2f}", "--batch-tokens", "3072",
        "--matrix-learning-rate", "0.002", "--learning-rate", "0.0003",
    ]  # fmt: skip
    spent = timed(words)
    found = evaluated(str(folder.relative_to(ROOT)))
    return {
        **found,
        "command": shlex.join(["python", *words[1:]]),
        "pretrain_seconds": round(spent),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    rows = [*TRAINED, *FORCED, PRETRAINED]
    parser.add_argument("--rows", nargs="*", choices=rows, default=rows)
    options = parser.parse_args()
    RUNS.mkdir(parents=True, exist_ok=True)
    record = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": {}}
    for name in options.rows:
        if name in TRAINED:
            row = trained(name)
        elif name in FORCED:
            row = evaluated("nano", "--forced", FORCED[name])
        else:
            row = pretrained(record["rows"]["seed0"]["training_seconds"])
        record["rows"][name] = row
        record |= {
            "command": "python benchmarks/learning.py",
            "hardware": hardware(),
            "python": platform.python_version(),
            "held_out_tasks_per_type": TASKS,
        }
        RESULTS.write_text(json.dumps(record) + "\n")
    print("\n".join(table(record)))


def table(record: dict) -> list[str]:
    """The rows as Markdown: accuracy by type after, and the gain of the mean over the base."""
    rows = record["rows"]
    base = rows["seed0"]["before"]
    lines = [
        "| | deduction | abduction | induction | mean, temperature 1 | mean, greedy "
        "| choosing to think |",
        "|---|---|---|---|---|---|---|",
        "| base | " + " | ".join(cells(base, None)) + " | |",
    ]
    for name in (name for name in (*TRAINED, *FORCED, PRETRAINED) if name in rows):
        row = rows[name]
        found = cells(row["after"], row.get("before", base))
        known = name in TRAINED and all(forced in rows for forced in FORCED)
        found.append(f"{100 * choosing(rows, name):+.1f}" if known else "")
        lines.append(f"| {name} | " + " | ".join(found) + " |")
    return lines


def choosing(rows: dict, name: str) -> float:
    """The gain of the mean at temperature 1 that choosing to think alone would have brought.

    It is what the base would score if in each type it thought as often as the trained policy does
    and was as accurate in either mode as when it is forced into it, less what it scores freely.
    """
    before, after = (rows[name][when]["sampled"]["types"] for when in ("before", "after"))
    think, answer = (rows[row]["after"]["sampled"]["types"] for row in FORCED)
    gained = [
        after[type]["thinking_share"] * think[type]["accuracy"]
        + (1 - after[type]["thinking_share"]) * answer[type]["accuracy"]
        - before[type]["accuracy"]
        for type in before
    ]
    return sum(gained) / len(gained)


def facts(record: dict, base: dict) -> set[float]:
    """The numbers that prose about the results may name, rounded as they are printed."""
    rows = record["rows"]
    start = rows["seed0"]["before"]
    found = {0.0, 1.0, 2.0, 3.0, 95.0, 100.0, float(record["held_out_tasks_per_type"])}
    found |= {float(record["hardware"]["cores"]), float(sum(n.startswith("seed") for n in rows))}
    for name, row in rows.items():
        gained = [
            100 * gain.gain.estimate for gain in gains(start["sampled"], row["after"]["sampled"])
        ]
        gained += [
            100 * gain.gain.estimate for gain in gains(start["greedy"], row["after"]["greedy"])
        ]
        types = list(row["after"]["sampled"]["types"].values())
        found |= {round(100 * t["accuracy"], 1) for t in types}
        found |= {round(row["seconds"] / 60, 1)}
        if name in TRAINED:
            types += row["before"]["sampled"]["types"].values()
            gained.append(100 * choosing(rows, name))
            found |= {float(row["num_steps"]), round(row["training_seconds"] / 60, 1)}
            found |= {round(row["seconds_per_step"], 1)}
        found |= {round(abs(value), 1) for value in gained}
        found |= {float(round(100 * t["thinking_share"])) for t in types}
    for mode in base["modes"].values():
        found |= {round(100 * row["accuracy"], 1) for row in mode.values()}
    return found


def cells(after: dict, before: dict | None) -> list[str]:
    """Accuracy by type at temperature 1; the means with their gain and its 95 % interval."""
    accuracy = [100 * c.mean() for c in correct_from_json(after["sampled"])]
    found = [f"{value:.1f}" for value in accuracy]
    for kind in ("sampled", "greedy"):
        mean = 100 * sum(c.mean() for c in correct_from_json(after[kind])) / 3
        text = f"{mean:.1f}"
        if before is not None:
            gain = gains(before[kind], after[kind])[-1].gain
            low, high = 100 * gain.low, 100 * gain.high
            text += f" ({100 * gain.estimate:+.1f}, {low:+.1f} to {high:+.1f})"
        found.append(text)
    return found


if __name__ == "__main__":
    main()
