"""The figure of response lengths: how much is written, who thinks, what is cut."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

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
    share_axis,
    smooth,
)


def completion_length(run: Run) -> Figure:
    """Response length by role and type, with the shares that think and that are cut."""
    metrics = run.metrics
    title = "Response length: growth is good news if more answers think, bad news if more are cut"
    figure, grid = panels(title, 4, 3, sharex=True, sharey="row")
    for row, role in zip(grid, Role, strict=False):
        for axes, type in zip(row, TaskType, strict=True):
            _lengths(axes, metrics, role, type)
        row[0].set_ylabel("tokens")
        row[0].set_ylim(bottom=0)  # last: it freezes the top of the row, which must fit all three
    for column, type in enumerate(TaskType):
        for role in Role:
            line = {"color": COLOURS[type], "linestyle": LINES[role]}
            name = f"{role.value}/{type.value}"
            curve(grid[2, column], metrics, f"thinking_share/{name}", **line)
            curve(grid[3, column], metrics, f"completion_length/{name}/truncated", **line)
        grid[2, column].set_title(f"share that thinks, {type.value}")
        grid[3, column].set_title(f"share cut at the limit, {type.value}")
        share_axis(grid[2, column])
    share_axis(grid[3, 0])
    cut = [key for key in metrics.columns if key.endswith("/truncated")]
    grid[3, 0].set_ylim(0, max(0.05, 1.1 * metrics[cut].max().max() if cut else 0))
    name_steps(grid[-1])
    figure.legend(handles=_legend(), loc="outside lower center", ncols=6)
    return figure


def _lengths(axes: Axes, metrics: pd.DataFrame, role: Role, type: TaskType) -> None:
    prefix = f"completion_length/{role.value}/{type.value}"
    colour = COLOURS[type]
    axes.set_title(f"{ROLE_NAMES[role]}, {type.value}")
    if not curve(axes, metrics, f"{prefix}/mean", color=colour, linestyle=LINES[role]):
        say_missing(axes, f"{prefix}/mean")
        return
    p50, p90 = (smooth(metrics[f"{prefix}/{name}"]) for name in ("p50", "p90"))
    axes.fill_between(metrics.index, p50, p90, color=colour, alpha=0.15, linewidth=0)
    for edge in (p50, p90):
        axes.plot(metrics.index, edge, color=colour, linewidth=0.9, alpha=0.8)
    if f"{prefix}/terminated" in metrics:
        ended = smooth(metrics[f"{prefix}/terminated"])
        axes.plot(metrics.index, ended, color="#333333", linestyle=":", linewidth=1.4)


def _legend() -> list:
    return [
        Line2D([], [], color="#555555", linestyle=LINES[Role.PROPOSE], label="proposer"),
        Line2D([], [], color="#555555", linestyle=LINES[Role.SOLVE], label="solver"),
        Patch(color="#555555", alpha=0.2, label="median to 90th percentile"),
        Line2D([], [], color="#333333", linestyle=":", label="mean of those that ended"),
    ]
