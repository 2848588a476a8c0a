"""The command `train`: a new run or one that goes on, with progress, saving and a result table."""

import dataclasses
import itertools
from pathlib import Path

from rich import progress

from azr_mini import options as opt
from azr_mini.adapters import rank_of
from azr_mini.commands.console import CONSOLE, PROGRAM, parse, say
from azr_mini.commands.diagnose import say_findings
from azr_mini.commands.estimate import say_estimate
from azr_mini.commands.evaluate import both_ways
from azr_mini.config import Config
from azr_mini.keeping import Interrupts, keep
from azr_mini.presets import preset
from azr_mini.progress import Pace, step_line

HELDOUT_TASKS = 200  # of each type: enough for intervals of some points


def train(arguments: list[str]) -> int:
    """Trains, or goes on; prints the table before/after and the paths of the figures."""
    options, run = _train_options(arguments)
    config, folder = options.config, options.run
    if options.estimate or config.model != "nano":
        say_estimate(options)
    if options.estimate:
        return 0
    say(f"{config.num_steps} steps of self-play with {config.model}, seed {config.seed}: {folder}")
    from azr_mini.evaluate.answering import Runners
    from azr_mini.evaluate.during import evaluation_of
    from azr_mini.models import quiet_transformers
    from azr_mini.sandbox import Executor

    quiet_transformers()
    runners = Runners(config.threads, options.unsafe)  # opened by who needs one
    with Executor(unsafe=options.unsafe) as executor, runners:
        evaluation = evaluation_of(config, executor, runners) if config.evaluate_every else None
        run, state, sampler = _open_or_create(run, folder, config)
        try:
            limit = options.heldout_tasks
            if limit is None:
                limit = HELDOUT_TASKS if config.model == "nano" else 0
            if state.step == 0 and limit:
                _record_heldout(run, state, executor, limit)
            finished = _self_play(run, state, executor, options, sampler, evaluation)
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
    from azr_mini.runs import Run, next_folder, require_free

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
        run.lock()
        return options, run
    config = options.config
    if config.lora_rank is None and (rank := rank_of(config.model)):
        config = dataclasses.replace(config, lora_rank=rank)  # it trains on
    folder = options.run or next_folder(options.preset)
    options = dataclasses.replace(options, run=folder, config=config)
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


def _open_or_create(run, folder: Path, config: Config):
    from azr_mini.runs import Run
    from azr_mini.samplers import make_sampler
    from azr_mini.train import TrainState

    if run is None:
        state = TrainState.create(config)  # before the folder: a wrong model leaves nothing behind
        sampler = make_sampler(state.policy, config, tell=say)
        return Run.create(folder, config, state.policy), state, sampler
    state = run.state(config)
    sampler = make_sampler(state.policy, config, tell=say)
    for change in run.changes(state.policy):
        say(f"note: {change}, so it will not be bit for bit the run that was not stopped")
    run.grow(config)
    if note := run.rewind():
        say(note)
    say(f"going on after {state.step} steps")
    return run, state, sampler


def _self_play(run, state, executor, options: opt.TrainOptions, sampler, evaluation=None) -> bool:
    """Trains to the last step, appending and saving; False if Ctrl-C ended it earlier."""
    from azr_mini.diagnose import Watch, known_config
    from azr_mini.evaluate.during import with_evaluations
    from azr_mini.report import warning_lines
    from azr_mini.train import train as self_play

    num_steps = options.config.num_steps
    watch = Watch(known_config(run), run.metrics)
    columns = (progress.BarColumn(), progress.TextColumn("{task.fields[eta]}"))
    bar = progress.Progress(*columns, console=CONSOLE, disable=not CONSOLE.is_terminal)
    with Interrupts() as interrupts, bar:
        shown = bar.add_task("self-play", total=num_steps, completed=state.step, eta="")
        pace = Pace()
        steps = self_play(options.config, state, executor, sampler=sampler)
        if evaluation:
            every = options.config.evaluate_every
            steps = with_evaluations(steps, state, sampler, evaluation, every)
        every = options.checkpoint_every
        for step in keep(steps, run, state, interrupts, checkpoint_every=every):
            eta = pace.eta(num_steps - state.step)
            say(f"{step_line(step, num_steps)}  {eta}")
            for line in warning_lines(watch.see(step.step, step.metrics)):
                say(line)
            bar.update(shown, completed=state.step, eta=eta)
    return state.step == num_steps


def _record_heldout(run, state, executor, limit: int) -> None:
    """Adds the sampled and the greedy accuracy of the policy as it is now to the run."""
    length = run.config.max_new_tokens
    found = both_ways(state.policy, executor, limit, max_new_tokens=length)
    for scores in found:
        run.append_heldout({"step": state.step, **scores.to_json()})


def _print_results(run) -> None:
    from azr_mini.report import gains_table

    records = run.heldout
    for how, wanted in (("temperature 1", 1.0), ("greedy", 0.0)):
        same = [record for record in records if record["temperature"] == wanted]
        if len(same) > 1:
            say(gains_table(f"Held-out accuracy, {how}", same[0], same[-1]))
    say_findings(run)
    say("drawing the figures")
    from azr_mini.viz.figures import write_figures

    for path in write_figures(run):
        say(str(path))
