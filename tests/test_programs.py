import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_mini.programs import canonical_program, parse_program, program_key


def same(one, other):
    return program_key(one) == program_key(other)


def test_names_layout_comments_and_docstrings_do_not_matter():
    one = "def f(a):\n    b = a + 1\n    return [x for x in range(b)]"
    other = 'def f(first):\n  """Says."""\n  # why\n  t = first+1\n  return [i for i in range(t)]\n'
    assert same(one, other)


def test_helpers_lambdas_handlers_and_keywords_are_numbered():
    one = (
        "import math as m\ndef g(x, n=2):\n    return x * n\n"
        "def f(a):\n    try:\n        return g(a, n=3) + m.floor(1.5)\n"
        "    except TypeError as e:\n        return (lambda q: q)(a)"
    )
    other = (
        "import math as mm\ndef h(y, k=2):\n    return y * k\n"
        "def f(b):\n    try:\n        return h(b, k=3) + mm.floor(1.5)\n"
        "    except TypeError as err:\n        return (lambda z: z)(b)"
    )
    assert same(one, other)


@pytest.mark.parametrize(
    "one, other",
    [
        ("def f(a):\n    return a + 1", "def f(a):\n    return a + 2"),
        ("def f(a):\n    return a + 1", "def f(a):\n    return a + True"),
        ("def f(a):\n    return a + 1", "def f(a):\n    return a + 1.0"),
        ("def f(a, b):\n    return a - b", "def f(a, b):\n    return b - a"),
        ("def f(a):\n    return len(a)", "def f(a):\n    return sum(a)"),
        ("def f(a):\n    return a.upper()", "def f(a):\n    return a.lower()"),
        ("def f(a):\n    return sorted(a, key=len)", "def f(a):\n    return sorted(a, key=str)"),
        ("def f(a):\n    return a", "def g(a):\n    return a"),
        (
            "class A:\n    def x(self):\n        return 1\n    def y(self):\n        return 2\n"
            "def f(a):\n    return A().x()",
            "class A:\n    def y(self):\n        return 1\n    def x(self):\n        return 2\n"
            "def f(a):\n    return A().x()",
        ),
    ],
)
def test_programs_that_compute_something_else_differ(one, other):
    assert not same(one, other)


def test_a_free_name_is_not_confused_with_a_numbered_one():
    assert not same("def f(a):\n    return a", "def f(a):\n    return b")
    assert not same("def f(a):\n    return len", "def f(len):\n    return len")


def test_canonical_program_keeps_names_and_drops_layout():
    assert canonical_program("def f( a ):\n  return a+1 # x") == "def f(a):\n    return a + 1"


HOSTILE = [
    "",
    "\0",
    "\ud800",
    "def f(",
    "x = '\ud800'",
    "(" * 5000,
    "-" * 15000 + "1",
    "a" + ".b" * 9000,
    "f" + "()" * 9000,
    "1" + "+1" * 9000,
    "0x" + "f" * 15000,
    "9" * 15000,
    "a" * 10_000_000,
    "if x:\n" + "".join(" " * i + "if x:\n" for i in range(1, 150)),
    "'\\d'",
    "1 is 1",
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("function", [parse_program, canonical_program, program_key])
def test_any_text_gives_an_answer_or_a_value_error(function, text):
    try:
        function(text)
    except ValueError:
        pass


@given(st.text())
def test_no_text_raises_anything_else(text):
    for function in (canonical_program, program_key):
        try:
            assert isinstance(function(text), str)
        except ValueError:
            pass


@given(st.sampled_from(["a", "b", "value", "xs"]), st.sampled_from(["c", "d", "total"]))
def test_the_key_does_not_depend_on_chosen_names(argument, local):
    text = f"def f({argument}):\n    {local} = {argument} * 2\n    return {local} - {argument}"
    assert same(text, "def f(p):\n    q = p * 2\n    return q - p")


def test_the_recursion_limit_is_left_alone():
    before = sys.getrecursionlimit()
    with pytest.raises(ValueError):
        program_key("1" + "+1" * 9000)
    assert sys.getrecursionlimit() == before
