"""The figure of accuracy during training, on benchmarks that are not trained on."""

import re

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from azr_mini.evaluate.benchmarks import BENCHMARKS
from azr_mini.evaluate.during import AFTER, BEFORE
from azr_mini.evaluate.heldout import TITLES
from azr_mini.runs import Run
from azr_mini.tasks import TaskType
from azr_mini.viz.style import COLOURS, PANEL, name_steps, panels, say_missing

COLUMNS = 3
MEAN = "#333333"


def evaluations(run: Run) -> Figure:
    """Accuracy on each benchmark that was evaluated during training, as in the paper's figure 6a.

    One panel a benchmark, from the policy before the first step on; its 95 % interval is shaded.
    """
    found = evaluation_table(run.metrics)
    names = list(dict.fromkeys(key.partition("/")[0] for key in found.columns))
    columns = min(COLUMNS, max(1, len(names)))
    rows = max(1, -(-len(names) // columns))
    title = "Accuracy during training: tasks that are not trained on, greedy answers"
    figure, grid = panels(title, rows, columns, sharex=True)
    figure.set_size_inches(PANEL[0] * 1.3 * max(1.7, columns), PANEL[1] * 1.35 * rows + 0.8)
    for axes, name in zip(grid.flat, names, strict=False):
        axes.set_title(BENCHMARKS[name].title if name in BENCHMARKS else TITLES.get(name, name))
        _lines(axes, found, name)
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    for axes in grid.flat[max(1, len(names)) :]:
        axes.remove()
    if not names:
        say_missing(grid[0, 0], "evaluation during training")
        grid[0, 0].set_title("train with --evaluate-every 10")
    grid[0, 0].set_ylabel("accuracy")
    name_steps([axes for axes in grid[-1] if axes in figure.axes])
    handles, labels = grid[0, 0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def evaluation_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """What was evaluated during training: one row for each number of steps done, from 0 on.

    metrics: of a run. Columns such as `heldout/accuracy`, without the prefix of the metric.
    """
    parts = [
        metrics.filter(regex=rf"^{re.escape(prefix)}/").dropna(how="all")
        for prefix in (BEFORE, AFTER)
    ]
    for part, done in zip(parts, (0, 1), strict=True):
        part.columns = [key.partition("/")[2] for key in part.columns]
        part.index = part.index + done  # a step's metrics are those after it
    return pd.concat(parts).rename_axis("steps")


def _lines(axes: Axes, found: pd.DataFrame, name: str) -> None:
    lines = {f"{name}/accuracy/{type.value}": (type.value, COLOURS[type], 1.5) for type in TaskType}
    lines[f"{name}/accuracy"] = ("mean", MEAN, 2.4)
    for key, (label, colour, width) in lines.items():
        if key in found:
            values = found[key].dropna()
            style = {"color": colour, "linewidth": width, "marker": "o", "markersize": 3.5}
            axes.plot(values.index, values, label=label, **style)
    if f"{name}/low" in found:
        ends = found[[f"{name}/low", f"{name}/high"]].dropna()
        axes.fill_between(ends.index, *ends.to_numpy().T, color=MEAN, alpha=0.12, linewidth=0)
