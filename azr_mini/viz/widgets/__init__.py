"""Widgets for notebooks; each shows what a pure function of `azr_mini.viz` draws."""

from azr_mini.viz.widgets.baseline import baseline_slider
from azr_mini.viz.widgets.buffer import buffer_browser
from azr_mini.viz.widgets.reward_shape import reward_shape_slider
from azr_mini.viz.widgets.samples import sample_browser
from azr_mini.viz.widgets.verdict import verdict_box

__all__ = [
    "baseline_slider",
    "buffer_browser",
    "reward_shape_slider",
    "sample_browser",
    "verdict_box",
]
