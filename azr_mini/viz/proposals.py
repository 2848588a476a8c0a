"""Figures of what is proposed: valid or why not, and the buffer it fills."""

import pandas as pd
from matplotlib.figure import Figure

from azr_mini.runs import Run
from azr_mini.tasks import Role, TaskType
from azr_mini.viz.style import (
    COLOURS,
    LINES,
    OTHER_COLOURS,
    PANEL,
    curve,
    name_steps,
    panels,
    say_missing,
    share_axis,
    smooth,
)

HATCHES = ("", "//", "..", "\\\\", "xx", "++")


def valid_rate(run: Run) -> Figure:
    """Share of valid proposals by type, and what the others were rejected for, stacked."""
    metrics = run.metrics
    causes = _causes(metrics)
    title = "Proposals: the valid share should grow; the stripes say why the others were rejected"
    figure, (row,) = panels(title, 1, 3, sharey=True)
    figure.set_size_inches(PANEL[0] * 3, PANEL[1] * 1.5)
    for axes, type in zip(row, TaskType, strict=True):
        axes.set_title(type.value)
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        if f"valid_rate/{type.value}" not in metrics:
            say_missing(axes, "proposal")
            continue
        _stack(axes, metrics, type, causes)
    row[0].set_ylabel("share of proposals")
    name_steps(row)
    handles, labels = row[0].get_legend_handles_labels()
    if labels:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _causes(metrics: pd.DataFrame) -> list[str]:
    """The names of rejections, most frequent first; all beyond the palette count as other."""
    totals: dict[str, float] = {}
    for key in metrics.columns:
        if key.startswith("rejected/"):
            cause = key.rpartition("/")[2]
            totals[cause] = totals.get(cause, 0.0) + metrics[key].sum()
    return sorted(totals, key=lambda cause: -totals[cause])


def _stack(axes, metrics: pd.DataFrame, type: TaskType, causes: list[str]) -> None:
    def share(cause: str) -> pd.Series:
        key = f"rejected/{type.value}/{cause}"
        values = metrics.get(key, pd.Series(0.0, index=metrics.index))
        return smooth(values.fillna(0.0))  # a cause that did not occur is left out of a step

    named = causes if len(causes) <= len(HATCHES) else causes[: len(HATCHES) - 1]
    layers = {cause: share(cause) for cause in named}
    if len(named) < len(causes):
        layers["other"] = sum(share(cause) for cause in causes[len(named) :])
    valid = smooth(metrics[f"valid_rate/{type.value}"])
    areas = axes.stackplot(
        metrics.index, valid, *layers.values(), labels=["_valid", *layers],
        colors=[COLOURS[type], *OTHER_COLOURS[: len(layers)]],
    )  # fmt: skip
    for area, hatch in zip(areas[1:], HATCHES, strict=False):
        area.set(hatch=hatch, edgecolor="white", linewidth=0)
    axes.text(0.04, 0.06, "valid", color="white", weight="bold", transform=axes.transAxes)
    axes.margins(x=0)


def buffer(run: Run) -> Figure:
    """Size of the buffer, its distinct programs, and how often proposals repeat."""
    metrics = run.metrics
    title = "Buffer: it should keep growing with new programs, not with copies"
    figure, (row,) = panels(title, 1, 3)
    figure.set_size_inches(PANEL[0] * 3, PANEL[1] * 1.4)
    names = ("buffer/size", "buffer/distinct", "duplicate_rate")
    labels = ("tasks", "distinct programs", "proposals that repeat a known task")
    for axes, name, label in zip(row, names, labels, strict=True):
        for type in TaskType:
            line = {"color": COLOURS[type], "linestyle": LINES[Role.PROPOSE]}
            curve(axes, metrics, f"{name}/{type.value}", label=type.value, **line)
        axes.set_title(label)
    share_axis(row[2])
    for axes in row[:2]:
        axes.set_ylim(bottom=0)
    if row[0].lines:
        row[0].legend(loc="upper left")
    name_steps(row)
    return figure
