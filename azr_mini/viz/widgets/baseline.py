"""A slider for the baseline of REINFORCE."""

import ipywidgets
import numpy as np

from azr_mini.viz.baseline import baseline_range, gradient_noise
from azr_mini.viz.picture import picture
from azr_mini.viz.widgets.redrawn import WIDE, redrawn


def baseline_slider(
    gradient_dots: np.ndarray, rewards: np.ndarray, baseline: float = 0.0
) -> ipywidgets.VBox:
    """A slider over the figure `gradient_noise`: what a baseline does to the variance."""
    low, high = baseline_range(gradient_dots, rewards)
    slider = ipywidgets.FloatSlider(
        value=baseline, min=low, max=high, step=0.05, description="baseline", style=WIDE
    )
    return redrawn(
        [slider], lambda: picture(gradient_noise, gradient_dots, rewards, slider.value).html()
    )
