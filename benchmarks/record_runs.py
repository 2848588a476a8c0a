"""Makes the small recorded runs in data/recorded_runs/ that notebooks compare with.

    python benchmarks/record_runs.py                    # all of them, one after the other
    python benchmarks/record_runs.py --jobs 2 six-0     # some of them, two at once, a thread each

Each is trained through the command line in runs/recorded/NAME. Stop it at any moment: the next call
goes on with what is unfinished and trains nothing twice. Then the small folder is written: config,
rounded metrics, held-out evaluations, the rollouts of some whole steps, and how it was made. Also
draws docs/recorded_runs.md.
"""

import argparse
import gzip
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from azr_mini import options as opt  # noqa: E402
from azr_mini.commands.console import parse  # noqa: E402
from azr_mini.config import Config  # noqa: E402
from azr_mini.environment import hardware  # noqa: E402
from azr_mini.files import gzip_members, json_line, json_lines  # noqa: E402
from azr_mini.progress import duration  # noqa: E402
from azr_mini.recorded import origin, recorded_names  # noqa: E402
from azr_mini.runs import HELDOUT, METRICS, RECORD, ROLLOUTS, Run, is_run  # noqa: E402

RUNS = ROOT / "runs/recorded"
PAGE = ROOT / "docs/recorded_runs.md"
RECORDED = ROOT / "data/recorded_runs"
ROLLOUT_BYTES = 200_000  # for the sample of rollouts in a recorded run
SECONDS_BETWEEN_LINES = 60


@dataclass(frozen=True)
class Recipe:
    """What a recorded run shows, and the options of `train` that make it."""

    about: str
    options: tuple[str, ...]


def families() -> dict[str, Recipe]:
    """The kinds of runs; each is recorded with the seeds 0, 1 and 2."""
    compared = ("--num-steps", "200", "--batch-size", "8", "--advantage")
    return {
        "live": Recipe(
            "What notebook 00 trains while the reader watches.",
            ("--num-steps", "40", "--batch-size", "8"),
        ),
        "six": Recipe(
            "TRR++: a baseline for each role in each task type.", (*compared, "task_relative")
        ),
        "two": Recipe("A baseline for each role, shared by the task types.", (*compared, "role")),
        "one": Recipe("One baseline for everything.", (*compared, "global")),
        "lora": Recipe(
            "As live, but an adapter trains beside a base in 4 bits.",
            ("--num-steps", "40", "--batch-size", "8", "--quantize", "nf4")
            + ("--lora-rank", "16", "--learning-rate", "0.002"),
        ),
    }


RECIPES = {
    f"{family}-{seed}": replace(recipe, options=("--seed", str(seed), *recipe.options))
    for family, recipe in families().items()
    for seed in (0, 1, 2)
}


# ---- training


def config_of(words: tuple[str, ...] | list[str]) -> Config:
    """The configuration that these options of `train` give."""
    return parse(opt.TrainOptions, "train", list(words), opt.TrainOptions()).config


def train_command(name: str, threads: int) -> list[str]:
    """The words after `python` that train a run anew."""
    folder, options = os.path.relpath(RUNS / name, ROOT), RECIPES[name].options
    return ["-m", "azr_mini", "train", "--run", folder, *options, "--threads", str(threads)]


def finished(run: Run) -> bool:
    """Whether a run has made all its steps and was evaluated after the last one."""
    evaluated = {line["temperature"] for line in run.heldout if line["step"] == run.step > 0}
    return run.step == run.config.num_steps and len(evaluated) == 2


def start(name: str, threads: int) -> subprocess.Popen:
    """A process that trains a run or goes on with it; what it prints is appended to NAME.log."""
    folder, words = RUNS / name, train_command(name, threads)
    if is_run(folder):
        config = Run.open(folder).config
        if replace(config_of(RECIPES[name].options), threads=config.threads) != config:
            raise ValueError(f"{folder} was made with other options: delete it to train it anew")
        words = [*train_command(name, config.threads), "--resume"]
    RUNS.mkdir(parents=True, exist_ok=True)
    with open(RUNS / f"{name}.commits", "a", encoding="utf-8") as commits:
        commits.write(commit() + "\n")
    with open(RUNS / f"{name}.log", "ab") as log:
        # a session of its own: Ctrl-C reaches it through `train_all` alone, and once
        return subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )


