"""The figure of pass@k before and after training: whether more is solved, or only more surely."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from azr_mini.evaluate.sharpening import counts_of, pass_curve
from azr_mini.tasks import TaskType
from azr_mini.viz.style import COLOURS, GREY, house_style, panels

KS = (1, 2, 4, 8, 16, 32, 64)
MEAN_COLOUR = "#333333"


def pass_at_k_curves(
    before: Mapping, after: Sequence[Mapping], title: str = "Held-out pass@k"
) -> Figure:
    """pass@k of the base (grey, dashed) and of the runs (coloured), with bands of 95 %.

    before, after: parts of `load_sharpening`. A panel for the mean of the task types, and one for
    each.
    """
    ks = [k for k in KS if k <= before["num_samples"]]
    names: list[TaskType | None] = [None, *counts_of(before)]
    with house_style():
        figure, grid = panels(title, 1, len(names), sharey=True)
        for axes, type in zip(grid.flat, names, strict=True):
            colour = COLOURS[type] if type else MEAN_COLOUR
            _curve(axes, ks, pass_curve([before], ks, type), GREY, "--")
            _curve(axes, ks, pass_curve(after, ks, type), colour, "-")
            axes.set_title(type.value if type else "mean of the types")
            axes.set_xscale("log", base=2)
            axes.set_xticks(ks, [str(k) for k in ks])
            axes.set_xlabel("k samples")
        grid.flat[0].set_ylabel("solved by at least one")
        grid.flat[0].yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        runs = "after training" if len(after) == 1 else f"after training, {len(after)} runs"
        legend = [
            Line2D([], [], color=GREY, linestyle="--", label="base"),
            Line2D([], [], color=MEAN_COLOUR, label=runs),
        ]
        figure.legend(handles=legend, loc="outside lower center", ncols=2)
    return figure


def _curve(axes, ks: Sequence[int], found, colour: str, line: str) -> None:
    axes.plot(ks, [point.estimate for point in found], line, color=colour, marker="o", markersize=4)
    bounds = [point.low for point in found], [point.high for point in found]
    axes.fill_between(ks, *bounds, color=colour, alpha=0.18, linewidth=0)
