"""The pattern of every widget: controls above a page that is made anew when one of them changes."""

from collections.abc import Callable, Sequence

import ipywidgets

WIDE = {"description_width": "initial"}  # no label is cut


def redrawn(
    controls: Sequence[ipywidgets.Widget],
    page: Callable[[], str],
    rows: Sequence[ipywidgets.Widget] | None = None,
) -> ipywidgets.VBox:
    """The controls, or the rows they stand in, above the HTML that `page` makes of their values."""
    shown = ipywidgets.HTML(page())

    def again(change) -> None:
        shown.value = page()

    for control in controls:
        control.observe(again, names="value")
    return ipywidgets.VBox([*(controls if rows is None else rows), shown])


def stepping(place: ipywidgets.BoundedIntText) -> ipywidgets.HBox:
    """A number from 1 to its maximum between a button for the one before and one for the next."""
    before = ipywidgets.Button(description="previous")
    after = ipywidgets.Button(description="next")
    before.on_click(lambda _: setattr(place, "value", max(place.min, place.value - 1)))
    after.on_click(lambda _: setattr(place, "value", min(place.max, place.value + 1)))
    return ipywidgets.HBox([before, place, after])
