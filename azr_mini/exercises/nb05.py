"""Checks of notebook 05: a frozen proposer, advantages of one's own, three loops with a bug."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from azr_mini.exercises.answer import Checked, ask
from azr_mini.rewards import learnability_reward
from azr_mini.runs import Run
from azr_mini.selfplay import fill_batch, propose, reward_proposals, solve, validate_proposals
from azr_mini.tasks import Role, Rollout, Task, TaskType
from azr_mini.train import choose_shape, with_advantages
from azr_mini.trr import task_relative_advantages

THROWN, PREVIOUS, LATE = "thrown away", "previous step", "too late"
PATIENTS = {"A": LATE, "B": THROWN, "C": PREVIOUS}


def check_frozen(answer, trained: Run, frozen: Run) -> Checked:
    """Whether the reader foresaw how the solver's reward with a frozen proposer compares."""

    def check(answer) -> Checked:
        if answer not in ("higher", "lower", "same"):
            return Checked(False, "write 'higher', 'lower' or 'same'")
        difference, error = reward_difference(solver_rewards(frozen), solver_rewards(trained))
        found = "same" if abs(difference) < 2 * error else "higher" if difference > 0 else "lower"
        numbers = f"{difference:+.2f} with a standard error of {error:.2f}"
        return Checked(answer == found, f"the solver's reward was {found} ({numbers})")

    return ask(check, answer)


def solver_rewards(run: Run) -> list[float]:
    """The solver's mean reward over the task types, in each step of the second half of a run."""
    keys = [f"reward/{Role.SOLVE.value}/{type.value}" for type in TaskType]
    rewards = run.metrics[keys].mean(axis=1).tolist()
    return rewards[len(rewards) // 2 :]


def reward_difference(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """By how much the mean of one list is above that of another, and its standard error.

    The error is infinite if a list has fewer than two numbers.
    """
    difference = statistics.fmean(ours) - statistics.fmean(theirs)
    if min(len(ours), len(theirs)) < 2:
        return difference, math.inf
    return difference, math.sqrt(sum(statistics.variance(x) / len(x) for x in (ours, theirs)))


def check_own_advantages(answer) -> Checked:
    """Whether the reader's function pulls inside each group alone, upwards for better rewards."""
    import torch

    groups = [key for key in "aabbbcccc" for _ in range(2)]
    cases = {
        "rewards of real groups": [1, -0.5, 1, 1, -1, -0.5, 1, 0, 0, -1, 0.75, 0.5] + [0.25] * 6,
        "a group of equal rewards": [1.0] * 4 + [0, 1, 0, 1, -1, 0] + [0.5] * 8,
    }

    def check(answer) -> Checked:
        usual = True
        for name, numbers in cases.items():
            rewards = torch.tensor(numbers, dtype=torch.float32)
            given = answer(rewards, groups)
            if given is None or given is ...:
                raise NotImplementedError
            if not isinstance(given, torch.Tensor) or given.shape != rewards.shape:
                return Checked(False, "return a tensor with one advantage for each reward")
            if not torch.isfinite(given).all():
                return Checked(False, f"with {name} some advantages are not finite numbers")
            if fault := _fault(rewards.tolist(), given.tolist(), groups):
                return Checked(False, f"with {name} {fault}")
            usual &= torch.allclose(given, task_relative_advantages(rewards, groups), atol=1e-4)
        if usual:
            return Checked(False, "these are the six baselines as they were; change something")
        return Checked(True, "each group has mean zero, and a better reward a larger advantage")

    return ask(check, answer)


def _fault(rewards: list[float], advantages: list[float], groups: Sequence) -> str:
    """What is wrong with the advantages of a group, or nothing."""
    for group in sorted(set(groups)):
        mine = [(r, a) for r, a, g in zip(rewards, advantages, groups, strict=True) if g == group]
        mean = statistics.fmean(a for _, a in mine)
        if abs(mean) > 1e-4:
            return f"the mean advantage of a group is {mean:+.3f}, not 0"
        for (low, less), (high, more) in ((one, two) for one in mine for two in mine):
            if low < high and not less < more:
                return f"reward {high:g} is not pulled above reward {low:g} of its group"
    return ""


def loop_draft(
    patient: str | None, sampler, state, executor, config, previous: list[Task]
) -> list[Rollout]:
    """The rollouts of step 1 of a loop that has the bug of a patient, before the update.

    previous: the tasks that step 0 found valid; None instead of a patient: the loop without a bug.
    """
    bug = PATIENTS.get(patient)
    drafts = propose(sampler, state.buffer, config, step=1)
    proposals = validate_proposals(drafts, state.policy, state.buffer, executor, config)
    new = [rollout.task for rollout in proposals if rollout.task is not None]
    asked = previous if bug == PREVIOUS else new
    tasks = fill_batch(state.buffer, asked, config, step=1)
    attempts, rates = solve(sampler, tasks, asked, executor, config, step=1)
    shape = choose_shape(learnability_reward, config)
    if bug == LATE:
        rollouts = with_advantages(proposals + attempts, task_relative_advantages, config, 1)
        paid = reward_proposals(rollouts[: len(proposals)], rates, shape, config)
        return paid + rollouts[len(proposals) :]
    proposals = reward_proposals(proposals, rates, shape, config)
    rollouts = with_advantages(proposals + attempts, task_relative_advantages, config, 1)
    if bug == THROWN:
        return [replace(rollout, advantage=rollout.reward) for rollout in rollouts]
    return rollouts


def check_patients(answer) -> Checked:
    """Whether the reader found the bug of each patient."""
    words = (THROWN, PREVIOUS, LATE)

    def check(answer) -> Checked:
        if not isinstance(answer, dict) or set(answer) != set(PATIENTS):
            return Checked(False, "give a dict with the keys 'A', 'B' and 'C'")
        if any(word is ... for word in answer.values()):
            raise NotImplementedError
        if unknown := [word for word in answer.values() if word not in words]:
            return Checked(False, f"{unknown[0]!r} is none of {', '.join(map(repr, words))}")
        right = [patient for patient in PATIENTS if answer[patient] == PATIENTS[patient]]
        if len(right) == len(PATIENTS):
            return Checked(True, "each loop ran without an error; only numbers gave them away")
        return Checked(
            False, f"{len(right)} of 3 are right; which column differs from a sound loop?"
        )

    return ask(check, answer)
