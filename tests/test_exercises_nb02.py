"""The checks of notebook 02 know right answers from the usual wrong ones."""

import ast
from functools import partial

import pytest

from azr_mini.exercises.answer import ask
from azr_mini.exercises.nb02 import (
    GRADED,
    SORTING,
    SUSPECTS,
    check_abduction_grader,
    check_rote,
    check_suspects,
)
from azr_mini.sandbox import Executor, Job
from azr_mini.validate import grade

RIGHT = {number for number, suspect in enumerate(SUSPECTS, start=1) if suspect.passes}


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


def said(check, answer):
    """The verdict on an answer; it is a sentence whatever the answer is."""
    checked = ask(check, answer)
    assert len(checked.sentence.split()) >= 4
    return checked.passed


def test_the_package_says_of_every_suspect_what_the_exercise_says(executor):
    verdicts = grade([s.task for s in SUSPECTS], [s.answer for s in SUSPECTS], executor)
    assert [verdict.correct for verdict in verdicts] == [s.passes for s in SUSPECTS]
    verdicts = grade([task for task, _, _ in GRADED], [text for _, text, _ in GRADED], executor)
    assert [verdict.correct for verdict in verdicts] == [right for _, _, right in GRADED]


def test_the_outputs_of_the_tasks_are_pythons(executor):
    tasks = {s.task for s in SUSPECTS} | {task for task, _, _ in GRADED} | {SORTING}
    for task in tasks:
        (result,) = executor.run([Job(task.program, list(task.inputs))])
        assert result.outputs == list(task.outputs)


def test_suspects():
    assert said(check_suspects, ...) is None
    assert said(check_suspects, RIGHT) is True
    assert said(check_suspects, set()) is False
    assert said(check_suspects, RIGHT | {4}) is False  # True for 1
    assert said(check_suspects, RIGHT - {9}) is False  # True for an input of 1
    assert said(check_suspects, RIGHT | {99}) is False
    assert said(check_suspects, 7) is False
    assert said(check_suspects, "2, 6, 9, 12") is False


def test_a_grader_of_abduction(executor):
    def run(program, text):
        (result,) = executor.run([Job(program, [text])])
        return result.outputs[0]

    def honest(task, text):
        return run(task.program, text) == task.outputs[0]

    def compares(task, text):
        return text.strip() == task.inputs[0]

    def python_equality(task, text):
        output = run(task.program, text)
        return output is not None and ast.literal_eval(output) == ast.literal_eval(task.outputs[0])

    def splices(task, text):
        program = task.program.replace("def f(", "def g(")
        return run(f"{program}\ndef f(a):\n    return g({text})", "0") == task.outputs[0]

    def splices_no_sum(task, text):
        return "+" not in text and splices(task, text)

    def splices_no_bracket(task, text):
        return ") or (" not in text and splices(task, text)

    def runs_at_all(task, text):
        return run(task.program, text) is not None

    assert said(check_abduction_grader, honest) is True
    for cheap in (compares, python_equality, splices_no_sum, splices_no_bracket, runs_at_all):
        assert said(check_abduction_grader, cheap) is False, cheap.__name__
    assert said(check_abduction_grader, lambda task, text: ...) is None
    assert said(check_abduction_grader, ...) is None
    assert said(check_abduction_grader, lambda task, text: "yes") is False
    assert said(check_abduction_grader, lambda task: True) is False
    assert said(check_abduction_grader, True) is False


def test_a_program_by_rote(executor):
    check = partial(check_rote, executor=executor)
    assert said(check, ...) is None
    table = "{(3, 1, 2): [1, 2, 3], (9, 7): [7, 9], (2, 2, 1): [1, 2, 2]}"
    assert said(check, f"def f(a):\n    return {table}[tuple(a)]") is True
    assert said(check, f"def f(a):\n    return {table}.get(tuple(a), [8])") is True
    assert said(check, SORTING.program) is False  # honest
    assert said(check, "def f(a):\n    return a[::-1]") is False  # fails a visible pair
    assert said(check, f"return {table}[tuple(a)]") is False  # no program
    assert said(check, "import os\ndef f(a):\n    return os.getcwd()") is False
    assert said(check, 3) is False
    assert said(check, lambda a: sorted(a)) is False
