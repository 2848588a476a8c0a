"""One rollout as a card: what was asked and written, each token shaded, the advantage as frame."""

import math
from collections.abc import Sequence

from azr_mini.behaviour import behaviours
from azr_mini.reading import rollout_text
from azr_mini.tasks import Role
from azr_mini.viz.cards import BORDER, Card, block, box, line, safe, said
from azr_mini.viz.style import DOWN_COLOUR, ROLE_NAMES, UP_COLOUR

SHADE = "204, 121, 167"  # red, green, blue
DEEPEST = -math.log(0.02)  # the shade of a token of 2 % or less
RARE = 0.1  # less likely tokens are underlined as well
HIGH_ENTROPY = 1.0  # nats; and of twice that is the deepest shade


def rollout_card(
    rollout: dict,
    tokens: Sequence[str] | None = None,
    entropies: Sequence[float] | None = None,
) -> Card:
    """One rollout of a run: prompt, completion, verdict, reward, and the advantage as the frame.

    tokens: the text of each completion token; with them the completion is shaded by how unlikely
    each was, or by entropies (in nats) if they are given: a run records none.
    """
    sign, colour, effect = _direction(rollout["advantage"])
    parts = [
        line(_facts(rollout)),
        line(f"<b>{sign} advantage {rollout['advantage']:+.3f}</b>: {effect}"),
        said("Python says", rollout["detail"]) if rollout["detail"] else "",
        said("prompt", rollout["prompt"]),
    ]
    if tokens is None:
        parts.append(said("completion", rollout["completion"]))
    elif entropies is None:
        parts.append(_shaded_by_probability(tokens, rollout["logprobs"]))
    else:
        parts.append(_shaded_by_entropy(tokens, entropies))
    if rollout["task"]:
        task = rollout["task"]
        pairs = zip(task["inputs"], task["outputs"], strict=True)
        lines = [task["program"], *(f"f({given}) -> {output}" for given, output in pairs)]
        parts.append(said("the task, outputs by Python", "\n".join(lines)))
    border = f"border: 3px {'solid' if rollout['advantage'] else 'dotted'} {colour};"
    return Card(box(*parts, style=border), rollout_text(rollout))


def _facts(rollout: dict) -> str:
    who = f"<b>{ROLE_NAMES[Role(rollout['role'])]}, {safe(rollout['type'])}</b>"
    rate = rollout["solve_rate"]
    shown = ", ".join(behaviour.value for behaviour in behaviours(rollout["completion"]))
    facts = [
        f"{who}, step {rollout['step']}",
        f"verdict <b>{safe(rollout['verdict'])}</b>",
        f"reward <b>{rollout['reward']:+.3f}</b>",
        "" if rate is None else f"solve rate <b>{rate:.0%}</b>",
        f"{len(rollout['completion_ids'])} tokens{', cut' if rollout['truncated'] else ''}",
        f"shows <b>{shown}</b>" if shown else "",
    ]
    return " &nbsp; ".join(filter(None, facts))


def _direction(advantage: float) -> tuple[str, str, str]:
    """Sign, frame colour and meaning of an advantage."""
    if advantage > 0:
        return "▲", UP_COLOUR, "the update pushed its probability up"
    if advantage < 0:
        return "▼", DOWN_COLOUR, "the update pushed its probability down"
    return "•", BORDER, "the update did not use it"


def _shaded_by_probability(tokens: Sequence[str], logprobs: Sequence[float]) -> str:
    heading = f"completion; the deeper, the less likely was the token; underlined: below {RARE:.0%}"
    spans = (
        _span(token, f"probability {math.exp(logprob):.1%}", -logprob / DEEPEST,
              underline=logprob < math.log(RARE))
        for token, logprob in zip(tokens, logprobs, strict=True)
    )  # fmt: skip
    return block(heading, "".join(spans))


def _shaded_by_entropy(tokens: Sequence[str], entropies: Sequence[float]) -> str:
    heading = "completion; the deeper, the more open was the choice; underlined: above 1 nat"
    spans = (
        _span(token, f"entropy {entropy:.2f} nats", entropy / (2 * HIGH_ENTROPY),
              underline=entropy > HIGH_ENTROPY)
        for token, entropy in zip(tokens, entropies, strict=True)
    )  # fmt: skip
    return block(heading, "".join(spans))


def _span(token: str, title: str, depth: float, *, underline: bool) -> str:
    style = f"background: rgba({SHADE}, {0.75 * min(1.0, max(0.0, depth)):.2f});"
    style += " text-decoration: underline;" if underline else ""
    return f'<span title="{title}" style="{style}">{safe(token)}</span>'
