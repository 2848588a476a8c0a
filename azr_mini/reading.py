"""The rollouts of a run as people read them: which ones, and as text."""

import operator
import re
from collections.abc import Iterable, Iterator

from azr_mini.behaviour import Behaviour, behaviours
from azr_mini.tasks import Role, TaskType

COMPARISONS = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "": operator.eq,
}


def select(
    rollouts: Iterable[dict],
    step: int | None = None,
    role: Role | None = None,
    type: TaskType | None = None,
    reward: str | None = None,
    behaviour: Behaviour | None = None,
) -> Iterator[dict]:
    """The rollouts of this step, role, type, reward (a number or such as ">0") and behaviour."""
    match = re.fullmatch(r"(>=|<=|>|<|)\s*([-+]?\d*\.?\d+)", reward or "0")
    if match is None:
        raise ValueError(f"reward is {reward!r}: give a number, or one after >, <, >= or <=")
    compare, limit = COMPARISONS[match[1]], float(match[2])
    for rollout in rollouts:
        if (
            (step is None or rollout["step"] == step)
            and (role is None or rollout["role"] == role.value)
            and (type is None or rollout["type"] == type.value)
            and (reward is None or compare(rollout["reward"], limit))
            and (behaviour is None or behaviour in behaviours(rollout["completion"]))
        ):
            yield rollout


def rollout_text(rollout: dict) -> str:
    """One rollout as text: what was asked, what was written, what Python said, what it earned."""
    detail = f" ({rollout['detail']})" if rollout["detail"] else ""
    rate = rollout["solve_rate"]
    solved = "" if rate is None else f"  solve rate {rate:.0%}"
    who = f"{rollout['role']} {rollout['type']}"
    shown = ", ".join(behaviour.value for behaviour in behaviours(rollout["completion"]))
    lines = [
        f"step {rollout['step']}  {who}: {rollout['verdict']}{detail}",
        f"reward {rollout['reward']:+.3f}  advantage {rollout['advantage']:+.3f}{solved}  "
        f"{len(rollout['completion_ids'])} tokens{', cut' if rollout['truncated'] else ''}",
        *([f"shows {shown}"] if shown else []),
        "--- prompt",
        rollout["prompt"],
        "--- completion",
        rollout["completion"],
    ]
    if rollout["task"]:
        task = rollout["task"]
        pairs = zip(task["inputs"], task["outputs"], strict=True)
        lines += ["--- the task, outputs by Python", task["program"]]
        lines += [f"f({given}) -> {output}" for given, output in pairs]
    return printable("\n".join(lines))


def printable(text: str) -> str:
    """The text with control characters and lone surrogates spelled out: model text may hold any."""
    return "".join(c if c == "\n" or c.isprintable() else ascii(c)[1:-1] for c in text)