def commit() -> str:
    """The commit of the code, marked if what a run depends on differs from it."""
    paths = ["azr_mini", "data", ":!data/recorded_runs"]
    head, changes = (
        subprocess.check_output(["git", *words], cwd=ROOT, text=True).strip()
        for words in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "--", *paths])
    )
    return head + ("-dirty" if changes else "")


def train_all(names: list[str], jobs: int, done: Callable[[str], None]) -> None:
    """Trains these runs, `jobs` at once, and calls `done` after each; RuntimeError if one fails.

    On Ctrl-C or SIGTERM every run ends its step and saves.
    """
    waiting, running = list(names), {}
    threads = 1 if jobs > 1 else Config().threads
    began, at_first, said = time.monotonic(), sum(map(steps_made, names)), 0.0
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                name = waiting.pop(0)
                running[name] = start(name, threads)
            for name in [name for name, process in running.items() if process.poll() is not None]:
                if status := running.pop(name).returncode:
                    raise RuntimeError(f"{name} ended with status {status}: see {RUNS / name}.log")
                done(name)
            if time.monotonic() - said > SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                print(progress_line(names, list(running), at_first, said - began), flush=True)
            time.sleep(0.5)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


def steps_made(name: str) -> int:
    """The steps that a run has appended so far."""
    path = RUNS / name / METRICS
    return path.read_bytes().count(b"\n") if path.exists() else 0


def progress_line(names: list[str], running: list[str], at_first: int, seconds: float) -> str:
    """The steps of the runs in progress, and when all will be done at the speed so far."""
    wanted = {name: config_of(RECIPES[name].options).num_steps for name in names}
    parts = [f"{name} {steps_made(name)}/{wanted[name]}" for name in running]
    made = sum(map(steps_made, names))
    left = sum(wanted.values()) - made
    eta = f"  ETA {duration(seconds * left / (made - at_first))}" if made > at_first else ""
    return ", ".join(parts) + eta


# ---- recording


