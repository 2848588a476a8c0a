"""A box to type a program into and to read what Python says about it."""

import ipywidgets

from azr_mini.sandbox import Executor
from azr_mini.viz.verdict_card import verdict_card
from azr_mini.viz.widgets.redrawn import WIDE

EXAMPLE = "def f(a):\n    return sorted(a)[::-1]"


def verdict_box(
    executor: Executor, program: str = EXAMPLE, inputs: str = "[3, 1, 2]"
) -> ipywidgets.VBox:
    """Fields for a program and its input, and a button that shows `verdict_card` for them."""
    if not isinstance(executor, Executor):
        raise ValueError(f"{type(executor).__name__} is no executor: give the one of start(...)")
    wide = ipywidgets.Layout(width="98%")
    code = ipywidgets.Textarea(
        program, description="program", rows=7, layout=wide, style=WIDE, continuous_update=False
    )
    given = ipywidgets.Text(inputs, description="input", layout=wide, style=WIDE)
    check = ipywidgets.Checkbox(
        True, description="static check before running", indent=False, style=WIDE
    )
    button = ipywidgets.Button(description="Run", button_style="primary")
    shown = ipywidgets.HTML()

    def run(_) -> None:
        button.disabled = True
        try:
            shown.value = verdict_card(executor, code.value, given.value, check.value).html
        finally:
            button.disabled = False

    button.on_click(run)
    return ipywidgets.VBox([code, given, ipywidgets.HBox([button, check]), shown])
