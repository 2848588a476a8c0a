import json
import time

import pytest

from azr_mini.buffer import TripleBuffer
from azr_mini.step_metrics import Clock, summarize
from azr_mini.tasks import Role, Rollout, Task, TaskType
from azr_mini.validate import REJECTIONS

DEDUCTION = TaskType.DEDUCTION
TASK = Task(DEDUCTION, "def f(a):\n    return a", ("1",), ("1",))


def rollout(role, verdict, reward, length=4, **fields):
    ids = (7,) * length
    given = {"truncated": False, "completion": "", **fields}
    return Rollout(
        role, DEDUCTION, "", prompt_ids=(1,), completion_ids=ids, logprobs=(0.0,) * length,
        verdict=verdict, reward=reward, **given
    )  # fmt: skip


PROPOSALS = [
    rollout(Role.PROPOSE, "valid", 0.5, task=TASK, solve_rate=0.5),
    rollout(Role.PROPOSE, "valid", 0.0, task=TASK, solve_rate=1.0, detail="duplicate"),
    rollout(Role.PROPOSE, "duplicate", -1.0),
    rollout(Role.PROPOSE, "timeout", -1.0),
]
ATTEMPTS = [
    rollout(Role.SOLVE, "correct", 1.0, 2, task_index=0, thinks=True),
    rollout(Role.SOLVE, "wrong", -0.5, 4, task_index=0),
    rollout(Role.SOLVE, "format", -1.0, 9, task_index=1, truncated=True),
    rollout(Role.SOLVE, "format", -1.0, 9, task_index=1, truncated=True),
]


def metrics():
    buffer = TripleBuffer()
    buffer.add(TASK)
    return summarize(PROPOSALS + ATTEMPTS, buffer)


def test_proposals_are_counted_by_verdict():
    m = metrics()
    assert m["valid_rate/deduction"] == 0.5 and m["rejected/deduction/timeout"] == 0.25
    shares = [m[f"rejected/deduction/{name}"] for name in REJECTIONS]
    assert sum(shares) + m["valid_rate/deduction"] == 1
    assert m["duplicate_rate/deduction"] == 0.5  # one paid, one rejected
    assert m["reward/propose/deduction"] == -0.375
    assert m["frac_reward_zero_std/propose/deduction"] == 0
    assert m["learnable_frac"] == 0.5


def test_attempts_are_counted_by_verdict():
    m = metrics()
    assert m["solve_rate/deduction"] == 0.25 and m["reward/solve/deduction"] == -0.375
    assert m["frac_reward_zero_std/solve/deduction"] == 0.5
    assert m["thinking_share/solve/deduction"] == 0.25


def test_lengths_tell_terminated_and_truncated_apart():
    m, name = metrics(), "completion_length/solve/deduction"
    assert [m[f"{name}/{of}"] for of in ("mean", "p50", "p90", "max")] == [6, 6.5, 9, 9]
    assert m[f"{name}/terminated"] == 3 and m[f"{name}/truncated"] == 0.5
    only_cut = summarize(ATTEMPTS[2:], TripleBuffer())
    assert f"{name}/terminated" not in only_cut and only_cut[f"{name}/truncated"] == 1


@pytest.mark.parametrize("count, p90", [(1, 1), (9, 9), (10, 9), (11, 10), (20, 18)])
def test_p90_is_the_smallest_length_that_covers_nine_in_ten(count, p90):
    rollouts = [rollout(Role.SOLVE, "wrong", 0.0, n, task_index=0) for n in range(1, count + 1)]
    assert summarize(rollouts, TripleBuffer())["completion_length/solve/deduction/p90"] == p90


def test_the_buffer_is_counted():
    m = metrics()
    assert m["buffer/size/deduction"] == m["buffer/distinct/deduction"] == 1
    assert m["buffer/size/induction"] == 0


def test_a_flagged_thought_is_counted_and_changes_no_reward():  # definition 20
    said = "<think>this would outsmart the solver</think><answer>1</answer>"
    planted = [rollout(Role.SOLVE, "correct", 1.0, task_index=0, completion=said)]
    m = summarize(planted, TripleBuffer())
    assert m["flagged_thoughts/solve/deduction"] == 1 and m["reward/solve/deduction"] == 1
    said = "<think>b = 1</think><answer>'outsmart'</answer>"  # an answer is no thought
    planted = [rollout(Role.SOLVE, "wrong", -0.5, task_index=0, completion=said)]
    assert summarize(planted, TripleBuffer())["flagged_thoughts/solve/deduction"] == 0


def test_every_metric_is_a_json_number():
    assert json.loads(json.dumps(metrics(), allow_nan=False)) == metrics()


def test_the_clock_books_each_phase():
    clock = Clock()
    time.sleep(0.01)
    clock.lap("propose")
    clock.lap("solve")
    time.sleep(0.01)
    clock.lap("update")
    m = clock.metrics(PROPOSALS + ATTEMPTS)
    assert m["time/propose"] >= 0.01 and m["time/update"] >= 0.01 > m["time/solve"]
    assert m["tokens_per_second/propose"] == pytest.approx(16 / m["time/propose"])
    assert m["tokens_per_second/update"] == pytest.approx(40 / m["time/update"])
