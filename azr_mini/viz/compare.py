"""The figure that sets kinds of runs side by side, each with the spread over its seeds."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from azr_mini.runs import Run
from azr_mini.viz.style import OTHER_COLOURS, house_style, name_steps, panels, say_missing, smooth

COLUMNS = 3
LINE_COLOURS = tuple(colour for colour in OTHER_COLOURS if colour != "#F0E442")  # yellow is pale


def compare(groups: Mapping[str, Sequence[Run]], curves: Mapping[str, str], title: str) -> Figure:
    """Mean curve of each group of runs, and a band from its lowest to its highest run.

    groups: runs that differ in nothing but the seed, by name. curves: for each panel its title and
    the metric, where * stands for anything: "solve_rate/*" is the mean over the task types. Every
    run is smoothed first; only steps that all runs of a group have are drawn. ValueError if there
    are more groups than colours.
    """
    if len(groups) > len(LINE_COLOURS):
        raise ValueError(f"{len(groups)} groups of runs: compare at most {len(LINE_COLOURS)}")
    metrics = {name: [run.metrics for run in runs] for name, runs in groups.items()}
    colours = dict(zip(groups, LINE_COLOURS, strict=False))
    columns = min(COLUMNS, len(curves))
    with house_style():
        figure, grid = panels(title, -(-len(curves) // columns), columns)
        for axes, (name, key) in zip(grid.flat, curves.items(), strict=False):
            axes.set_title(name)
            drawn = [_band(axes, tables, key, colours[group]) for group, tables in metrics.items()]
            if not any(drawn):
                say_missing(axes, key)
        for axes in grid.flat[len(curves) :]:
            axes.remove()
        name_steps(figure.axes)
        legend = [Line2D([], [], color=colour, label=name) for name, colour in colours.items()]
        if any(len(runs) > 1 for runs in groups.values()):
            legend.append(Patch(color="#555555", alpha=0.2, label="lowest to highest run"))
        figure.legend(handles=legend, loc="outside lower center", ncols=len(legend))
    return figure


def over_runs(tables: Sequence[pd.DataFrame], key: str) -> pd.DataFrame:
    """The smoothed metric of each run, one row a step that all have; empty if one run lacks it."""
    found = []
    for metrics in tables:
        names = [name for name in metrics.columns if fnmatchcase(name, key)]
        if not names or metrics[names].isna().all(axis=None):
            return pd.DataFrame()
        found.append(smooth(metrics[names].astype(float).mean(axis=1)))
    return pd.concat(found, axis=1, join="inner") if found else pd.DataFrame()


def _band(axes, tables: Sequence[pd.DataFrame], key: str, colour: str) -> bool:
    runs = over_runs(tables, key)
    if runs.empty:
        return False
    low, high = runs.min(axis=1), runs.max(axis=1)
    axes.fill_between(runs.index, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(runs.index, runs.mean(axis=1), color=colour)
    return True
