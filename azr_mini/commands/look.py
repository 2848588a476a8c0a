"""The commands that look at a run or at this machine: `plot`, `show`, `doctor`."""

import itertools

from azr_mini import options as opt
from azr_mini.commands.console import parse, say


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
    from azr_mini.behaviour import Behaviour
    from azr_mini.reading import rollout_text, select
    from azr_mini.runs import Run
    from azr_mini.tasks import Role, TaskType

    role = Role(options.role) if options.role else None
    type = TaskType(options.type) if options.type else None
    behaviour = Behaviour[options.behaviour.upper()] if options.behaviour else None
    rollouts = Run.open(options.run).rollouts
    chosen = select(rollouts, options.step, role, type, options.reward, behaviour)
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
