"""The checks of notebook 00 tell right answers from wrong ones."""

import pytest

from azr_mini.exercises.nb00 import check_first_tasks, check_prediction, check_worth
from azr_mini.resources import data_path
from azr_mini.rewards import learnability_reward
from azr_mini.tasks import Task, TaskType, load_seed_tasks

GAINS = {"deduction": 10.0, "abduction": 2.5, "induction": -1.0}
SEED = load_seed_tasks(data_path("seed_triples.json"))
MADE = [
    Task(TaskType.DEDUCTION, "def f(a):\n    return a + 1", (str(n),), (str(n + 1),))
    for n in range(7)
]
PROPOSALS = [
    {"role": "propose", "solve_rate": rate, "reward": reward}
    for rate, reward in ((0.0, 0.0), (0.25, 0.75), (1.0, 0.0), (None, -1.0))
]


@pytest.mark.parametrize(
    "check",
    [
        lambda answer: check_prediction(answer, GAINS),
        lambda answer: check_first_tasks(answer, SEED + MADE, SEED),
        lambda answer: check_worth(answer, PROPOSALS),
    ],
)
def test_a_stub_is_not_answered(check):
    assert check(...).passed is None


def test_a_function_without_a_body_is_not_answered():
    assert check_worth(lambda p: ..., PROPOSALS).passed is None


@pytest.mark.parametrize("answer", ["abduction", "Deduction", 3, ["deduction"]])
def test_a_prediction_that_did_not_come_true_is_wrong(answer):
    assert check_prediction(answer, GAINS).passed is False
    assert check_prediction("deduction", GAINS).passed


@pytest.mark.parametrize("answer", [7, 10, 0, 3.0, True, "3"])
def test_the_tasks_that_people_wrote_are_counted(answer):
    assert check_first_tasks(answer, SEED + MADE, SEED).passed is False
    assert check_first_tasks(3, SEED + MADE, SEED).passed


@pytest.mark.parametrize(
    "answer", [lambda p: 1 - p, lambda p: p, lambda p: 0, lambda p: "much", "1 - p"]
)
def test_the_worth_of_a_question_is_learnability(answer):
    assert check_worth(answer, PROPOSALS).passed is False
    assert check_worth(learnability_reward, PROPOSALS).passed
