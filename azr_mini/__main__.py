"""The command line: `python -m azr_mini COMMAND`, also installed as `azr-mini`.

The only module that prints. Heavy libraries are imported inside the commands, so that help and
mistakes answer at once.
"""

import contextlib
import dataclasses
import io
import itertools
import json
import os
import re
import signal
import statistics
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path

import tyro
from rich import progress
from rich.console import Console

from azr_mini import options as opt
from azr_mini.config import Config
from azr_mini.presets import PRESETS, preset
from azr_mini.sandbox import SandboxError

PROGRAM = "python -m azr_mini"
STEPS_BEFORE_ETA = 3
CONSOLE = Console(highlight=False)


def main(arguments: list[str] | None = None) -> int:
    """Runs a command and returns the exit status: 2 for a mistake of the user's."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        say(__doc__.partition("\n")[0] + "\n")
        for command, (_, about) in COMMANDS.items():
            say(f"  {command:<14} {about}")
        say(f"\n{PROGRAM} COMMAND --help lists the options. Presets: {', '.join(PRESETS)}")
        return 0
    try:
        if name not in COMMANDS:
            raise ValueError(f"no command {name!r}: use {', '.join(COMMANDS)}")
        return COMMANDS[name][0](rest)
    except SandboxError as error:
        print(f"azr-mini: {error} (here: --unsafe)", file=sys.stderr)
        return 2
    except ValueError as error:
        if not _is_ours(error):
            raise
        print(f"azr-mini: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("azr-mini: stopped", file=sys.stderr)
        return 130


def _is_ours(error: Exception) -> bool:
    """Whether our code raised it, to say something to the user; else it is a bug, with a trace."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    return Path(last).is_relative_to(Path(__file__).parent)


def say(text) -> None:
    """Prints a line or a table at once, also into a pipe or a file."""
    CONSOLE.print(text, markup=False, soft_wrap=isinstance(text, str))
    CONSOLE.file.flush()


def parse(kind: type, command: str, arguments: list[str], default=None):
    """The options of a command; ValueError that says in one sentence why they cannot be read."""
    prog, complaint = f"{PROGRAM} {command}", io.StringIO()
    default = tyro.MISSING_NONPROP if default is None else default
    flat = (tyro.conf.OmitArgPrefixes,)  # --seed, not --config.seed
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(kind, prog=prog, args=arguments, default=default, config=flat)
    except SystemExit as ending:
        if not ending.code:
            raise  # --help
    sentence = _first_paragraph(complaint.getvalue())
    raise ValueError(f"{sentence} ({prog} --help lists the options)")


def _first_paragraph(boxed: str) -> str:
    """The text between title and ruler of a box that tyro drew, in colours or in plain ASCII."""
    _, *rows = [row.strip("│ ") for row in re.sub(r"\x1b\[[\d;]*m", "", boxed).splitlines()]
    is_ruler = [set(row) <= set("─-╰╯") for row in rows] + [True]
    start = is_ruler.index(False)
    text = rows[start : is_ruler.index(True, start)]
    return re.sub(r"^Error parsing \w+: ", "", " ".join(text)).rstrip(".")


# ---- train --------------------------------------------------------------------------------------


def train(arguments: list[str]) -> int:
    """Trains, or goes on; prints the table before/after and the paths of the figures."""
    options, run = _train_options(arguments)
    config, folder = options.config, options.run
    say(f"{config.num_steps} steps of self-play with {config.model}, seed {config.seed}: {folder}")
    from azr_mini.sandbox import Executor

    _quiet_transformers()
    with Executor(unsafe=options.unsafe) as executor:
        run, state = _open_or_create(run, folder, config)
        try:
            if state.step == 0 and options.heldout_tasks:
                _record_heldout(run, state, executor, options.heldout_tasks)
            finished = _self_play(run, state, executor, options)
            if finished and run.heldout:  # the same tasks as before, also of a run that goes on
                first = next(iter(run.heldout[0]["types"].values()))
                _record_heldout(run, state, executor, len(first["correct"]))
        except KeyboardInterrupt:
            finished = False
        if not finished:
            say(f"stopped; the first {run.step} of {config.num_steps} steps are saved")
            say(f"go on with: {PROGRAM} train --run {folder} --resume")
            return 130
    _print_results(run)
    return 0


def _train_options(arguments: list[str]):
    """The options, on top of the preset or of the run to be resumed; and that run, or None."""
    from azr_mini.runs import Run, require_free

    name, folder = (_value_of(flag, arguments) for flag in ("--preset", "--run"))
    start, run = preset(name or "nano"), None
    if "--resume" in arguments:
        if folder is None:
            raise ValueError("--resume without --run: name the run folder to go on with")
        run = Run.open(folder)
        start = start if name else run.config
    options = parse(opt.TrainOptions, "train", arguments, opt.TrainOptions(config=start))
    if run is not None:
        run.check_same(options.config)
        return options, run
    options = dataclasses.replace(options, run=options.run or _next_folder(options.preset))
    require_free(options.run)
    return options, None


