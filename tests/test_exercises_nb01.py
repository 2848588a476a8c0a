"""The checks of notebook 01: right answers pass, typical wrong ones do not, nothing raises."""

import pytest

from azr_mini.exercises import nb01
from azr_mini.sandbox import Executor, Job
from azr_mini.values import canonical


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1, cpu_seconds=0.2) as executor:
        yield executor


@pytest.fixture(scope="module")
def verdicts(executor):
    return [r.status for r in executor.run([Job(p, [text]) for p, text in nb01.SIX])]


def def_f(body, before=""):
    return f"{before}def f(a):\n    " + body.replace("\n", "\n    ")


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, set):
        return len(a) == len(b) and all(any(same(x, y) for y in b) for x in a)
    if isinstance(a, dict):
        return len(a) == len(b) and all(
            any(same(k, other) and same(a[k], b[other]) for other in b) for k in a
        )
    return a == b


# ---- exercise 4 ---------------------------------------------------------------------------------


def test_the_six_programs_have_different_verdicts(verdicts):
    assert len(set(verdicts)) == 6 and set(verdicts) <= set(nb01.WORDS)


def test_six_right_predictions_pass(verdicts, executor):
    assert nb01.check_predictions(verdicts, executor).passed


def test_predictions_that_nobody_made_are_not_answered(executor):
    assert nb01.check_predictions([...] * 6, executor).passed is None
    assert nb01.check_predictions(..., executor).passed is None


def test_a_wrong_prediction_is_named(verdicts, executor):
    for place in (0, 1, 5):
        wrong = [*verdicts]
        wrong[place] = "crash"
        said = nb01.check_predictions(wrong, executor)
        assert said.passed is False and said.sentence.endswith(f"look again at {place + 1}")
    some = nb01.check_predictions([*verdicts[:3], ..., ..., ...], executor)
    assert some.passed is False and some.sentence == "3 of 6; look again at 4, 5, 6"


@pytest.mark.parametrize(
    "answer, word",
    [
        (3, "a list of 6 words"),
        ("timeou", "a list of 6 words"),
        (["ok"], "a list of 6 words"),
        (["hangs"] * 6, "'hangs' is no verdict"),
        ([[]] * 6, "[] is no verdict"),
    ],
)
def test_predictions_of_a_wrong_type_are_a_sentence(answer, word, executor):
    said = nb01.check_predictions(answer, executor)
    assert said.passed is False and word in said.sentence


# ---- exercise 1 ---------------------------------------------------------------------------------


def test_typed_equality_passes():
    assert nb01.check_same(same).passed
    assert nb01.check_same(lambda a, b: canonical(a) == canonical(b)).passed


def test_an_empty_function_is_not_answered():
    assert nb01.check_same(lambda a, b: None).passed is None
    assert nb01.check_same(...).passed is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda a, b: a == b,
        lambda a, b: type(a) is type(b) and a == b,
        lambda a, b: repr(a) == repr(b),
        lambda a, b: sorted(repr(a)) == sorted(repr(b)),
        lambda a, b: True,
    ],
)
def test_other_equalities_do_not_pass(wrong):
    assert nb01.check_same(wrong).passed is False


def test_an_answer_that_is_no_bool_is_told_so():
    said = nb01.check_same(lambda a, b: int(same(a, b)))
    assert said.passed is False and "True or False, not 1" in said.sentence


def test_every_kind_of_difference_is_asked_for():
    """Equal for Python and for us, for Python only, and for neither."""
    asked = {(a == b, canonical(a) == canonical(b)) for a, b in nb01.PAIRS}
    assert asked == {(True, True), (True, False), (False, False)}


@pytest.mark.parametrize("answer", [3, "same", lambda: True, lambda a, b: a.missing])
def test_no_function_is_a_sentence(answer):
    assert nb01.check_same(answer).passed is False


# ---- exercise 3 ---------------------------------------------------------------------------------


def test_a_program_that_hangs_on_one_input_passes(executor):
    assert nb01.check_hangs(def_f("while a:\n    pass\nreturn 0"), executor).passed


@pytest.mark.parametrize(
    "program, word",
    [
        (def_f("while True:\n    pass"), "f(0) must answer"),
        (def_f("return a"), "f(1) must never end, but its verdict is ok"),
        (def_f("if a:\n    time.sleep(60)\nreturn 0", "import time\n"), "import of time"),
        (def_f("return f(a) if a else 0"), "RecursionError"),
        ("while True: pass", "no top-level def f"),
    ],
)
def test_other_programs_do_not_hang_as_asked(program, word, executor):
    said = nb01.check_hangs(program, executor)
    assert said.passed is False and word in said.sentence


# ---- exercise 2 ---------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["return list({'red', 'green', 'blue'})", "return hash('red')"])
def test_a_liar_passes(body, executor):
    assert nb01.check_liar(def_f(body), executor).passed


@pytest.mark.parametrize(
    "program, word",
    [
        (def_f("return {'red', 'green', 'blue'}"), "is ok"),
        (def_f("return random.random()", "import random\n"), "import of random"),
        (def_f("global n\nn += 1\nreturn n", "n = 0\n"), "is ok"),
        (def_f("return hash(a)"), "is ok"),
        (
            def_f("seen.append(hash('red'))\nreturn seen[:]", "seen = []\n"),
            "two calls in one interpreter",
        ),
    ],
)
def test_other_programs_do_not_lie_as_asked(program, word, executor):
    said = nb01.check_liar(program, executor)
    assert said.passed is False and word in said.sentence


@pytest.mark.parametrize("check", [nb01.check_hangs, nb01.check_liar])
def test_programs_of_a_wrong_type_are_a_sentence(check, executor):
    assert check(..., executor).passed is None
    for answer in (3, ["def f(a): return a"], lambda a: a):
        assert check(answer, executor).passed is False
