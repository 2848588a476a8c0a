"""The checks of notebook 04: right answers pass, typical wrong ones do not, nothing raises."""

import math

import pytest

from azr_mini.exercises import nb04
from azr_mini.rewards import learnability_reward, tent_reward
from azr_mini.sandbox import Executor, Job

MEASURED = [1.0, 0.6, 0.22, 0.0, 1.0, 0.87]  # solve rates of the six, rounded


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


# ---- exercise 1: which task pays most -----------------------------------------------------------


def test_the_six_tasks_are_what_python_says(executor):
    results = executor.run([Job(task.program, list(task.inputs)) for task in nb04.SIX])
    assert [tuple(result.outputs) for result in results] == [task.outputs for task in nb04.SIX]


def test_the_hardest_task_that_can_be_done_pays_most():
    assert nb04.check_pays_most(3, MEASURED).passed


@pytest.mark.parametrize("number", [1, 2, 4, 5, 6])  # easiest, middle, never solved, ...
def test_easier_and_impossible_tasks_pay_less(number):
    assert nb04.check_pays_most(number, MEASURED).passed is False


@pytest.mark.parametrize("answer", ["three", 0, 7, 3.0, True, [3], float("nan")])
def test_a_task_that_is_no_number_is_a_sentence(answer):
    assert "whole number" in nb04.check_pays_most(answer, MEASURED).sentence


def test_no_guess_is_not_answered():
    assert nb04.check_pays_most(..., MEASURED).passed is None


# ---- exercise 2: how many attempts --------------------------------------------------------------


def choose_n(seconds, seconds_per_attempt, num_tasks, max_error):
    n = math.ceil(round(0.25 / max_error**2, 9))
    return n if n * num_tasks * seconds_per_attempt <= seconds else None


def forgets_the_tasks(seconds, seconds_per_attempt, num_tasks, max_error):
    return choose_n(seconds, seconds_per_attempt, 1, max_error)


def takes_the_variance(seconds, seconds_per_attempt, num_tasks, max_error):
    n = math.ceil(0.25 / max_error)
    return n if n * num_tasks * seconds_per_attempt <= seconds else None


def spends_everything(seconds, seconds_per_attempt, num_tasks, max_error):
    n = int(seconds / seconds_per_attempt / num_tasks)
    return n if 0.25 / n <= max_error**2 else None


def ignores_the_time(seconds, seconds_per_attempt, num_tasks, max_error):
    return math.ceil(round(0.25 / max_error**2, 9))


def rounds_down(seconds, seconds_per_attempt, num_tasks, max_error):
    n = int(0.25 / max_error**2)
    return n if n * num_tasks * seconds_per_attempt <= seconds else None


def test_the_fewest_attempts_pass():
    assert nb04.check_choose_n(choose_n).passed


@pytest.mark.parametrize(
    "wrong",
    [forgets_the_tasks, takes_the_variance, spends_everything, ignores_the_time, rounds_down],
)
def test_other_numbers_of_attempts_do_not_pass(wrong):
    assert nb04.check_choose_n(wrong).passed is False


def test_the_stub_of_choose_n_is_not_answered():
    assert nb04.check_choose_n(lambda *budget: ...).passed is None
    assert nb04.check_choose_n(...).passed is None


@pytest.mark.parametrize("answer", [16, "16", lambda: 16])
def test_a_choice_of_a_wrong_type_is_a_sentence(answer):
    assert nb04.check_choose_n(answer).passed is False


def test_half_an_attempt_is_no_answer():
    said = nb04.check_choose_n(lambda *budget: choose_n(*budget) and float(choose_n(*budget)))
    assert said.passed is False and "whole number" in said.sentence


# ---- exercise 3: a disguise ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "program, noticed",
    [
        ("def f(x):\n    y = x * 3\n    return y + 1", True),
        ("def f(a):\n    return a * 3 + 1", False),
        ("def f(a):\n    b = 3 * a\n    return b + 1", False),
    ],
)
def test_new_names_or_another_order_are_a_disguise(program, noticed, executor):
    said = nb04.check_disguise(program, executor)
    assert said.passed and ("not even" not in said.sentence) is noticed


@pytest.mark.parametrize(
    "program",
    [
        nb04.TIMES_THREE.program,
        "def f(a):\n    b = a * 3  # three times\n\n    return (b + 1)",
        "def f(a):\n    b = a * 4\n    return b + 1",
        "def f(a):\n    return 13",
    ],
)
def test_a_copy_or_another_task_is_no_disguise(program, executor):
    assert nb04.check_disguise(program, executor).passed is False


@pytest.mark.parametrize(
    "program",
    [
        "def f(a)\n    return a * 3 + 1",
        "def g(a):\n    return a * 3 + 1",
        "import os\n\n\ndef f(a):\n    return a * 3 + 1",
    ],
)
def test_what_does_not_run_is_no_disguise(program, executor):
    said = nb04.check_disguise(program, executor)
    assert said.passed is False and "no valid task" in said.sentence


@pytest.mark.parametrize("answer", [3, ["def f(a): return a * 3 + 1"], lambda a: a * 3 + 1])
def test_a_disguise_of_a_wrong_type_is_a_sentence(answer, executor):
    assert "text" in nb04.check_disguise(answer, executor).sentence


def test_no_disguise_is_not_answered(executor):
    assert nb04.check_disguise(..., executor).passed is None


# ---- exercise 4: an own price -------------------------------------------------------------------


def leaning_tent(p):
    return 4 * p if p <= 0.25 else (1 - p) * 4 / 3


def test_the_leaning_tent_passes():
    assert nb04.check_shape(leaning_tent).passed
    assert nb04.check_shape(lambda p: min(4 * p, (1 - p) / 0.75)).passed


@pytest.mark.parametrize(
    "wrong",
    [
        tent_reward,
        learnability_reward,
        lambda p: 4 * p if p <= 0.25 else 1 - p,
        lambda p: max(0.0, 1 - abs(p - 0.25) * 4),
        lambda p: math.nan,
        lambda p: 4 * p,
    ],
)
def test_other_prices_do_not_pass(wrong):
    assert nb04.check_shape(wrong).passed is False


def test_the_stub_of_a_price_is_not_answered():
    assert nb04.check_shape(lambda p: ...).passed is None
    assert nb04.check_shape(...).passed is None


@pytest.mark.parametrize("answer", [0.25, "4p", lambda: 1])
def test_a_price_of_a_wrong_type_is_a_sentence(answer):
    assert nb04.check_shape(answer).passed is False


@pytest.mark.parametrize("price", [lambda p: "1", lambda p: p > 0.5])
def test_a_price_that_is_no_number_is_a_sentence(price):
    said = nb04.check_shape(price)
    assert said.passed is False and "return a number" in said.sentence
