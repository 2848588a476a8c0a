import subprocess
import sys

import pytest

from azr_mini.rewards import (
    FORMAT_REWARDS,
    PROPOSER_REWARDS,
    learnability_reward,
    proposal_reward,
    solver_reward,
)

RATES = [0.0, 0.125, 0.25, 0.5, 0.75, 0.875, 1.0]


def test_learnability_is_one_minus_the_solve_rate_and_nothing_at_both_ends():  # definition 8
    assert [learnability_reward(p) for p in RATES] == [0, 0.875, 0.75, 0.5, 0.25, 0.125, 0]


@pytest.mark.parametrize("zero", [0.0, -0.5])
def test_zero_learnability_pays_what_the_switch_says(zero):  # definition 8
    paid = [proposal_reward(p, zero_learnability_reward=zero) for p in RATES]
    assert paid == [zero, 0.875, 0.75, 0.5, 0.25, 0.125, zero]


@pytest.mark.parametrize(
    "shape, values",
    [
        ("one_minus", [0, 0.875, 0.75, 0.5, 0.25, 0.125, 0]),
        ("variance", [0, 0.4375, 0.75, 1, 0.75, 0.4375, 0]),
        ("tent", [0, 0.25, 0.5, 1, 0.5, 0.25, 0]),
        ("band", [0, 0, 1, 1, 1, 0, 0]),
    ],
)
def test_proposer_reward_curves(shape, values):  # definition 9
    assert [PROPOSER_REWARDS[shape](p) for p in RATES] == values


def test_every_shape_has_a_row():
    assert set(PROPOSER_REWARDS) == {"one_minus", "variance", "tent", "band"}


@pytest.mark.parametrize(
    "switch, values",
    [
        ("paper", {"correct": 1.0, "wrong": -0.5, "format": -1.0, "invalid": -1.0}),
        ("none", {"correct": 1.0, "wrong": 0.0, "format": 0.0, "invalid": 0.0}),
    ],
)
def test_solver_and_format_rewards_over_every_verdict(switch, values):  # definitions 10 and 11
    for verdict in ("correct", "wrong", "format"):
        assert solver_reward(verdict, switch) == values[verdict]
    assert proposal_reward(None, format_reward=switch) == values["invalid"]
    assert set(FORMAT_REWARDS) == {"paper", "none"}


def test_defaults_are_the_papers():
    assert [solver_reward(v) for v in ("correct", "wrong", "format")] == [1, -0.5, -1]
    assert (proposal_reward(None), proposal_reward(0.0), proposal_reward(0.25)) == (-1, 0, 0.75)


def test_an_unknown_verdict_is_our_mistake():
    with pytest.raises(KeyError):
        solver_reward("timeout")


def test_an_invalid_proposal_never_beats_a_valid_one():
    for switch in FORMAT_REWARDS:
        for zero in (0.0, -0.5) if switch == "paper" else (0.0,):
            for shape in PROPOSER_REWARDS.values():
                paid = [proposal_reward(p, shape, zero, switch) for p in RATES]
                assert min(paid) >= proposal_reward(None, shape, zero, switch)


def test_importing_rewards_loads_no_heavy_library():
    code = "import sys, azr_mini.rewards; print({'torch', 'transformers'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
