"""One rollout after another of a run's record: which steps there are, and the card of one."""

import json
from collections.abc import Sequence

from azr_mini.behaviour import Behaviour
from azr_mini.files import gzip_members
from azr_mini.reading import select
from azr_mini.runs import ROLLOUTS, Run
from azr_mini.tasks import Role, TaskType
from azr_mini.viz.cards import Card, box
from azr_mini.viz.rollout_card import rollout_card
from azr_mini.viz.tokens import TokenTexts, token_texts


def recorded_steps(run: Run) -> list[int]:
    """The steps of which a run holds rollouts."""
    firsts = (member.partition(b"\n")[0] for member in gzip_members(run.folder / ROLLOUTS))
    return sorted({json.loads(first)["step"] for first in firsts if first})


def rollouts_of(run: Run, step: int) -> list[dict]:
    """The rollouts of one step; only that step is parsed, whatever the length of the run."""
    found: list[dict] = []
    for member in gzip_members(run.folder / ROLLOUTS):
        lines = member.splitlines()
        if lines and json.loads(lines[0])["step"] == step:
            found.extend(map(json.loads, lines))
    return found


def sample_card(
    run: Run,
    step: int,
    role: Role | None = None,
    type: TaskType | None = None,
    reward: str | None = None,
    number: int = 1,
    behaviour: Behaviour | None = None,
) -> Card:
    """The rollout with this number, from 1, among those of a step that are as asked for.

    reward: a number or such as ">0".
    """
    chosen = list(select(rollouts_of(run, step), None, role, type, reward, behaviour))
    return card_of(chosen, number, token_texts(run))


def card_of(rollouts: Sequence[dict], number: int, texts: TokenTexts | None) -> Card:
    """The card of one of these rollouts, counted from 1; shaded if the tokens' texts are known."""
    if not 0 < number <= len(rollouts):
        nothing = "no rollout of this step is like that"
        return Card(box(nothing), nothing)
    rollout = rollouts[number - 1]
    return rollout_card(rollout, texts(rollout["completion_ids"]) if texts else None)
