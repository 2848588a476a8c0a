"""The figure of what is asked: how complex proposals are, how far from what is known already."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from azr_mini.metrics import step_tables
from azr_mini.runs import Run
from azr_mini.tasks import Role, TaskType
from azr_mini.viz.style import COLOURS, LINES, curve, name_steps, panels, say_missing, share_axis

MEANS = {
    "nodes": "syntax tree nodes",
    "cyclomatic": "cyclomatic complexity",
    "halstead_volume": "Halstead volume (bits)",
    "ast_distance": "distance to the references shown",
    "answer_diversity": "pairs of tasks whose answers differ",
    "repeats_similar": "programs that vary another one",
}


def questions(run: Run) -> Figure:
    """Complexity and diversity of the valid proposals of a run, over its steps."""
    return complexity_and_diversity(step_tables(run.rollouts))


def complexity_and_diversity(tables: list[pd.DataFrame]) -> Figure:
    """Means of each step's tasks by type; tables: one `metrics.task_table` a step, from step 0."""
    steps = _by_step(tables)
    title = "Questions: harder ones should come with new programs, not with variants of one"
    figure, grid = panels(title, 2, 3, sharex=True)
    for axes, (name, label) in zip(grid.flat, MEANS.items(), strict=True):
        axes.set_title(label)
        drawn = [
            curve(axes, steps, f"{name}/{type.value}", color=COLOURS[type],
                  linestyle=LINES[Role.PROPOSE])
            for type in TaskType
        ]  # fmt: skip
        if not any(drawn):
            say_missing(axes, label)
    for axes in grid[0]:
        axes.set_ylim(bottom=0)
    for axes in grid[1]:
        axes.set_ylim(-0.02, 1.02)
    for axes in grid[1, 1:]:
        share_axis(axes)
    grid[0, 0].set_ylabel("mean of the tasks")
    grid[1, 0].set_ylabel("0 is a copy")
    name_steps(grid[-1])
    figure.legend(handles=_legend(), loc="outside lower center", ncols=3)
    return figure


def _by_step(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """One row a step, one column for each mean and type; nan where a step has no task of a type."""
    rows = []
    for table in tables:
        row = {}
        for type, tasks in table.groupby("type"):
            row |= {f"{name}/{type}": tasks[name].mean() for name in MEANS}
        rows.append(row)
    return pd.DataFrame(rows)


def _legend() -> list[Line2D]:
    given = {TaskType.INDUCTION: "induction (its program was drawn from the buffer)"}
    return [
        Line2D([], [], color=COLOURS[type], linestyle=LINES[Role.PROPOSE],
               label=given.get(type, type.value))
        for type in TaskType
    ]  # fmt: skip
