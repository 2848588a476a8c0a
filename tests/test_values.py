"""Claims about plain values: one text for each value, and no text that raises anything strange."""

import math
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr_mini.values import (
    MAX_DEPTH,
    MAX_TEXT,
    canonical,
    canonical_arguments,
    canonical_value_text,
    equal_values,
    parse_arguments,
    parse_value,
)

floats = st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | st.integers() | floats | st.text() | st.binary(max_size=20)
keys = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)
plain = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(keys, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


def shape(value):
    """An independent oracle of typed equality: nested (type, content), order-free where due."""
    match value:
        case list() | tuple():
            return (type(value).__name__, tuple(map(shape, value)))
        case set():
            return ("set", frozenset(map(shape, value)))
        case dict():
            return ("dict", frozenset((shape(k), shape(v)) for k, v in value.items()))
        case _:
            return (type(value).__name__, value)


@given(plain)
def test_parsing_canonical_text_gives_the_value_back(value):
    assert shape(parse_value(canonical(value))) == shape(value)


@given(plain)
def test_canonical_text_is_its_own_canonical_text(value):
    assert canonical_value_text(canonical(value)) == canonical(value)


@given(plain, plain)
def test_equal_texts_are_equal_values(a, b):
    assert equal_values(canonical(a), canonical(b)) == (shape(a) == shape(b))


@given(st.lists(plain, max_size=4))
def test_arguments_survive_their_text(values):
    text = ", ".join(map(canonical, values))
    assert shape(parse_arguments(text)) == shape(tuple(values))
    assert canonical_arguments(text) == text


@settings(max_examples=300)
@given(st.text() | st.text(alphabet="()[]{},:'\"#\\\n 01-+*.ejfx", max_size=40))
def test_any_text_parses_or_raises_value_error(text):
    for function in (parse_value, canonical_value_text, parse_arguments, canonical_arguments):
        try:
            function(text)
        except ValueError as error:
            assert len(str(error)) <= 200


@pytest.mark.parametrize(
    "a, b",
    [("1", "True"), ("1", "1.0"), ("[1]", "(1,)"), ("'a'", "b'a'"), ("{1: 2}", "{True: 2}")],
)
def test_types_count(a, b):
    assert not equal_values(canonical_value_text(a), canonical_value_text(b))


@pytest.mark.parametrize(
    "a, b",
    [
        ("-0.0", "0.0"),
        ("{1, 2}", "{2, 1}"),
        ("{0, 8}", "{8, 0}"),  # two that Python itself lists in the order they came in
        ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}"),
        ("0x10", "16"),
        ('"a"', "'a'"),
        (" 3 ", "3"),
        ("+3", "3"),
        ("[{1: -0.0}]", "[{1: 0.0}]"),
        ("'\\d'", "'\\\\d'"),
    ],
)
def test_spelling_does_not_count(a, b):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert equal_values(canonical_value_text(a), canonical_value_text(b))


def test_empty_set_has_a_text():
    assert canonical(set()) == "set()"
    assert parse_value("[set()]") == [set()]


HOSTILE = {
    "deep list": "[" * 10_000,
    "closed deep list": "[" * 9_999 + "]" * 9_999,
    "deep minus": "-" * 19_000 + "1",
    "long sum": "1+" * 9_000 + "1",
    "long not": "not " * 4_900 + "1",
    "deep lambda": "lambda:" * 2_800 + "1",
    "long attribute": "a" + ".a" * 9_000,
    "long call": "f" + "()" * 9_000,
    "dict unpacking": "{**{}}",
    "unhashable": "{[]}",
    "unhashable key": "{{}: 1}",
    "nul": "\0",
    "nul in a string": "'\0'",
    "lone surrogate": "'\ud800'",
    "megabytes": "1" * 10_000_000,
    "huge int": "1" * 5_000,
    "infinite": "1e999",
    "complex": "1+2j",
    "ellipsis": "...",
    "expression": "7*7",
    "name": "x",
    "call": "list()",
    "f-string": "f'{1}'",
    "empty": "",
    "too deep": "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_a_value_error(name):
    with pytest.raises(ValueError):
        parse_value(HOSTILE[name])
    with pytest.raises(ValueError):
        canonical_value_text(HOSTILE[name])


INJECTIONS = ["0) or (1", "1)(2", "3)#", "3) + f(4", "3)\n(", "1; 2", "a=3", "*[1]"]
INJECTIONS += ["**{}", "x for x in y"]


@pytest.mark.parametrize("name", INJECTIONS + [name for name in HOSTILE if name != "empty"])
def test_arguments_are_exactly_one_call(name):
    text = HOSTILE.get(name, name)
    with pytest.raises(ValueError):
        parse_arguments(text)
    with pytest.raises(ValueError):
        canonical_arguments(text)


def test_no_arguments_are_arguments():
    assert parse_arguments("") == ()
    assert canonical_arguments(" 3,[1,2], ") == "3, [1, 2]"


class Liar(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


@pytest.mark.parametrize(
    "value",
    [Liar(3), frozenset([1]), object(), 1j, math.nan, math.inf, range(3), bytearray(b"a"), len]
    + [[Liar(3)], {Liar(3)}, {Liar(3): 1}, (x for x in ()), NotImplemented, int],
    ids=repr,
)
def test_what_is_not_plain_is_refused_by_name(value):
    with pytest.raises(ValueError, match="plain value|finite"):
        canonical(value)


def test_length_and_depth_are_bounded():
    assert canonical("a" * (MAX_TEXT - 2))
    nested = 1
    for _ in range(MAX_DEPTH):
        nested = [nested]
    assert canonical(nested)
    doubled = [1]
    for _ in range(MAX_DEPTH - 2):
        doubled = [doubled, doubled]
    loop = []
    loop.append(loop)
    for value in ("a" * MAX_TEXT, [nested], doubled, loop, [0] * MAX_TEXT, 1 << 100_000):
        with pytest.raises(ValueError):
            canonical(value)