def _value_of(flag: str, arguments: list[str]) -> str | None:
    """The value of a flag that decides what the defaults of the others are."""
    for word, following in itertools.pairwise([*arguments, ""]):
        if word == flag:
            return following
        if word.startswith(flag + "="):
            return word.partition("=")[2]
    return None


def _next_folder(name: str) -> Path:
    folders = (Path("runs", f"{name}-{number}") for number in itertools.count(1))
    return next(folder for folder in folders if not folder.exists())


def _quiet_transformers() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()  # one bar for each file it reads or writes


def _open_or_create(run, folder: Path, config: Config):
    from azr_mini.runs import Run
    from azr_mini.train import TrainState

    if run is None:
        state = TrainState.create(config)  # before the folder: a wrong model leaves nothing behind
        return Run.create(folder, config, state.policy), state
    state = run.state(config)
    for change in run.changes(state.policy):
        say(f"note: {change}, so it will not be bit for bit the run that was not stopped")
    run.rewind()
    say(f"going on after {state.step} steps")
    return run, state


def _self_play(run, state, executor, options: opt.TrainOptions) -> bool:
    """Trains to the last step, appending and saving; False if Ctrl-C ended it earlier."""
    from azr_mini.report import duration, step_line
    from azr_mini.train import train as self_play

    num_steps, times = options.config.num_steps, deque(maxlen=10)
    columns = (progress.BarColumn(), progress.TextColumn("{task.fields[eta]}"))
    bar = progress.Progress(*columns, console=CONSOLE, disable=not CONSOLE.is_terminal)
    with Interrupts() as interrupts, bar:
        shown = bar.add_task("self-play", total=num_steps, completed=state.step, eta="")
        began = time.perf_counter()
        for step in self_play(options.config, state, executor):
            run.append(step)
            stop = interrupts.asked  # read once: what is not saved must not be left
            if stop or state.step == num_steps or state.step % options.checkpoint_every == 0:
                run.checkpoint(state)
            times.append(time.perf_counter() - began)
            began += times[-1]
            left = statistics.median(times) * (num_steps - state.step)
            eta = f"ETA {duration(left)}" if len(times) >= STEPS_BEFORE_ETA else ""
            say(f"{step_line(step, num_steps)}  {eta}")
            bar.update(shown, completed=state.step, eta=eta)
            if stop:
                break
    return state.step == num_steps


class Interrupts:
    """While it lasts, the first Ctrl-C or SIGTERM is only noted; the second raises."""

    def __init__(self):
        self.asked = False

    def __enter__(self) -> "Interrupts":
        self._before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, frame) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        # not print: it may have been interrupted in the middle of itself
        os.write(2, b"\nfinishing this step and saving; once more throws the step away\n")


def _record_heldout(run, state, executor, limit: int) -> None:
    """Adds the sampled and the greedy accuracy of the policy as it is now to the run."""
    length = run.config.max_new_tokens
    found = _both_ways(state.policy, executor, limit, max_new_tokens=length)
    for scores in found:
        run.append_heldout({"step": state.step, **scores.to_json()})


def _print_results(run) -> None:
    from azr_mini.report import gains_table

    records = run.heldout
    for how, wanted in (("temperature 1", 1.0), ("greedy", 0.0)):
        same = [record for record in records if record["temperature"] == wanted]
        if len(same) > 1:
            say(gains_table(f"Held-out accuracy, {how}", same[0], same[-1]))
    say("drawing the figures")
    from azr_mini.viz.figures import write_figures

    for path in write_figures(run):
        say(str(path))


# ---- evaluate -----------------------------------------------------------------------------------


def evaluate(arguments: list[str]) -> int:
    """Scores a model or a run on the benchmarks."""
    options = parse(opt.EvaluateOptions, "evaluate", arguments)
    earlier = _earlier_result(options.against)
    if options.json and options.json.exists():
        raise ValueError(f"result file {options.json} exists: name another one with --json")
    say(f"loading {options.model}")
    import torch

    from azr_mini.report import gains_table, scores_table
    from azr_mini.runs import environment
    from azr_mini.sandbox import Executor

    _quiet_transformers()
    torch.set_num_threads(options.threads)
    policy = _load(options)
    with Executor(unsafe=options.unsafe) as executor:
        began = time.perf_counter()
        settings = {n: getattr(options, n) for n in ("forced", "max_new_tokens", "seed")}
        found = _both_ways(policy, executor, options.limit, options.samples, options.temperature,
                           **settings)  # fmt: skip
    names = [f"temperature {options.temperature:g}", "greedy"]
    for name, scores in zip(names, found, strict=True):
        say(scores_table(f"{options.model}, held-out, {name}", scores))
    results = dict(zip(("sampled", "greedy"), (scores.to_json() for scores in found), strict=True))
    for name, kind in zip(names, results, strict=True):
        if earlier:
            say(gains_table(f"against {options.against}, {name}", earlier[kind], results[kind]))
    if options.json:
        command = " ".join([PROGRAM, "evaluate", *arguments])
        seconds = round(time.perf_counter() - began, 1)
        record = {"command": command, "seconds": seconds, **environment(policy), **results}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record) + "\n", encoding="utf-8")
        say(str(options.json))
    return 0


