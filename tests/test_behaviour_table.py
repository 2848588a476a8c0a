"""The table of behaviours counts what the detectors see, for each role and task type."""

import pytest

from azr_mini.behaviour_table import behaviour_table
from azr_mini.recorded import recorded

TRACE = "<think>b=1\nb=2</think><answer>2</answer>"
TRIES = "<think><input>1<output>4<input>2<output>5</think><answer>2</answer>"
UH_OH = "<think>outsmart the solver</think><answer>2</answer>"


def rollout(completion, role="solve", type="deduction", step=0, length=3):
    ids = list(range(length))
    return {
        "step": step, "role": role, "type": type, "completion": completion,
        "completion_ids": ids, "thinks": "<think>" in completion,
    }  # fmt: skip


def test_each_group_has_its_lengths_and_shares():
    table = behaviour_table(
        [
            rollout(TRACE, length=10),
            rollout("<answer>2</answer>", length=4, step=1),
            rollout(TRIES, type="abduction", step=1),
            rollout(UH_OH, role="propose"),
        ]
    )
    assert list(table.index) == [("propose", "deduction"), ("solve", "deduction"),
                                 ("solve", "abduction")]  # fmt: skip
    columns = ["completions", "length", "thinks", "state_tracking", "trial_and_error", "flagged"]
    assert list(table.loc[("solve", "deduction"), columns]) == [2, 7, 0.5, 0.5, 0, 0]
    assert list(table.loc[("solve", "abduction"), columns]) == [1, 3, 1, 0, 1, 0]
    assert list(table.loc[("propose", "deduction"), columns]) == [1, 3, 1, 0, 0, 1]


def test_steps_are_told_apart_if_asked_for():
    rollouts = [rollout(TRACE), rollout(TRACE, step=2), rollout("<answer>2</answer>", step=2)]
    table = behaviour_table(rollouts, by_step=True)
    assert list(table["state_tracking"]) == [1, 0.5]
    assert list(table.index) == [(0, "solve", "deduction"), (2, "solve", "deduction")]


def test_no_rollouts_give_an_empty_table():
    assert behaviour_table([]).empty and "plans" in behaviour_table([], by_step=True)


@pytest.mark.parametrize("name", ["live-0", "six-0"])
def test_a_recorded_run_tries_only_in_abduction_and_learns_to_track_state(name):
    table = behaviour_table(recorded(name).rollouts, by_step=True)
    solving = table.xs("solve", level="role")["trial_and_error"].groupby("type").max()
    assert solving["abduction"] > 0 == solving["deduction"] == solving["induction"]
    for type in ("deduction", "abduction", "induction"):
        tracking = table.xs(("solve", type), level=("role", "type"))["state_tracking"]
        assert tracking.iloc[-1] > tracking.iloc[0] + 0.2
    assert table["flagged"].max() == table["plans"].max() == 0
