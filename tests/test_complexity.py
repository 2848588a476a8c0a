import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from radon.visitors import ComplexityVisitor
from test_programs import HOSTILE

from azr_mini.complexity import cyclomatic, halstead
from azr_mini.nano.drawing import random_program
from azr_mini.programs import parse_program

DECISIONS = [  # statements and how many ways they branch
    ("pass", 0),
    ("if a: pass", 1),
    ("if a: pass\nelif b: pass\nelse: pass", 2),
    ("x = 1 if a else 2", 1),
    ("for i in a: pass", 1),
    ("for i in a: pass\nelse: pass", 2),
    ("while a: pass", 1),
    ("x = a and b and c", 2),
    ("x = [i for i in a if i if j]", 3),
    ("x = {i for i in a for j in b}", 2),
    ("x = {i: 1 for i in a}", 1),
    ("x = sum(i for i in a)", 1),
    ("try: pass\nexcept A: pass\nexcept B: pass\nelse: pass", 3),
    ("try: pass\nfinally: pass", 0),
    ("assert a", 1),
    ("with a: pass", 0),
    ("x = lambda y: y or 1", 1),
    ("match a:\n    case 1: pass\n    case 2: pass", 2),
    ("match a:\n    case 1: pass\n    case _: pass", 1),
    ("class A:\n    def m(self):\n        if self: pass", 1),
]


@pytest.mark.parametrize("statement, decisions", DECISIONS, ids=[s for s, _ in DECISIONS])
def test_decisions_are_counted_as_radon_does(statement, decisions):
    body = "".join(f"    {line}\n" for line in statement.split("\n"))
    program = f"def f(a):\n{body}"
    assert cyclomatic(program) == 1 + decisions
    if "class" not in statement:  # radon forgets classes inside functions
        assert ComplexityVisitor.from_code(program).total_complexity == 1 + decisions


@given(st.integers(), st.integers(0, 8))
def test_nano_programs_are_as_complex_as_radon_says(seed, size):
    program = random_program(random.Random(seed), 1 + size).source
    assert cyclomatic(program) == ComplexityVisitor.from_code(program).total_complexity


def test_functions_in_functions_and_assertions_count():
    nested = "def f(a):\n    def g(x):\n        if x: return 1\n        return 2\n    return g(a)"
    assert cyclomatic(nested) == 2 and ComplexityVisitor.from_code(nested).total_complexity == 1
    assert cyclomatic("def f(a):\n    assert a and 1\n    return a") == 3


def test_halstead_equals_its_formulas():
    found = halstead("def f(a, b):\n    c = a + 1\n    d = b + a\n    return c < d")
    operators, operands = ["+", "+", "<"], ["a", "1", "b", "a", "c", "d"]
    distinct = len({*operators}), len({*operands})
    volume = (len(operators) + len(operands)) * math.log2(sum(distinct))
    difficulty = distinct[0] / 2 * len(operands) / distinct[1]
    assert found == pytest.approx((volume, difficulty, volume * difficulty))


def test_halstead_is_blind_to_calls_subscripts_and_assignments():
    assert halstead("def f(a):\n    b = sorted(a)\n    return b[0].upper()") == (0, 0, 0)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_every_program_that_parses_is_measured(text):
    try:
        parse_program(text)
    except ValueError:
        for measure in (cyclomatic, halstead):
            with pytest.raises(ValueError):
                measure(text)
    else:
        assert cyclomatic(text) >= 1
        assert all(value >= 0 or math.isnan(value) for value in halstead(text))


def test_a_program_too_deep_for_radon_has_no_halstead_numbers():
    deep = "def f(a):\n    return " + "-" * 400 + "a"
    assert all(map(math.isnan, halstead(deep))) and cyclomatic(deep) == 1
