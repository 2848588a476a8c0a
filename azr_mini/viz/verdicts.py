"""The figure of verdicts: how many programs, proposals or answers were accepted, or why not."""

from collections import Counter
from collections.abc import Iterable

from matplotlib.figure import Figure

from azr_mini.viz.style import OTHER_COLOURS, PANEL, panels, say_missing

GOOD = ("ok", "valid", "correct")  # words of the executor, the validator and the grader
GOOD_COLOUR, BAD_COLOUR = OTHER_COLOURS[1], OTHER_COLOURS[0]


def verdict_bars(statuses: Iterable[str], what: str = "programs") -> Figure:
    """Counts of each verdict, the good one on top, the others from frequent to rare."""
    counts = Counter(statuses)
    total = counts.total()
    good = sum(counts[word] for word in GOOD)
    title = f"Verdicts: Python accepts {good} of {total} {what}, and names a cause for the rest"
    figure, ((axes,),) = panels(title, 1, 1)
    figure.set_size_inches(PANEL[0] * 2.2, 1.3 + 0.32 * max(3, len(counts)))
    axes.set_title(f"{what} by verdict")
    axes.set_xlabel(f"number of {what}")
    if not total:
        say_missing(axes, "verdict")
        return figure
    names = sorted(counts, key=lambda name: (name not in GOOD, -counts[name], name))
    values = [counts[name] for name in names]
    drawn = axes.barh(names, values, color=[_colour(name) for name in names], height=0.7)
    for bar, name in zip(drawn, names, strict=True):
        if name not in GOOD:
            bar.set(hatch="//", edgecolor="white", linewidth=0)
    axes.bar_label(drawn, [f"{n}  ({n / total:.0%})" for n in values], padding=4)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.18)
    axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def _colour(name: str) -> str:
    return GOOD_COLOUR if name in GOOD else BAD_COLOUR