def record(run: Run, folder: Path, about: str, command: str, commits: list[str]) -> dict:
    """Writes the small folder of a finished run and returns its record; what was there goes."""
    new = run.folder.with_name(run.folder.name + ".small")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    shutil.copyfile(run.folder / "config.json", new / "config.json")
    if (run.folder / HELDOUT).exists():
        shutil.copyfile(run.folder / HELDOUT, new / HELDOUT)
    lines = [json_line(rounded(row)) for row in json_lines(run.folder / METRICS)]
    write_gzip(new / f"{METRICS}.gz", [b"".join(lines)])
    members = list(gzip_members(run.folder / ROLLOUTS))
    steps = sample(members, ROLLOUT_BYTES)
    write_gzip(new / ROLLOUTS, [members[step] for step in steps])
    metrics = run.metrics
    made = datetime.fromtimestamp((run.folder / METRICS).stat().st_mtime, UTC)
    made_so = {
        "about": about,
        "command": command,
        "seed": run.config.seed,
        "date": made.isoformat(timespec="seconds"),
        "hardware": hardware(),
        "python": run.record["python"],
        "versions": run.record["versions"],
        "seconds": round(float(metrics.filter(regex="^time/").sum().sum())),
        "commits": commits,
        "rollout_steps": steps,
        "sha256": {path.name: sha256(path) for path in sorted(new.iterdir())},
    }
    (new / RECORD).write_text(json.dumps(made_so, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(new, folder)
    return made_so


def write_gzip(path: Path, members: list[bytes]) -> None:
    """Writes each as a gzip member; mtime 0, so that the same content gives the same bytes."""
    path.write_bytes(b"".join(gzip.compress(m, compresslevel=9, mtime=0) for m in members))


def rounded(row: dict) -> dict:
    """The record with its floats at 6 significant digits."""
    return {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in row.items()}


def sample(members: list[bytes], limit: int) -> list[int]:
    """As many steps as fit compressed into `limit` bytes, evenly spread, first and last among them.

    At least these two, however large they are.
    """
    sizes = [len(gzip.compress(member, compresslevel=9)) for member in members]
    last = len(members) - 1
    for count in range(len(members), 2, -1):
        steps = [round(place * last / (count - 1)) for place in range(count)]
        if sum(sizes[step] for step in steps) <= limit:
            return steps
    return sorted({0, last}) if members else []


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record_finished(name: str) -> None:
    """Writes the small folder of a run that was trained here."""
    run = Run.open(RUNS / name)
    command = shlex.join(["python", *train_command(name, run.config.threads)])
    commits = (RUNS / f"{name}.commits").read_text(encoding="utf-8").split()
    record(run, RECORDED / name, RECIPES[name].about, command, list(dict.fromkeys(commits)))
    size = sum(path.stat().st_size for path in (RECORDED / name).iterdir())
    print(f"recorded {RECORDED.relative_to(ROOT) / name}, {size / 1000:.0f} kB", flush=True)
    PAGE.write_text(page(), encoding="utf-8")


# ---- the page


def page() -> str:
    """docs/recorded_runs.md, drawn from the records."""
    found = {name: origin(name, RECORDED) for name in RECIPES if name in recorded_names(RECORDED)}
    rows = ["| name | seed | minutes of training | made | commit | hardware | sha256 |"]
    rows.append("|---|---|---|---|---|---|---|")
    for name, row in found.items():
        machine = f"{row['hardware']['cores']} cores, {row['hardware']['cpu']}"
        rows.append(
            f"| `{name}` | {row['seed']} | {row['seconds'] / 60:.1f} | {row['date'][:10]} "
            f"| {', '.join(row['commits'])} | {machine} | {sha256(RECORDED / name / RECORD)[:12]} |"
        )
    kinds = [
        f"- **{family}**: {recipe.about} `{shlex.join(recipe.options)}`"
        for family, recipe in families().items()
        if f"{family}-0" in found
    ]
    return f"""# Recorded runs

Drawn by `python benchmarks/record_runs.py` from what lies in
[`data/recorded_runs/`](../data/recorded_runs/). Notebooks show these runs beside the reader's own.

{chr(10).join(kinds)}

The options are those of `python -m azr_mini train`; everything else has its default. Minutes are
upper bounds: other programs may have run on the machine.

{chr(10).join(rows)}

## What is in a folder

| file | holds |
|---|---|
| `config.json` | configuration, versions, device, threads, dtype, as in any run folder |
| `metrics.jsonl.gz` | every step; floats have 6 significant digits |
| `rollouts.jsonl.gz` | the whole rollouts of some steps, spread evenly over the run |
| `heldout.jsonl` | 200 held-out tasks of each type before and after, sampled and greedy |
| `record.json` | how it was made, the steps with rollouts, sha256 of every other file |

Minutes of training depend on what else the machine did; they are no measurement of speed. The last
column of the table above is the sha256 of `record.json`, which covers the whole folder.

```python
from azr_mini.recorded import origin, recorded

run = recorded("live-0")  # a Run: .metrics, .config, .rollouts, .heldout
origin("live-0")["command"]
```

Every command that reads a run folder reads these too, such as `python -m azr_mini diagnose
data/recorded_runs/live-0`.

## Making them again

```bash
python benchmarks/record_runs.py live-0 live-1 live-2
python benchmarks/record_runs.py --jobs 2
```

The first call makes the named runs, the second all of them, two at once on a thread each. Stop it
at any moment; the next call goes on. Runs train in `runs/recorded/`; to train one anew delete its
folder there. On a CPU the same versions and dtype give the same numbers bit for bit, except time,
speed and memory.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--jobs", type=int, default=1, help="runs at once; several: 1 thread each")
    options = parser.parse_args()
    if unknown := set(options.names) - set(RECIPES):
        parser.error(f"no run {sorted(unknown)}: use {', '.join(RECIPES)}")
    if options.jobs < 1:
        parser.error(f"--jobs is {options.jobs}: give 1 or more")
    names = options.names or list(RECIPES)
    ready = [name for name in names if is_run(RUNS / name) and finished(Run.open(RUNS / name))]
    for name in ready:
        record_finished(name)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        train_all([name for name in names if name not in ready], options.jobs, record_finished)
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on")
    except (RuntimeError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
