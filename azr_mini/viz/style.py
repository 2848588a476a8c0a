"""How every figure looks: one colour for each task type, one line style for each role."""

import io
from collections.abc import Sequence
from contextlib import contextmanager

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from azr_mini.tasks import Role
from azr_mini.viz.colours import COLOURS as COLOURS
from azr_mini.viz.colours import OTHER_COLOURS as OTHER_COLOURS

UP_COLOUR, DOWN_COLOUR = "#56B4E9", "#E69F00"  # of what an update makes likelier, less likely
GREY = "#8C8C8C"  # of what is only there to be compared with
LINES = {Role.PROPOSE: "--", Role.SOLVE: "-"}
ROLE_NAMES = {Role.PROPOSE: "proposer", Role.SOLVE: "solver"}
PANEL = (3.7, 2.5)  # inches
DPI = 100
FEW_STEPS = 5  # so few also get a dot each: one step alone draws no line

SETTINGS = {
    "figure.dpi": DPI,
    "font.size": 10.5,
    "axes.titlesize": 11,
    "axes.labelsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 2,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}


@contextmanager
def house_style():
    """Applies the settings of every figure for as long as the block lasts."""
    with matplotlib.rc_context(SETTINGS):
        yield


def panels(title: str, rows: int, columns: int, **options) -> tuple[Figure, np.ndarray]:
    """An empty figure with this title and a (rows, columns) array of axes."""
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows + 0.8), layout="constrained")
    figure.suptitle(title, fontsize=12.5, fontweight="bold", x=0.01, ha="left")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def smooth(values: pd.Series) -> pd.Series:
    """The running mean over about a twentieth of the steps, centred."""
    return values.rolling(max(1, len(values) // 20), center=True, min_periods=1).mean()


def smooth_curve(axes: Axes, metrics: pd.DataFrame, key: str, **line) -> bool:
    """Draws the running mean of a metric; False if the run has no such metric."""
    if key not in metrics or metrics[key].isna().all():
        return False
    values = metrics[key].astype(float)
    axes.plot(values.index, smooth(values).where(values.notna()), **line)
    return True


def curve(axes: Axes, metrics: pd.DataFrame, key: str, **line) -> bool:
    """Draws a metric, faint behind its running mean; False if the run has no such metric."""
    line |= {"marker": "o", "markersize": 4} if len(metrics) <= FEW_STEPS else {}
    if key in metrics and not metrics[key].isna().all():
        faint = {**line, "label": None, "linewidth": 0.8, "alpha": 0.3}
        axes.plot(metrics.index, metrics[key].astype(float), **faint)
    return smooth_curve(axes, metrics, key, **line)


def say_missing(axes: Axes, what: str) -> None:
    """Writes into an empty panel what was not recorded."""
    axes.set(xticks=[], yticks=[])
    axes.text(0.5, 0.5, f"no {what}\nwas recorded", ha="center", va="center", color="#555555",
              transform=axes.transAxes)  # fmt: skip


def name_steps(bottom_row: Sequence[Axes]) -> None:
    """Labels the step axis of the lowest panels; there are no half steps."""
    for axes in bottom_row:
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def share_axis(axes: Axes) -> None:
    """Makes the y axis a share from 0 to 100 %."""
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file with at most 256 colours, a third of the size."""
    from PIL import Image

    drawn, content = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    Image.open(drawn).convert("RGB").quantize(256).save(content, format="png", optimize=True)
    return content.getvalue()
