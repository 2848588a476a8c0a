"""The operations of the nano grammar: what a program can do, in Python text and in meaning."""

import random
from collections.abc import Callable
from dataclasses import dataclass

LETTERS = "abcdefgh"


@dataclass(frozen=True)
class Operation:
    """One Python operation: argument types, result type, source template, meaning, constants."""

    word: str
    arguments: tuple[str, ...]
    result: str
    template: str
    meaning: Callable
    constant: Callable[[random.Random], object] | None = None
    weight: float = 1.0


def _between(low: int, high: int) -> Callable[[random.Random], int]:
    return lambda rng: rng.randint(low, high)


def _letter(rng: random.Random) -> str:
    return rng.choice(LETTERS)


def _suffix(rng: random.Random) -> str:
    return "".join(rng.choices(LETTERS, k=rng.randint(1, 2)))


def _first(x):
    return x[0]


OPERATIONS = (
    # int -> int
    Operation("add", ("int",), "int", "{0} + {c}", lambda x, c: x + c, _between(1, 9), 3),
    Operation("subtract", ("int",), "int", "{0} - {c}", lambda x, c: x - c, _between(1, 9), 3),
    Operation("times", ("int",), "int", "{0} * {c}", lambda x, c: x * c, _between(2, 3), 3),
    Operation("divide", ("int",), "int", "{0} // {c}", lambda x, c: x // c, _between(2, 3), 1.5),
    Operation("remainder", ("int",), "int", "{0} % {c}", lambda x, c: x % c, _between(2, 5), 1.5),
    Operation("negate", ("int",), "int", "-{0}", lambda x: -x),
    Operation("absolute", ("int",), "int", "abs({0})", abs),
    Operation("atleast", ("int",), "int", "max({0}, {c})", max, _between(1, 9)),
    Operation("atmost", ("int",), "int", "min({0}, {c})", min, _between(1, 9)),
    Operation("plus", ("int", "int"), "int", "{0} + {1}", lambda x, y: x + y, None, 2),
    Operation("minus", ("int", "int"), "int", "{0} - {1}", lambda x, y: x - y, None, 2),
    Operation("larger", ("int", "int"), "int", "max({0}, {1})", max),
    # list of ints
    Operation("sort", ("ints",), "ints", "sorted({0})", sorted, None, 2),
    Operation("reverse", ("ints",), "ints", "{0}[::-1]", lambda x: x[::-1], None, 2),
    Operation("append", ("ints",), "ints", "{0} + [{c}]", lambda x, c: x + [c], _between(0, 9), 2),
    Operation("append", ("ints", "int"), "ints", "{0} + [{1}]", lambda x, y: x + [y]),
    Operation("rest", ("ints",), "ints", "{0}[1:]", lambda x: x[1:]),
    Operation("front", ("ints",), "ints", "{0}[:-1]", lambda x: x[:-1]),
    Operation("take", ("ints",), "ints", "{0}[:{c}]", lambda x, c: x[:c], _between(1, 3)),
    Operation(
        "addeach", ("ints",), "ints", "[v + {c} for v in {0}]",
        lambda x, c: [v + c for v in x], _between(1, 5), 2,
    ),
    Operation(
        "timeseach", ("ints",), "ints", "[v * {c} for v in {0}]",
        lambda x, c: [v * c for v in x], _between(2, 3), 2,
    ),
    Operation(
        "keepabove", ("ints",), "ints", "[v for v in {0} if v > {c}]",
        lambda x, c: [v for v in x if v > c], _between(1, 7), 2,
    ),
    Operation(
        "keepeven", ("ints",), "ints", "[v for v in {0} if v % 2 == 0]",
        lambda x: [v for v in x if v % 2 == 0],
    ),
    Operation("sum", ("ints",), "int", "sum({0})", sum, None, 1.5),
    Operation("count", ("ints",), "int", "len({0})", len, None, 1.5),
    Operation("maximum", ("ints",), "int", "max({0})", max, None, 1.5),
    Operation("minimum", ("ints",), "int", "min({0})", min, None, 1.5),
    Operation("first", ("ints",), "int", "{0}[0]", _first, None, 1.5),
    Operation("last", ("ints",), "int", "{0}[-1]", lambda x: x[-1], None, 1.5),
    # strings
    Operation("upper", ("str",), "str", "{0}.upper()", str.upper, None, 2),
    Operation("reverse", ("str",), "str", "{0}[::-1]", lambda x: x[::-1], None, 2),
    Operation("suffix", ("str",), "str", "{0} + {c}", lambda x, c: x + c, _suffix, 2),
    Operation("prefix", ("str",), "str", "{c} + {0}", lambda x, c: c + x, _suffix, 1.5),
    Operation("repeat", ("str",), "str", "{0} * 2", lambda x: x * 2),
    Operation("rest", ("str",), "str", "{0}[1:]", lambda x: x[1:], None, 1.5),
    Operation("front", ("str",), "str", "{0}[:-1]", lambda x: x[:-1], None, 1.5),
    Operation("take", ("str",), "str", "{0}[:{c}]", lambda x, c: x[:c], _between(1, 3)),
    Operation("first", ("str",), "str", "{0}[0]", _first),
    Operation("join", ("str", "str"), "str", "{0} + {1}", lambda x, y: x + y),
    Operation("length", ("str",), "int", "len({0})", len, None, 2),
    Operation("letters", ("str",), "strs", "list({0})", list),
    Operation("sortletters", ("str",), "strs", "sorted({0})", sorted),
    Operation("glue", ("strs",), "str", "''.join({0})", "".join, None, 2),
    Operation("reverse", ("strs",), "strs", "{0}[::-1]", lambda x: x[::-1]),
    Operation("count", ("strs",), "int", "len({0})", len),
    Operation("text", ("int",), "str", "str({0})", str, None, 0.7),
    # tuples, dictionaries, truth values
    Operation("pair", ("int", "int"), "pair", "({0}, {1})", lambda x, y: (x, y), None, 0.8),
    Operation("swap", ("pair",), "pair", "{0}[::-1]", lambda x: x[::-1]),
    Operation("first", ("pair",), "int", "{0}[0]", _first),
    Operation("second", ("pair",), "int", "{0}[1]", lambda x: x[1]),
    Operation(
        "table", ("ints",), "dict", "{{v: v + {c} for v in {0}}}",
        lambda x, c: {v: v + c for v in x}, _between(1, 5), 0.3,
    ),
    Operation("values", ("dict",), "ints", "list({0}.values())", lambda x: list(x.values())),
    Operation("count", ("dict",), "int", "len({0})", len),
    Operation("span", ("int",), "ints", "list(range({0}))", lambda x: list(range(x)), None, 0.7),
    Operation("above", ("int",), "bool", "{0} > {c}", lambda x, c: x > c, _between(0, 12), 0.5),
    Operation(
        "contains", ("ints",), "bool", "{c} in {0}", lambda x, c: c in x, _between(0, 9), 0.4,
    ),
)  # fmt: skip

CONDITIONS = (
    Operation("above", ("int",), "bool", "{0} > {c}", lambda x, c: x > c, _between(1, 9), 3),
    Operation("below", ("int",), "bool", "{0} < {c}", lambda x, c: x < c, _between(1, 9), 2),
    Operation("even", ("int",), "bool", "{0} % 2 == 0", lambda x: x % 2 == 0, None, 2),
    Operation("long", ("ints",), "bool", "len({0}) > {c}", lambda x, c: len(x) > c, _between(1, 3)),
    Operation("long", ("str",), "bool", "len({0}) > {c}", lambda x, c: len(x) > c, _between(1, 3)),
    Operation("contains", ("str",), "bool", "{c} in {0}", lambda x, c: c in x, _letter),
)
