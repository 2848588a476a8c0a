"""How often the completions of a run show each behaviour, by role and task type."""

from collections.abc import Iterable

import pandas as pd

from azr_mini.behaviour import Behaviour, behaviours
from azr_mini.tasks import Role, TaskType

GROUP = ["role", "type"]
COLUMNS = {
    Behaviour.PLAN: "plans",
    Behaviour.TRIAL: "trial_and_error",
    Behaviour.STATE: "state_tracking",
    Behaviour.FLAGGED: "flagged",
}


def behaviour_table(rollouts: Iterable[dict], by_step: bool = False) -> pd.DataFrame:
    """Mean length in tokens and the share of completions that show each behaviour.

    rollouts: as `Run.rollouts` gives them. One row for each (role, type) that occurs, or for each
    (step, role, type); columns completions, length, thinks, and a share for each behaviour.
    """
    rows = pd.DataFrame(
        [_row(rollout) for rollout in rollouts],
        columns=["step", *GROUP, "length", "thinks", *COLUMNS.values()],
    )
    rows["role"] = pd.Categorical(rows["role"], [role.value for role in Role])
    rows["type"] = pd.Categorical(rows["type"], [type.value for type in TaskType])
    groups = rows.groupby(["step", *GROUP] if by_step else GROUP, observed=True)
    table = groups[["length", "thinks", *COLUMNS.values()]].mean()
    table.insert(0, "completions", groups.size())
    return table


def _row(rollout: dict) -> tuple:
    shown = behaviours(rollout["completion"])
    flags = [float(behaviour in shown) for behaviour in COLUMNS]
    group = [rollout[name] for name in ("step", *GROUP)]
    return *group, len(rollout["completion_ids"]), float(rollout["thinks"]), *flags
