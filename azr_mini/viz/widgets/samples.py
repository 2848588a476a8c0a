"""A browser of a run's rollouts."""

import ipywidgets

from azr_mini.behaviour import Behaviour
from azr_mini.reading import select
from azr_mini.runs import Run
from azr_mini.tasks import Role, TaskType
from azr_mini.viz.samples import card_of, recorded_steps, rollouts_of
from azr_mini.viz.style import ROLE_NAMES
from azr_mini.viz.tokens import token_texts
from azr_mini.viz.widgets.redrawn import WIDE, redrawn, stepping

REWARDS = {"any": None, "above 0": ">0", "0": "0", "below 0": "<0"}
NO_TOKENS = "the model's tokenizer is not on this disk, so tokens are not shaded"


def sample_browser(run: Run) -> ipywidgets.Widget:
    """The cards of a run's rollouts by step, role, type, reward and behaviour, one by one.

    Tokens are shaded by probability; a run records no entropies.
    """
    if not isinstance(run, Run):
        raise ValueError(f"{run.__class__.__name__} is no run: give Run.open(folder)")
    steps, texts = recorded_steps(run), token_texts(run)
    if not steps:
        return ipywidgets.HTML("this run has no rollouts yet")
    step = ipywidgets.SelectionSlider(
        options=steps, value=steps[-1], description="step", style=WIDE, continuous_update=False
    )
    role = ipywidgets.Dropdown(
        options=[("both", ""), *((ROLE_NAMES[r], r) for r in Role)], description="role"
    )
    type = ipywidgets.Dropdown(
        options=[("all", ""), *((t.value, t) for t in TaskType)], description="type"
    )
    reward = ipywidgets.Dropdown(options=list(REWARDS), description="reward")
    behaviour = ipywidgets.Dropdown(
        options=[("any", ""), *((b.value, b) for b in Behaviour)], description="shows"
    )
    place = ipywidgets.BoundedIntText(1, 1, 1, description="number", style=WIDE)
    shaded = ipywidgets.Checkbox(
        texts is not None, description="shade tokens by probability", indent=False, style=WIDE,
        disabled=texts is None,
    )  # fmt: skip
    loaded: dict[int, list[dict]] = {}  # the step that is looked at

    def chosen() -> list[dict]:
        if step.value not in loaded:
            loaded.clear()
            loaded[step.value] = rollouts_of(run, step.value)
        who = role.value or None, type.value or None
        what = REWARDS[reward.value], behaviour.value or None
        return list(select(loaded[step.value], None, *who, *what))

    def page() -> str:
        found = chosen()
        card = card_of(found, place.value, texts if shaded.value else None)
        note = "" if texts else f" ({NO_TOKENS})"
        return f"{min(place.value, len(found))} of {len(found)} rollouts{note}{card.html}"

    def start_over(change) -> None:
        place.value, place.max = 1, max(1, len(chosen()))

    place.max = max(1, len(chosen()))
    filters = [step, role, type, reward, behaviour]
    for control in filters:
        control.observe(start_over, names="value")
    rows = [step, ipywidgets.HBox(filters[1:]), ipywidgets.HBox([stepping(place), shaded])]
    return redrawn([*filters, place, shaded], page, rows)
