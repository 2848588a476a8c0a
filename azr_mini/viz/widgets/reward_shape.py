"""A slider for the shape of the proposer's reward."""

from collections.abc import Sequence

import ipywidgets

from azr_mini.rewards import PROPOSER_REWARDS
from azr_mini.viz.difficulty import reward_shape
from azr_mini.viz.picture import picture
from azr_mini.viz.widgets.redrawn import WIDE, redrawn

OFFICIAL = -0.5  # what the official code pays for a valid task that teaches nothing


def reward_shape_slider(
    rates: Sequence[float], num_attempts: int, shape: str = "one_minus"
) -> ipywidgets.VBox:
    """A slider over the figure `reward_shape`: what each shape would pay for these solve rates."""
    slider = ipywidgets.SelectionSlider(
        options=list(PROPOSER_REWARDS), value=shape, description="reward shape", style=WIDE
    )
    label = f"{OFFICIAL} where nothing is learned, as in the official code"
    official = ipywidgets.Checkbox(
        description=label, style=WIDE, indent=False, layout=ipywidgets.Layout(width="auto")
    )

    def page() -> str:
        zero = OFFICIAL if official.value else 0.0
        return picture(reward_shape, rates, num_attempts, slider.value, zero).html()

    return redrawn([slider, official], page)