def _earlier_result(path: Path | None) -> dict | None:
    if path is None:
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {kind: record[kind] for kind in ("sampled", "greedy")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = type(error).__name__
        raise ValueError(f"{path} is not a result of evaluate --json ({reason})") from error


def _load(options: opt.EvaluateOptions):
    from azr_mini.policy import load_policy
    from azr_mini.runs import Run, is_run

    name, rank = options.model, 1 if options.quantize else None
    if is_run(name):
        folder = Run.open(name).checkpoint_folder
        if folder is None:
            raise ValueError(f"run {name} has no checkpoint yet: train it for some steps first")
        name, rank = str(folder), None
    return load_policy(name, options.quantize, rank, options.dtype, options.device)


def _both_ways(
    policy, executor, limit: int | None, samples: int = 4, temperature: float = 1.0, **settings
):
    """The scores on the held-out set at the temperature, and the greedy ones."""
    from azr_mini.evaluate.heldout import evaluate, first_of_each_type, load_heldout_tasks
    from azr_mini.report import duration
    from azr_mini.sampler import Sampler

    tasks = first_of_each_type(load_heldout_tasks(), limit)
    found = []
    for kind, count, heat in (("sampled", samples, temperature), ("greedy", 1, 0.0)):
        what = f"held-out accuracy, {kind}, {len(tasks)} tasks x {count}"
        say(what)
        began = time.perf_counter()
        scores = evaluate(
            policy, Sampler(policy), executor, tasks, samples=count, temperature=heat,
            track=_bar(what), **settings,
        )  # fmt: skip
        by_type = "  ".join(f"{t.value} {scores.accuracy(t).estimate:.1%}" for t in scores.attempts)
        say(f"  {by_type}  ({duration(time.perf_counter() - began)})")
        found.append(scores)
    return found


def _bar(what: str) -> Callable:
    if not CONSOLE.is_terminal:
        return iter
    return lambda batches: progress.track(batches, what, console=CONSOLE, transient=True)


# ---- plot, show, doctor, pretrain-nano ----------------------------------------------------------


def plot(arguments: list[str]) -> int:
    """Writes every figure of a run and prints their paths."""
    options = parse(opt.PlotOptions, "plot", arguments)
    from azr_mini.runs import Run

    run = Run.open(options.run)
    from azr_mini.viz.figures import write_figures

    for path in write_figures(run, options.out):
        say(str(path))
    return 0


def show(arguments: list[str]) -> int:
    """Prints prompts, answers and verdicts of a run."""
    options = parse(opt.ShowOptions, "show", arguments)
    from azr_mini.report import rollout_text, select
    from azr_mini.runs import Run
    from azr_mini.tasks import Role, TaskType

    role = Role(options.role) if options.role else None
    type = TaskType(options.type) if options.type else None
    rollouts = Run.open(options.run).rollouts
    chosen = select(rollouts, options.step, role, type, options.reward)
    shown = 0
    for rollout in itertools.islice(chosen, options.limit):
        say(("" if shown == 0 else "\n") + rollout_text(rollout))
        shown += 1
    if not shown:
        say("no rollout of this run is like that")
    return 0


def doctor(arguments: list[str]) -> int:
    """Prints what is here and what is missing; status 1 if something needed is."""
    parse(opt.DoctorOptions, "doctor", arguments)
    from azr_mini.doctor import examine
    from azr_mini.report import finding_lines

    findings = examine()
    for line in finding_lines(findings):
        say(line)
    return 0 if all(finding.ok for finding in findings) else 1


def pretrain_nano(arguments: list[str]) -> int:
    """Makes the nano base."""
    from azr_mini.nano.pretrain import PretrainConfig, pretrain

    config = parse(PretrainConfig, "pretrain-nano", arguments)
    started = None
    for record in pretrain(config):
        now = (time.time(), record["tokens"])
        started = started or now
        rate = (now[1] - started[1]) / max(1e-9, now[0] - started[0])
        left = f", {(config.tokens - now[1]) / rate / 60:.0f} min left" if rate else ""
        say(f"{now[1] / 1e6:7.2f} M tokens  loss {record['loss']:.3f}{left}")
    say(f"written: {config.out}")
    return 0


COMMANDS = {
    "train": (train, "self-play; prints a table before/after and the paths of the figures"),
    "evaluate": (evaluate, "held-out accuracy of a model or a run, with intervals and pass@k"),
    "plot": (plot, "the figures of a run as PNG files"),
    "show": (show, "prompts, answers and verdicts of a run as text"),
    "doctor": (doctor, "versions, device, confinement, what is missing and how to get it"),
    "pretrain-nano": (pretrain_nano, "make the nano base that data/nano_base holds"),
}

if __name__ == "__main__":
    sys.exit(main())
