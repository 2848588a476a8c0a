"""Figures of what is learned: rewards, solve rates, held-out accuracy."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from azr_mini.evaluate.intervals import bootstrap_mean
from azr_mini.evaluate.scores import correct_from_json
from azr_mini.runs import Run
from azr_mini.tasks import Role, TaskType
from azr_mini.viz.style import (
    COLOURS,
    GREY,
    LINES,
    PANEL,
    ROLE_NAMES,
    curve,
    name_steps,
    panels,
    say_missing,
    share_axis,
    smooth_curve,
)

MAX_COLUMNS = 25  # of a histogram over time; more steps share a column


def reward(run: Run, behind: Sequence[Run] = (), num_steps: int | None = None) -> Figure:
    """Mean reward of the six (role, task type) groups; other runs in grey behind.

    num_steps: where the step axis ends, for a run that is not finished yet.
    """
    metrics, others = run.metrics, [other.metrics for other in behind]
    title = "Reward: harder tasks pay the proposer, so the solver's may fall while it learns"
    figure, grid = panels(title, 2, 3, sharex=True, sharey="row")
    for row, role in zip(grid, Role, strict=True):
        for axes, type in zip(row, TaskType, strict=True):
            key = f"reward/{role.value}/{type.value}"
            grey = {"color": GREY, "linestyle": LINES[role], "linewidth": 1.3}
            found = [smooth_curve(axes, other, key, **grey) for other in others]
            found.append(curve(axes, metrics, key, color=COLOURS[type], linestyle=LINES[role]))
            if not any(found) and num_steps is None:
                say_missing(axes, key)
            axes.axhline(0, color="#888888", linewidth=0.8)
            axes.set_title(f"{ROLE_NAMES[role]}, {type.value}")
        row[0].set_ylabel("mean reward")
    name_steps(grid[-1])
    if num_steps is not None:
        end = max([num_steps, *map(len, others)]) - 1
        grid[0, 0].set_xlim(-0.5 - 0.02 * end, 0.5 + 1.02 * end)
    if behind:
        what = "a recorded run" if len(behind) == 1 else f"{len(behind)} recorded runs"
        line = Line2D([], [], color=GREY, linewidth=1.3, label=f"grey: {what}, smoothed")
        figure.legend(handles=[line], loc="outside lower center")
    return figure


def solve_rate(run: Run) -> Figure:
    """Share of right attempts by type, and share of new tasks that can teach something."""
    metrics = run.metrics
    title = "Solve rate: neither 0 nor 1, or there is nothing left to learn from"
    figure, ((rates, learnable),) = panels(title, 1, 2)
    figure.set_size_inches(PANEL[0] * 2.6, PANEL[1] * 1.4)
    found = [
        curve(rates, metrics, f"solve_rate/{type.value}", color=COLOURS[type], label=type.value)
        for type in TaskType
    ]
    if any(found):
        rates.legend(loc="best")
    rates.set_title("attempts that are right")
    curve(learnable, metrics, "learnable_frac", color="#333333")
    learnable.set_title("new tasks solved sometimes, not always")
    for axes in (rates, learnable):
        share_axis(axes)
    name_steps([rates, learnable])
    return figure


def solve_rate_histogram(run: Run) -> Figure:
    """How the solve rates of each step's new tasks are spread, over time."""
    table = pd.DataFrame(
        [
            (record["step"], record["type"], record["solve_rate"])
            for record in run.rollouts
            if record["role"] == Role.PROPOSE.value and record["solve_rate"] is not None
        ],
        columns=["step", "type", "rate"],
    )
    title = "How hard the new tasks are: only the rows between 0 % and 100 % teach"
    figure, (row,) = panels(title, 1, 3, sharey=True)
    levels, images = run.record["config"]["num_attempts"], []
    for axes, type in zip(row, TaskType, strict=True):
        rows = table[table["type"] == type.value]
        axes.set_title(type.value)
        axes.grid(False)
        if rows.empty:
            say_missing(axes, "valid new task")
            continue
        images.append(_heat_map(axes, rows, levels, table["step"].max() + 1))
    for image in images:
        image.set_clim(0, max(np.nanmax(image.get_array()) for image in images))
    if images:
        bar = figure.colorbar(images[0], ax=list(row), pad=0.01)
        bar.set_label("share of the new tasks")
    row[0].set_ylabel("solve rate")
    name_steps(row)
    return figure


def _heat_map(axes, rows: pd.DataFrame, levels: int, num_steps: int):
    edges = np.linspace(0, num_steps, min(MAX_COLUMNS, num_steps) + 1)
    half = 0.5 / levels
    heights = np.linspace(-half, 1 + half, levels + 2)  # one row for each possible rate
    counts, _, _ = np.histogram2d(rows["step"] + 0.5, rows["rate"], bins=[edges, heights])
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    return axes.pcolormesh(edges, heights, shares.T, cmap="cividis")


def heldout(run: Run) -> Figure:
    """Accuracy on the held-out set at each evaluation, with 95 % intervals over tasks."""
    records = [record for record in run.heldout if record["forced"] is None]
    kinds = sorted({(r["temperature"], r["num_samples"]) for r in records}, reverse=True)
    title = "Held-out accuracy, 95 % intervals: tasks that no training ever saw"
    figure, (row,) = panels(title, 1, max(1, len(kinds)), sharey=True)
    figure.set_size_inches(PANEL[0] * 1.3 * max(1.5, len(kinds)), PANEL[1] * 1.6)
    if not kinds:
        say_missing(row[0], "held-out evaluation")
    for axes, kind in zip(row, kinds, strict=False):
        same = [r for r in records if (r["temperature"], r["num_samples"]) == kind]
        _accuracy_lines(axes, same)
        how = f"temperature {kind[0]:g}" if kind[0] else "greedy"
        axes.set_title(f"{how}, {kind[1]} sample{'s' if kind[1] > 1 else ''} a task")
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        name_steps([axes])
    if kinds:
        row[0].set_ylabel("accuracy")
        row[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _accuracy_lines(axes, records: list[dict]) -> None:
    steps = np.array([record["step"] for record in records], dtype=float)
    nudge = 0.012 * max(1.0, steps.max() - steps.min())  # so that whiskers do not hide each other
    lines = [(type.value, COLOURS[type], "o", [type.value]) for type in TaskType]
    lines.append(("mean of the three", "#333333", "D", [type.value for type in TaskType]))
    for index, (name, colour, marker, types) in enumerate(lines):
        intervals = []
        for record in records:
            chosen = {"types": {t: record["types"][t] for t in types if t in record["types"]}}
            groups = [correct.mean(axis=1) for correct in correct_from_json(chosen)]
            intervals.append(bootstrap_mean(groups, num_resamples=2000))
        middle = np.array([interval.estimate for interval in intervals])
        low = middle - [interval.low for interval in intervals]
        high = np.array([interval.high for interval in intervals]) - middle
        style = {"color": colour, "marker": marker, "capsize": 3, "markersize": 5, "label": name}
        width = 2.6 if len(types) > 1 else 1.6
        shifted = steps + (index - 1.5) * nudge
        axes.errorbar(shifted, middle, yerr=[low, high], linewidth=width, **style)
