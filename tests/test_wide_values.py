"""Claims about the text of values that leave a benchmark's program."""

import json
import math
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr_mini.sandbox import wide_values
from azr_mini.sandbox.wide_values import Digest, Opaque, canonical, digest, parse, same

leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.text() | st.binary() | st.complex_numbers(allow_nan=False)
)  # fmt: skip
keys = st.recursive(leaves, lambda k: st.tuples(k, k) | st.frozensets(k, max_size=3), max_leaves=4)
values = st.recursive(
    keys,
    lambda v: (
        st.lists(v, max_size=4) | st.tuples(v, v) | st.dictionaries(keys, v, max_size=3)
        | st.sets(keys, max_size=3) | st.builds(deque, st.lists(v, max_size=3))
    ),
    max_leaves=12,
)  # fmt: skip


def typed(value):
    """A value with all its types spelled out, so that True, 1 and 1.0 differ."""
    if isinstance(value, dict):
        return type(value), {typed(k): typed(v) for k, v in value.items()}
    if isinstance(value, set | frozenset):
        return type(value), frozenset(map(typed, value))
    if isinstance(value, list | tuple | deque):
        return type(value), tuple(map(typed, value))
    return type(value), value


@given(values)
@settings(max_examples=40)
def test_reading_gives_back_what_was_written(value):
    text = canonical(value)
    assert "\n" not in text and text.isascii()
    assert typed(parse(text)) == typed(value)


@pytest.mark.parametrize(
    "value",
    [
        Counter("aab"), OrderedDict(a=1), range(2, 9, 3), 7**9000, -(7**9000), "\ud800\n",
        float("inf"), bytearray(b"\0"), {(1, 2): {"x": [None]}}, frozenset([1]), 10**300,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_other_built_in_values_come_back_as_they_were(value):
    assert typed(parse(canonical(value))) == typed(value)


def test_not_a_number_and_default_dicts_come_back():
    assert math.isnan(parse(canonical([math.nan]))[0])
    assert parse(canonical(defaultdict(list, a=[1]))) == {"a": [1]}


def test_scalars_of_numpy_come_back_and_arrays_do_not():
    value = parse(canonical((np.float64(0.5), np.int32(3), np.bool_(True))))
    assert [type(item) for item in value] == [np.float64, np.int32, np.bool_]
    assert value == (0.5, 3, True)
    assert parse(canonical(np.arange(2))).type_name == "ndarray"


class Liar(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


class FakeNumpy(Liar):
    def item(self):
        return 1


FakeNumpy.__module__, FakeNumpy.__name__ = "numpy", "int64"


@pytest.mark.parametrize(
    "value",
    [Liar(1), object(), Liar, iter([1]), namedtuple("P", "x")(1), {1: 2}.keys(), len],
    ids=lambda value: type(value).__name__,
)
def test_any_other_object_arrives_as_opaque_and_equals_nothing(value):
    arrived = parse(canonical([value]))[0]
    assert isinstance(arrived, Opaque)
    assert arrived != value and arrived != 1 and arrived != parse(canonical(value))


def test_a_class_that_calls_itself_numpy_has_plain_content():
    assert type(parse(canonical(FakeNumpy(5)))) is np.int64


def test_values_too_deep_are_refused():
    deep = []
    for _ in range(200):
        deep = [deep]
    endless = []
    endless.append(endless)
    for value in (deep, endless, [[0] * 200_000, deep]):
        with pytest.raises(ValueError):
            canonical(value)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 600_000,
        [0] * 200_000,
        7**1_000_000,
        [("a", 1.5)] * 60_000,
        {i: str(i) for i in range(60_000)},
    ],
    ids=["text", "list", "int", "nested", "dict"],
)
def test_of_large_values_a_digest_arrives(value):
    text = canonical(value)
    assert len(text) < 200
    found = parse(text)
    assert isinstance(found, Digest)
    assert same(found, value) and same(value, found) and same(found, digest(value))
    assert not same(found, [0]) and not same(found, "x") and not same(found, object())


@given(values, values)
@settings(max_examples=40)
def test_digests_are_equal_exactly_when_values_are(a, b):
    try:
        same_digest = digest(a) == digest(b)
    except ValueError:  # a deque has none
        return
    if type(a) is type(b):
        assert same_digest == (a == b)
    assert digest(a) == digest(parse(canonical(a)))


def test_whole_numbers_have_one_digest():
    assert digest([1, 2.0, True, 10**30]) == digest([1.0, 2, 1, 10**30])
    assert digest([{"a": (0.5, 3.0)}, None]) == digest([{"a": (0.5, 3)}, None])
    assert digest({3, 1}) == digest({1.0, 3}) and digest({1: 2, 3: 4}) == digest({3: 4.0, 1: 2})
    assert digest({3, 1}) == digest(frozenset([1, 3])) and digest({1: 2}) == digest(Counter({1: 2}))
    assert digest({0, 8}) == digest({8, 0})  # CPython keeps them in the order they came in
    assert digest([1]) != digest((1,)) and digest(["1"]) != digest([1])
    assert digest([float("inf"), 0.1]) == digest([float("inf"), 0.1])


def test_objects_that_could_lie_have_no_digest():
    for value in ([Liar(1)], Liar(1), [object()], {"a": Liar(1)}, [[0] * 200_000, Liar(1)]):
        with pytest.raises(ValueError):
            digest(value)
    with pytest.raises(ValueError):
        canonical([[0] * 200_000, Liar(1)])


@pytest.mark.parametrize(
    "text",
    [
        "", "[1", "{}", '{"set": [[1]]}', '{"tuple": 3}', '{"dict": [[1]]}', '{"range": ["a"]}',
        '{"os": "x"}', '{"numpy": ["os", 1]}', '{"int": 5}', '{"a": 1, "b": 2}', "1" * 5000,
        '{"range": [0, 1000000000000]}', "[" * 100_000, '{"complex": ["x", "y"]}',
        '{"bytes": "zz"}', '{"dict": [[{"dict": []}, 1]]}', '{"numpy": ["int8", "x"]}',
    ],
    ids=range(18),
)  # fmt: skip
def test_forged_text_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse(text)


def test_items_forged_to_share_a_hash_are_refused():
    prime = 2**61 - 1  # of CPython: all its multiples have the hash 0
    for kind, items in [
        ("set", [prime * i for i in range(200)]),
        ("frozenset", [prime * i for i in range(200)]),
        ("dict", [[prime * i, 0] for i in range(200)]),
    ]:
        with pytest.raises(ValueError):
            parse(json.dumps({kind: items}))
    assert len(parse(json.dumps({"set": list(range(5000))}))) == 5000
    assert wide_values.MAX_SAME_HASH < 200
