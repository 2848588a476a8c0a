"""The checks of notebook 05 tell right answers from wrong ones."""

import json
import math
from statistics import fmean

import pytest
import torch

from azr_mini.config import Config
from azr_mini.exercises.nb05 import (
    PATIENTS,
    check_frozen,
    check_own_advantages,
    check_patients,
    loop_draft,
    reward_difference,
    solver_rewards,
)
from azr_mini.runs import METRICS, Run
from azr_mini.sampler import Sampler
from azr_mini.sandbox import Executor
from azr_mini.selfplay import propose, validate_proposals
from azr_mini.tasks import Role, TaskType
from azr_mini.train import TrainState
from azr_mini.trr import global_advantages, role_advantages, task_relative_advantages

RIGHT = {"A": "too late", "B": "thrown away", "C": "previous step"}


@pytest.fixture
def runs(tmp_path):
    """A run whose solver earns about -0.2, one about 0.3, and one of a single step."""
    made = []
    for name, base, steps in (("low", -0.2, 10), ("high", 0.3, 10), ("short", 0.3, 1)):
        run = Run.create(tmp_path / name, Config())
        lines = [
            {"step": step}
            | {f"reward/solve/{type.value}": base + 0.02 * (step % 3) for type in TaskType}
            for step in range(steps)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (run.folder / METRICS).write_text(text, encoding="utf-8")
        made.append(run)
    return made


def by_group(rewards, groups, of):
    """The values that `of` gives for the rewards of each group."""
    values = torch.zeros_like(rewards)
    for group in set(groups):
        members = torch.tensor([key == group for key in groups])
        values[members] = of(rewards[members])
    return values


def centred(rewards, groups):
    return by_group(rewards, groups, lambda r: r - r.mean())


def without_care(rewards, groups):
    return by_group(rewards, groups, lambda r: 0.5 * (r - r.mean()) / r.std(unbiased=False))


# ---- the frozen proposer


def test_a_prediction_is_compared_with_what_was_measured(runs):
    low, high, short = runs
    assert check_frozen("higher", trained=low, frozen=high).passed
    assert check_frozen("lower", trained=high, frozen=low).passed
    assert check_frozen("same", trained=low, frozen=low).passed
    assert check_frozen("same", trained=low, frozen=short).passed  # one step proves nothing


@pytest.mark.parametrize("answer", ["lower", "same", "Higher", 1, ["higher"], {}])
def test_a_prediction_that_did_not_come_true_is_wrong(answer, runs):
    low, high, _ = runs
    assert check_frozen(answer, trained=low, frozen=high).passed is False


def test_the_second_half_of_a_run_is_compared(runs):
    low, _, short = runs
    assert solver_rewards(low) == pytest.approx([-0.2 + 0.02 * (step % 3) for step in range(5, 10)])
    assert solver_rewards(short) == pytest.approx([0.3])


def test_the_standard_error_of_a_difference():
    ours, theirs = [1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 3.0]
    difference, error = reward_difference(ours, theirs)
    assert difference == pytest.approx(1.5)
    spreads = [torch.tensor(x).var().item() / len(x) for x in (ours, theirs)]
    assert error == pytest.approx(sum(spreads) ** 0.5)
    assert reward_difference([1.0], theirs)[1] == math.inf


# ---- own advantages


@pytest.mark.parametrize("answer", [..., None, lambda rewards, groups: ...])
def test_a_stub_is_not_answered(answer):
    assert check_own_advantages(answer).passed is None


def test_advantages_without_the_spread_pass():
    assert check_own_advantages(centred).passed


@pytest.mark.parametrize(
    "answer",
    [
        task_relative_advantages,
        global_advantages,
        lambda rewards, groups: role_advantages(rewards, [(group, 0) for group in groups]),
        without_care,
        lambda rewards, groups: rewards,
        lambda rewards, groups: rewards - rewards.mean(),
        lambda rewards, groups: -centred(rewards, groups),
        lambda rewards, groups: torch.zeros_like(rewards),
        lambda rewards, groups: centred(rewards, groups).tolist(),
        lambda rewards: rewards,
        "rewards minus their mean",
        3,
    ],
)
def test_other_advantages_do_not(answer):
    assert check_own_advantages(answer).passed is False


@pytest.mark.parametrize(
    "answer", [lambda r, g: centred(r, g).tolist(), lambda r, g: r[:3], lambda r, g: 0.0]
)
def test_what_is_no_tensor_of_advantages_is_told_so(answer):
    assert "a tensor with one advantage for each reward" in repr(check_own_advantages(answer))


# ---- three loops with a bug


def test_the_right_diagnosis_passes():
    assert check_patients(RIGHT).passed


def test_no_diagnosis_is_not_answered():
    assert check_patients(...).passed is None
    assert check_patients(dict.fromkeys("ABC", ...)).passed is None


@pytest.mark.parametrize(
    "answer",
    [
        {**RIGHT, "A": "thrown away", "B": "too late"},
        dict.fromkeys("ABC", "too late"),
        {**RIGHT, "C": "something else"},
        {"A": "too late"},
        list(RIGHT.values()),
        "A",
        7,
    ],
)
def test_another_diagnosis_does_not(answer):
    assert check_patients(answer).passed is False


@pytest.mark.slow
def test_each_patient_shows_its_bug_and_no_other():
    with Executor() as executor:
        for patient, found in symptoms(executor).items():
            assert found == ([patient] if patient else [])


def symptoms(executor):
    """By patient, None for the loop without a bug, whose bugs its step shows."""
    config = Config(batch_size=4, max_new_tokens=96)
    state = TrainState.create(config)
    sampler = Sampler(state.policy)
    drafts = propose(sampler, state.buffer, config, step=0)
    first = validate_proposals(drafts, state.policy, state.buffer, executor, config)
    previous = [rollout.task for rollout in first if rollout.task is not None]
    for task in previous:
        state.buffer.add(task)
    found = {}
    for patient in (None, *PATIENTS):
        rollouts = loop_draft(patient, sampler, state, executor, config, previous)
        valid = [r for r in rollouts if r.role is Role.PROPOSE and r.task is not None]
        asked = {r.task for r in rollouts if r.role is Role.SOLVE}
        groups = {}
        for rollout in rollouts:
            groups.setdefault(rollout.group, []).append(rollout.advantage)
        is_off_zero = max(abs(fmean(group)) for group in groups.values()) > 0.01
        is_unasked = any(r.task not in asked for r in valid)
        is_unpaid = any(
            a.group == b.group and a.reward < b.reward and a.advantage >= b.advantage
            for a in valid
            for b in valid
        )
        shown = {"B": is_off_zero, "C": is_unasked, "A": is_unpaid}
        found[patient] = [name for name, shows in shown.items() if shows]
    return found
