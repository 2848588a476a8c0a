"""The checks of notebook 08 tell right answers from wrong ones."""

import ast
import math

import numpy as np
import pytest

from azr_mini.evaluate.contamination import skeleton
from azr_mini.evaluate.intervals import pass_at_k
from azr_mini.exercises.nb08 import (
    CANNOT_TELL,
    LEARNED,
    MODELS,
    NEAR,
    SHARPENED,
    check_heldout,
    check_pass_at_k,
    check_words,
    verdict,
)
from azr_mini.programs import canonical_program, program_key

# ---- exercise 1 ---------------------------------------------------------------------------------


def by_counting(num_samples, num_correct, k):
    return 1 - math.comb(num_samples - num_correct, k) / math.comb(num_samples, k)


def test_pass_at_k_by_binomials_and_the_package_pass():
    assert check_pass_at_k(by_counting).passed
    assert check_pass_at_k(lambda n, c, k: pass_at_k(n, np.array([c]), k)[0]).passed


@pytest.mark.parametrize(
    "wrong",
    [
        lambda n, c, k: 1 - (1 - c / n) ** k,  # draws one sample twice
        lambda n, c, k: 1 - by_counting(n, c, k),
        lambda n, c, k: c / n,
        lambda n, c, k: min(1, k * c / n),
        lambda n, c, k: c >= k,
    ],
)
def test_biased_and_turned_round_estimates_do_not_pass(wrong):
    said = check_pass_at_k(wrong)
    assert said.passed is False and "pass@" in said.sentence


# ---- exercise 2 ---------------------------------------------------------------------------------

RIGHT = {"A": SHARPENED, "B": LEARNED, "C": CANNOT_TELL}


def test_the_three_models_differ_at_64_samples_only():
    assert {name: verdict(*parts) for name, parts in MODELS.items()} == RIGHT
    for before, after in MODELS.values():
        assert sum(after["correct"]["deduction"]) > sum(before["correct"]["deduction"])
    assert check_words(RIGHT).passed


def test_wrong_words_are_named_and_not_given_away():
    for name in RIGHT:
        for word in {LEARNED, SHARPENED, CANNOT_TELL} - {RIGHT[name]}:
            said = check_words(RIGHT | {name: word})
            assert said.passed is False and name in said.sentence
            assert RIGHT[name] not in said.sentence
    assert "choose one of learned" in check_words(RIGHT | {"A": "both"}).sentence


# ---- exercise 3 ---------------------------------------------------------------------------------


def unless_same(key):
    def select(candidates, buffer):
        known = {key(program) for program in buffer}
        return [program for program in candidates if key(program) not in known]

    return select


def test_the_key_and_the_shape_pass_and_the_near_one_is_told():
    said = check_heldout(unless_same(program_key))
    assert said.passed and "constants is kept" in said.sentence
    said = check_heldout(unless_same(skeleton))
    assert said.passed and "constants is dropped" in said.sentence
    assert NEAR in unless_same(program_key)([NEAR], [])


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (unless_same(str), "with other names"),
        (unless_same(canonical_program), "with other names"),
        (unless_same(lambda text: ast.dump(ast.parse(text))), "with other names"),
        (unless_same(lambda text: text.count("\n")), "layout"),
        (lambda candidates, buffer: candidates, "word for word"),
        (lambda candidates, buffer: [], "nothing of"),
        (lambda candidates, buffer: unless_same(program_key)(candidates, [*buffer, NEAR])
         if buffer else candidates[:1], "empty buffer"),
        (lambda candidates, buffer: ["def f(a):\n    return a"], "as they were given"),
    ],
)  # fmt: skip
def test_what_lets_a_twin_through_or_drops_too_much_does_not_pass(wrong, word):
    said = check_heldout(wrong)
    assert said.passed is False and word in said.sentence


def test_names_alone_do_not_find_a_docstring():
    def without_names(text):
        tree = ast.parse(text)
        for node in ast.walk(tree):
            for field in ("id", "arg"):
                if hasattr(node, field):
                    setattr(node, field, "_")
        return ast.dump(tree)

    said = check_heldout(unless_same(without_names))
    assert said.passed is False and "docstring" in said.sentence


# ---- all ----------------------------------------------------------------------------------------


def not_written(*arguments):
    raise NotImplementedError


def test_stubs_are_not_answered_and_wrong_types_are_a_sentence():
    stubs = {
        check_pass_at_k: not_written,
        check_words: dict.fromkeys(MODELS, ...),
        check_heldout: not_written,
    }
    for check, stub in stubs.items():
        assert check(stub).passed is None and check(...).passed is None
        for answer in (3, "learned", [1.0], {"A": 2}, lambda *arguments: 1 / 0):
            said = check(answer)
            assert said.passed is False and said.sentence
    for check in (check_pass_at_k, check_heldout):
        assert check(lambda *arguments: ...).passed is None
