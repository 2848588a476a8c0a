"""The inputs of MBPP+, which JSON kept as lists and texts, with the types they had.

Which tasks take which types was read off the second copy of the benchmark, whose programs have
the inputs as Python literals; a test compares all of them.
"""

from collections.abc import Callable


def _tuples(value: object, levels: str) -> object:
    """The value with lists as tuples at the nesting levels marked t, as lists at those marked l."""
    if type(value) is not list or not levels:
        return value
    inside = [_tuples(item, levels[1:]) for item in value]
    return tuple(inside) if levels[0] == "t" else inside


def _each(levels: str) -> Callable:
    return lambda given: [_tuples(value, levels) for value in given]


def _first(levels: str) -> Callable:
    return lambda given: [_tuples(given[0], levels), *given[1:]]


def _second(given: list) -> list:
    return [given[0], tuple(given[1])]


def _sets(given: list) -> list:
    """An empty list was an empty dict, which is how people write an empty set."""
    return [[set(item) if type(item) is list and item else {} for item in given[0]]]


def _complex(given: list) -> list:
    return [complex(given[0])]


def _float_and_complex(given: list) -> list:
    return [float(given[0]), complex(given[1])]


def _tuples_in_dict(given: list) -> list:
    return [{key: tuple(item) for key, item in given[0].items()}, *given[1:]]


_KINDS = [
    (_each("t"), "2 116 132 143 222 261 273 394 399 421 424 429 470 560 579 596 616 630 726 740"),
    (_each("t"), "744 809"),
    (_each("lt"), "63 64 70 94 120 237 272 299 400 409 417 438 473 614 780"),
    (_first("lt"), "75 413 444 753"),
    (_second, "106 750"),
    (_first("t"), "250 307 405 446 617 720 763 808"),
    (_each("tt"), "259 278 401 445"),
    (_each("t" * 50), "580 615 791"),
    (_sets, "115"),
    (_float_and_complex, "124"),
    (_complex, "252"),
    (_tuples_in_dict, "722"),
]
_BY_TASK = {f"Mbpp/{number}": kind for kind, numbers in _KINDS for number in numbers.split()}


def with_types(task_id: str, inputs: list[list] | dict) -> list[list]:
    """The argument lists of one task; those of other benchmarks as they are."""
    if not inputs:
        return []  # one row has {} for no inputs
    convert = _BY_TASK.get(task_id, list)
    return [convert(given) for given in inputs]
