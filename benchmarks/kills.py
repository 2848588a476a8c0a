"""Is a run that is killed again and again the run that was not, bit for bit?

    python benchmarks/kills.py [--kills 20] [--seed 0]    # on two CPU cores

Trains the nano base through the command line, once in peace and then with SIGKILL and --resume
until enough kills have struck: every third as soon as a checkpoint is being written, the others at
random moments from the start of the process on. A run that ends before all kills have struck is
compared and a new one begins. Full weights and an adapter, side by side. Writes
docs/results/kills.json.
"""

import argparse
import json
import platform
import random
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from azr_mini.environment import hardware, software  # noqa: E402

RESULTS = ROOT / "docs/results/kills.json"
RUNS = ROOT / "runs/kills"
SMALL = "--num-steps 6 --batch-size 2 --num-attempts 2 --max-new-tokens 64 --heldout-tasks 1"
OPTIONS = [*SMALL.split(), "--checkpoint-every", "2", "--threads", "1", "--heldout-path", ""]
KINDS = {"full weights": [], "adapter": ["--lora-rank", "8", "--learning-rate", "2e-3"]}
VARYING = ("time/", "tokens_per_second/", "memory/")


def command(folder: Path, more: list[str]) -> list[str]:
    """Begins the run in a folder, or goes on with the one that is there."""
    words = [sys.executable, "-m", "azr_mini", "train", "--run", str(folder.relative_to(ROOT))]
    return [*words, *OPTIONS, *more, *(["--resume"] if (folder / "config.json").exists() else [])]


def finish(folder: Path, more: list[str]) -> float:
    """Lets the run end in peace; returns wall seconds. CalledProcessError if it fails."""
    began = time.monotonic()
    subprocess.run(command(folder, more), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def kill(folder: Path, more: list[str], in_write: bool, seconds: float, rng) -> dict | None:
    """Starts the run and kills it; what it was doing then, or None if it ended before."""
    began = time.monotonic()
    process = subprocess.Popen(
        command(folder, more), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    moment = rng.uniform(0, 0.005) if in_write else rng.uniform(0, seconds)
    while process.poll() is None:
        if in_write and not stale(folder, began):
            time.sleep(moment)
            break
        if not in_write and time.monotonic() - began > moment:
            break
        time.sleep(0.0005)
    process.kill()
    if process.wait() != -9:
        return None
    return {
        "seconds": round(time.monotonic() - began, 2),
        "checkpoint_half_written": not stale(folder, began),
        "checkpoint_of_step": checkpoint_step(folder),
        "steps_appended": lines(folder / "metrics.jsonl"),
    }


def stale(folder: Path, began: float) -> bool:
    """Whether there is no half-written checkpoint, or only that of an earlier process."""
    try:
        made = (folder / "checkpoint.tmp").stat().st_ctime
    except FileNotFoundError:
        return True
    return made < time.time() - (time.monotonic() - began)


def checkpoint_step(folder: Path) -> int:
    """The steps that the newest checkpoint holds."""
    for name in ("checkpoint", "checkpoint.previous"):
        path = folder / name / "state.json"
        if path.exists():
            return json.loads(path.read_text())["step"]
    return 0


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def differences(one: Path, two: Path) -> list[str]:
    """What of two runs is not equal to the last bit, time, speed and memory aside."""
    found = []
    for name in ("rollouts.jsonl.gz", "buffer.jsonl", "heldout.jsonl", "checkpoint/buffer.jsonl"):
        if (one / name).read_bytes() != (two / name).read_bytes():
            found.append(name)
    if lasting(one) != lasting(two):
        found.append("metrics.jsonl")
    for path in (one / "checkpoint").glob("*.safetensors"):
        if not same(load_file(path), load_file(two / "checkpoint" / path.name)):
            found.append(path.name)
    moments = [torch.load(f / "checkpoint/optimizer.pt", weights_only=True) for f in (one, two)]
    flat = [
        {f"{key}/{name}": v for key, row in m["state"].items() for name, v in row.items()}
        for m in moments
    ]
    if moments[0]["param_groups"] != moments[1]["param_groups"] or not same(*flat):
        found.append("optimizer.pt")
    return found


def lasting(folder: Path) -> list[dict]:
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in row.items() if not k.startswith(VARYING)} for row in rows]


def same(one: dict, two: dict) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def killed(name: str, kills: int, seed: int) -> dict:
    """The unbroken run, and the runs that the kills took, each compared with it."""
    rng, more, root = random.Random(f"{seed} {name}"), KINDS[name], RUNS / name.replace(" ", "-")
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    seconds = finish(root / "whole", more)
    runs, struck = [], []
    while len(struck) < kills:
        folder, mine = root / f"killed-{len(runs)}", []
        while len(struck) + len(mine) < kills:
            in_write = (len(struck) + len(mine)) % 3 == 0
            found = kill(folder, more, in_write, seconds, rng)
            if found is None:
                break
            mine.append(found)
            print(name, len(struck) + len(mine), found, flush=True)
        finish(folder, more)
        struck += mine
        found = differences(root / "whole", folder)
        runs.append({"kills": mine, "differs_in": found})
        print(name, folder.name, len(mine), "kills, differs in", found, flush=True)
    return {
        "command": shlex.join(["python", *command(root / "whole", more)[1:-1]]),
        "seconds_unbroken": round(seconds, 1),
        "kills": len(struck),
        "kills_while_a_checkpoint_was_written": sum(k["checkpoint_half_written"] for k in struck),
        "kills_in_runs_bit_for_bit_equal": sum(
            len(run["kills"]) for run in runs if not run["differs_in"]
        ),
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.time()
    with ThreadPoolExecutor() as pool:
        rows = pool.map(lambda name: killed(name, options.kills, options.seed), KINDS)
        record = dict(zip(KINDS, rows, strict=True))
    record |= {
        "command": shlex.join(["python", "benchmarks/kills.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "seconds": round(time.time() - began),
        "hardware": hardware(),
        **{key: value for key, value in software().items() if key != "platform"},
        "torch_threads": 1,
        "python": platform.python_version(),
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    for name in KINDS:
        row = record[name]
        print(f"{name}: {row['kills_in_runs_bit_for_bit_equal']} of {row['kills']} bit for bit")


if __name__ == "__main__":
    main()
