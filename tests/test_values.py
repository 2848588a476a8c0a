"""Claims about plain values: one text for each value, and no text that raises anything strange."""

import math
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
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


def respelled(value, random):
    """Another literal text of the same value: other order, spaces, quotes, digits, signs."""
    space = random.choice(["", " ", "  "])
    comma = f",{space}"

    def each(values):
        return [respelled(value, random) for value in values]

    match value:
        case list():
            return f"[{space}{comma.join(each(value))}]"
        case tuple():
            return f"({''.join(text + comma for text in each(value))}{space})"
        case set() if value:
            return f"{{{comma.join(each(random.sample(sorted(value, key=repr), len(value))))}}}"
        case dict():
            items = random.sample(sorted(value.items(), key=repr), len(value))
            return f"{{{comma.join(':'.join(each(item)) for item in items)}}}"
        case bool() | None:
            return f"({value})"
        case int():
            return random.choice([str, hex, oct, bin])(value)
        case float() if value == 0:
            return random.choice(["0.0", "-0.0", "0e9"])
        case str():
            return "".join(f"\\U{ord(char):08x}" for char in value).join("''")
        case bytes():
            return "".join(f"\\x{byte:02x}" for byte in value).join(["b'", "'"])
        case _:
            return repr(value)


@given(plain, st.randoms(use_true_random=False))
def test_every_spelling_of_a_value_has_the_same_text(value, random):
    assert canonical_value_text(respelled(value, random)) == canonical(value)


def variants(value):
    """Values that Python calls equal or that look alike, but that differ in type or content."""
    match value:
        case bool():
            yield from (int(value), float(value), str(value))
        case int():
            yield from (str(value), value + 1, *([float(value)] if abs(value) < 2**53 else []))
        case float():
            yield from (repr(value), *([int(value)] if value.is_integer() else []))
        case str():
            yield from (value.encode("utf-8", "surrogatepass"), value + " ", [value])
        case list():
            yield from (tuple(value), [*value, None], [value])
            yield from (
                [*value[:i], v, *value[i + 1 :]] for i, x in enumerate(value) for v in variants(x)
            )
        case tuple():
            yield from (list(value), (*value, None), (value,))
        case set():
            yield from (sorted(value, key=repr), dict.fromkeys(value))
        case dict():
            yield from (list(value), {**value, "another": 1})
            yield from ({**value, k: v} for k, x in value.items() for v in variants(x))


@given(plain)
def test_a_value_and_what_is_mistaken_for_it_differ(value):
    for other in variants(value):
        assert shape(other) != shape(value)
        assert canonical(other) != canonical(value)


@given(plain)
def test_canonical_text_is_bounded_and_canonical_everywhere(value):
    text = canonical(value)
    assert len(text) <= MAX_TEXT and text == text.strip() and "\n" not in text
    assert canonical_value_text(f" {text}\n") == text
    assert canonical([value]) == f"[{text}]"


huge = st.recursive(
    st.integers(-(10**5000), 10**5000) | st.text(min_size=0, max_size=30).map(lambda s: s * 999),
    lambda inner: st.lists(inner).map(lambda x: x * 99) | st.tuples(inner) | st.just([[]] * 9999),
    max_leaves=4,
)


@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(huge)
def test_a_value_of_any_size_has_a_short_text_or_is_refused(value):
    try:
        assert len(canonical(value)) <= MAX_TEXT
    except ValueError as error:
        assert len(str(error)) <= 200


@given(st.lists(plain, max_size=4))
def test_arguments_survive_their_text(values):
    text = ", ".join(map(canonical, values))
    assert shape(parse_arguments(text)) == shape(tuple(values))
    assert canonical_arguments(text) == text


tokens = st.sampled_from(
    ["(", ")", "[", "]", "{", "}", "{**", "*", "lambda:", "-", "not ", "f(", "f'{", "'", '"', "b'"]
    + ["1", "0x", "1_", "1e999", "1j", "True", "None", "...", ",", ":", ":=", "=", ".", "#", "\\"]
    + ["\n", "\r", "\0", "\ud800", "\N{SNOWMAN}", " if ", " else ", " for a in ", "await ", "set()"]
)
nested = st.builds(
    lambda unit, times, rest: "".join(unit) * times + "".join(rest),
    st.lists(tokens, min_size=1, max_size=3),
    st.sampled_from([1, 40, 90, 190, 2_000]),
    st.lists(tokens, max_size=5),
)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.text() | st.lists(tokens, max_size=20).map("".join) | nested)
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


@given(st.lists(plain, max_size=3))
def test_arguments_keep_the_order_of_their_dicts(values):
    written = parse_arguments(canonical_arguments(", ".join(map(ordered, values))))
    assert list(map(ordered, written)) == list(map(ordered, values))


def ordered(value):
    """The text of a value with the items of dicts as they come and those of sets sorted."""
    match value:
        case dict():
            return "{" + ", ".join(f"{ordered(k)}: {ordered(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(ordered, value)) + "]"
        case tuple():
            return "(" + "".join(ordered(item) + ", " for item in value) + ")"
        case _:
            return canonical(value)


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
