"""Figures of how hard tasks are, and of what a proposer is paid for that."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from azr_mini.rewards import PROPOSER_REWARDS, proposal_reward
from azr_mini.runs import Run
from azr_mini.tasks import Role, TaskType
from azr_mini.viz.style import COLOURS, GREY, OTHER_COLOURS, PANEL, panels, say_missing

SHAPE_COLOUR = "#333333"
SHAPE_MARKERS = {"one_minus": "o", "variance": "s", "tent": "^", "band": "D"}


def rates_of_step(run: Run, step: int) -> dict[TaskType, list[float]]:
    """The solve rates of the new tasks of one step of a run, by type."""
    rates: dict[TaskType, list[float]] = {type: [] for type in TaskType}
    for record in run.rollouts:
        new = record["role"] == Role.PROPOSE.value and record["solve_rate"] is not None
        if record["step"] == step and new:
            rates[TaskType(record["type"])].append(record["solve_rate"])
    return rates


def solve_rates(
    rates: Sequence[float] | dict[TaskType, Sequence[float]], num_attempts: int
) -> Figure:
    """Histogram of solve rates, one panel or one for each type; each bar is one possible rate."""
    by_type = rates if isinstance(rates, dict) else {None: rates}
    found = np.concatenate([np.asarray(values, dtype=float) for values in by_type.values()])
    teach = int(((found > 0) & (found < 1)).sum())
    title = f"Only tasks that are solved sometimes teach: {teach} of these {found.size}"
    figure, (row,) = panels(title, 1, len(by_type), sharey=True)
    figure.set_size_inches(PANEL[0] * max(2.2, len(by_type)), PANEL[1] * 1.4)
    for axes, (type, values) in zip(row, by_type.items(), strict=True):
        axes.set_title(type.value if type else f"{found.size} tasks")
        bars(axes, values, num_attempts, COLOURS.get(type, OTHER_COLOURS[1]))
        axes.set_xlabel(f"solve rate over {num_attempts} attempts")
    row[0].set_ylabel("tasks")
    return figure


def bars(axes: Axes, rates: Sequence[float], num_attempts: int, colour: str) -> None:
    """Counts of each possible rate; those that teach nothing are hollow and hatched.

    ValueError if there were no attempts or a rate is no share.
    """
    if num_attempts < 1:
        raise ValueError(f"num_attempts is {num_attempts}: give 1 or more")
    for rate in rates:
        if not 0 <= rate <= 1:
            raise ValueError(f"a solve rate is {rate}: give shares from 0 to 1")
    if not len(rates):
        say_missing(axes, "solve rate")
        return
    levels = np.arange(num_attempts + 1) / num_attempts
    right = np.rint(np.asarray(rates, dtype=float) * num_attempts).astype(int)
    counts = np.bincount(right, minlength=num_attempts + 1)
    drawn = axes.bar(levels, counts, width=0.8 / num_attempts, color=colour)
    for bar in (drawn[0], drawn[-1]):
        bar.set(facecolor="white", edgecolor=colour, hatch="///", linewidth=1)
    axes.grid(visible=False, axis="x")
    axes.set_xlim(-0.75 / num_attempts, 1 + 0.75 / num_attempts)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    axes.yaxis.get_major_locator().set_params(integer=True)


def reward_shape(
    rates: Sequence[float],
    num_attempts: int,
    shape: str | Callable[[float], float] = "one_minus",
    zero: float = 0.0,
) -> Figure:
    """What a shape of the proposer's reward pays, under the histogram of the rates it is paid for.

    shape: a name from `rewards.PROPOSER_REWARDS`, or a function of the solve rate. zero: the reward
    of a valid task from which nothing is learned (paper 0, official code -0.5).
    """
    name = shape if isinstance(shape, str) else getattr(shape, "__name__", "your function")
    pay = PROPOSER_REWARDS[shape] if isinstance(shape, str) else shape
    earned = [proposal_reward(rate, pay, zero) for rate in rates]
    mean = f"{np.mean(earned):+.2f}" if earned else "nothing"
    title = f"Reward shape {name}: these tasks earn their proposer {mean} on average"
    figure, grid = panels(title, 2, 1, sharex=True, height_ratios=(2, 3))
    figure.set_size_inches(PANEL[0] * 2.2, PANEL[1] * 2.2)
    (tasks,), (paid,) = grid
    bars(tasks, rates, num_attempts, OTHER_COLOURS[1])
    tasks.set(title=f"{len(earned)} tasks by solve rate", ylabel="tasks")
    others = {other: f for other, f in PROPOSER_REWARDS.items() if other != name}
    for other, function in others.items():
        _shape(paid, function, num_attempts, zero, GREY, 1.0, label=other)
    _shape(paid, pay, num_attempts, zero, SHAPE_COLOUR, 2.4, label=name)
    paid.axhline(0, color="#888888", linewidth=0.8)
    paid.set_title(f"reward of the proposer, {zero:g} where nothing is learned")
    paid.set(xlabel=f"solve rate over {num_attempts} attempts", ylabel="reward")
    paid.set_ylim(min(-0.6, *earned, 0) - 0.05, max(1.0, *earned, 1) + 0.08)
    paid.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _shape(
    axes: Axes, pay: Callable, num_attempts: int, zero: float, colour: str, width: float, label: str
) -> None:
    levels = np.arange(num_attempts + 1) / num_attempts
    between = np.linspace(0.002, 0.998, 499)  # at both ends the reward jumps
    line, points = ([proposal_reward(p, pay, zero) for p in x.tolist()] for x in (between, levels))
    axes.plot(between, line, color=colour, linewidth=width, alpha=0.6)
    marks = {"marker": SHAPE_MARKERS.get(label, "*"), "markersize": 2.5 + 1.8 * width}
    axes.plot(levels, points, color=colour, linestyle="none", label=label, **marks)
