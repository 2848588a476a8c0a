"""The figure of behaviour: length, plans, trial and error, state tracking by task type."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from azr_mini.behaviour_table import behaviour_table
from azr_mini.runs import Run
from azr_mini.tasks import Role, TaskType
from azr_mini.viz.style import (
    COLOURS,
    LINES,
    ROLE_NAMES,
    curve,
    name_steps,
    panels,
    say_missing,
)

PANELS = {
    "length": "tokens of a completion",
    "plans": "plans as comments",
    "trial_and_error": "trial and error",
    "state_tracking": "state tracking",
}
LEAST_TOP = 0.05  # of a share's axis


def behaviour(run: Run) -> Figure:
    """Mean length and the share of completions that show a behaviour, by role and task type."""
    table = behaviour_table(run.rollouts, by_step=True)
    title = "Behaviour nobody asked for: counted by simple detectors, never rewarded"
    figure, grid = panels(title, 2, 2, sharex=True)
    figure.set_size_inches(figure.get_size_inches() * (1.15, 1.1))
    for axes, (column, name) in zip(grid.flat, PANELS.items(), strict=True):
        axes.set_title(name)
        if table.empty:
            say_missing(axes, "completion")
            continue
        _lines(axes, table[column])
        axes.set_ylim(bottom=0)
        if column != "length":
            axes.set_ylim(0, max(LEAST_TOP, axes.get_ylim()[1]))
            axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    name_steps(grid[-1])
    figure.legend(handles=_legend(), loc="outside lower center", ncols=5)
    return figure


def _lines(axes: Axes, values: pd.Series) -> None:
    by_group = values.unstack(["role", "type"])
    for role in Role:
        for type in TaskType:
            key = (role.value, type.value)
            curve(axes, by_group, key, color=COLOURS[type], linestyle=LINES[role])


def _legend() -> list[Line2D]:
    types = [Line2D([], [], color=COLOURS[type], label=type.value) for type in TaskType]
    roles = [
        Line2D([], [], color="#555555", linestyle=LINES[role], label=ROLE_NAMES[role])
        for role in Role
    ]
    return types + roles
