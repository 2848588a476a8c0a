"""The figure of transfer: what training in one task type did to each of them."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from azr_mini.evaluate.sharpening import transfer_table
from azr_mini.viz.style import DPI, house_style

COLOURS_FROM_LOSS_TO_GAIN = "PuOr_r"  # told apart by people who see few colours


def transfer(
    base: Mapping, trained: Mapping[str, Sequence[Mapping]], title: str = "Who teaches whom?"
) -> Figure:
    """Points gained in each task type (columns) by training in one (rows), with 95 % intervals.

    base, trained: as `transfer_table` takes them. The colours reach to the largest gain or loss.
    """
    table = transfer_table(base, trained)
    gains = table.map(lambda cell: cell[0])
    most = max(1.0, float(gains.abs().max(axis=None)))
    with house_style():
        figure = Figure(figsize=(6.4, 0.75 * len(table) + 1.6), dpi=DPI, layout="constrained")
        figure.suptitle(title, fontsize=12.5, fontweight="bold", x=0.01, ha="left")
        axes = figure.subplots()
        image = axes.imshow(
            gains, cmap=COLOURS_FROM_LOSS_TO_GAIN, vmin=-most, vmax=most, aspect="auto"
        )
        _write(axes, table, most)
        axes.set_xticks(range(len(table.columns)), table.columns)
        axes.set_yticks(range(len(table)), table.index)
        axes.set_xlabel("asked")
        axes.set_ylabel("trained")
        axes.grid(False)
        axes.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes, label="points gained")
    return figure


def _write(axes, table: pd.DataFrame, most: float) -> None:
    for row, name in enumerate(table.index):
        for column, (gain, low, high) in enumerate(table.loc[name]):
            colour = "white" if abs(gain) > 0.7 * most else "black"
            text = f"{gain:+.1f}\n({low:+.1f} to {high:+.1f})"
            axes.text(column, row, text, ha="center", va="center", fontsize=9.5, color=colour)
