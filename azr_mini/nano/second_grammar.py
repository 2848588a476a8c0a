"""A second grammar, of statements that the first cannot write: nothing was pre-trained on it.

Half of its programs combine, in one statement, operations that the first grammar has but writes one
by one. The others use what the first grammar lacks altogether. Their values stay as small. Its
frozen tasks are the set `ood`.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from azr_mini.nano.constructs import constructs, first_constructs
from azr_mini.nano.drawing import NAMES, random_value
from azr_mini.nano.operations import LETTERS


@dataclass(frozen=True)
class Statement:
    """One new statement: the type it takes, the type it makes, its words, its lines.

    In the lines {x} is the variable it reads, {n} the one it makes, {c} and {d} are constants, {q}
    and {r} letters. A line that begins with more spaces is inside the one above.
    """

    takes: str
    makes: str
    words: str
    lines: str


COMBINED = (
    Statement("int", "int", "times add", "{n} = {x} * {c} + {d}"),
    Statement("int", "int", "add times", "{n} = ({x} + {d}) * {c}"),
    Statement("int", "int", "atleast subtract", "{n} = max({x} - {d}, {c})"),
    Statement("int", "int", "remainder plus", "{n} = {x} % {c} + {x}"),
    Statement("int", "int", "absolute subtract", "{n} = abs({x} - {d})"),
    Statement(
        "int",
        "int",
        "if above subtract if below times add",
        "if {x} > {d}:\n    {n} = {x} - {d}\nelse:\n"
        "    if {x} < {c}:\n        {n} = {x} * {c}\n    else:\n        {n} = {x} + {d}",
    ),
    Statement(
        "int",
        "int",
        "if above subtract add",
        "{n} = {x}\nif {x} > {d}:\n    {n} = {n} - {c}\n    {n} = {n} + {d}",
    ),
    Statement("int", "ints", "pair reverse", "{n} = [{x}, {x} + {c}][::-1]"),
    Statement("ints", "int", "maximum minus minimum", "{n} = max({x}) - min({x})"),
    Statement("ints", "int", "first plus last", "{n} = {x}[0] + {x}[-1]"),
    Statement("ints", "int", "sort last", "{n} = sorted({x})[-1]"),
    Statement("ints", "int", "rest sum", "{n} = sum({x}[1:])"),
    Statement("ints", "ints", "sort reverse", "{n} = sorted({x})[::-1]"),
    Statement("ints", "ints", "rest append first", "{n} = {x}[1:] + [{x}[0]]"),
    Statement("ints", "ints", "timeseach addeach", "{n} = [v * {c} + {d} for v in {x}]"),
    Statement(
        "ints",
        "ints",
        "loop above append",
        "{n} = []\nfor v in {x}:\n    if v > {d}:\n        {n} = [v] + {n}",
    ),
    Statement("str", "str", "upper join", "{n} = {x}.upper() + {x}"),
    Statement("str", "str", "rest join first", "{n} = {x}[1:] + {x}[0]"),
    Statement("str", "str", "reverse suffix", "{n} = {x}[::-1] + '{q}'"),
    Statement("str", "str", "sortletters glue", "{n} = ''.join(sorted({x}))"),
    Statement("str", "int", "length times", "{n} = len({x}) * {c}"),
    Statement("str", "str", "loop prefix", "{n} = ''\nfor v in {x}:\n    {n} = v + {n} + v"),
)
NEW = (
    Statement("int", "int", "add", "{n} = {x}\n{n} += {d}"),
    Statement("int", "int", "power", "{n} = {x} ** 2"),
    Statement("int", "int", "if above", "{n} = {x} - {d} if {x} > {d} else {x} + {c}"),
    Statement("int", "int", "loop subtract", "{n} = {x}\nwhile {n} > {d}:\n    {n} = {n} - {d}"),
    Statement(
        "int", "int", "if above below",
        "{n} = {x}\nif {x} > {c} and {x} < {c} + {d}:\n    {n} = {x} * {c}",
    ),
    Statement("ints", "int", "count", "{n} = {x}.count({d})"),
    Statement("ints", "ints", "second", "{n} = {x}[::2]"),
    Statement("ints", "ints", "keep not", "{n} = [v for v in {x} if not v > {d}]"),
    Statement("ints", "ints", "table place", "{n} = [v + i for i, v in enumerate({x})]"),
    Statement(
        "ints", "int", "loop until",
        "{n} = 0\nfor v in {x}:\n    if v > {d}:\n        break\n    {n} = {n} + v",
    ),
    Statement("ints", "bool", "any above", "{n} = any(v > {d} for v in {x})"),
    Statement("str", "str", "replace", "{n} = {x}.replace('{q}', '{r}')"),
    Statement("str", "int", "count", "{n} = {x}.count('{q}')"),
    Statement("str", "str", "second", "{n} = {x}[::2]"),
    Statement("str", "str", "capital", "{n} = {x}.capitalize()"),
    Statement("str", "bool", "begins", "{n} = {x}.startswith('{q}')"),
    Statement("str", "strs", "parts", "{n} = {x}.split('{q}')"),
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A program of the second grammar, the type of its argument, and its words."""

    source: str
    argument: str
    words: tuple[str, ...]


def draw(rng: random.Random, num_statements: int, pool: Sequence[Statement]) -> Drawn:
    """A program of about this many statements from a pool, each reading what the last one made."""
    kind = argument = rng.choice(sorted({statement.takes for statement in pool}))
    lines, words, latest = [], [], NAMES[0]
    for name in NAMES[1 : num_statements + 1]:
        fitting = [statement for statement in pool if statement.takes == kind]
        if not fitting:
            break
        statement = rng.choice(fitting)
        lines += _written(rng, statement, latest, name)
        words += statement.words.split()
        latest, kind = name, statement.makes
    body = "\n".join(f"    {line}" for line in [*lines, f"return {latest}"])
    return Drawn(f"def f({NAMES[0]}):\n{body}", argument, tuple(words))


def _written(rng: random.Random, statement: Statement, reads: str, makes: str) -> list[str]:
    letters = rng.sample(LETTERS, 2)
    constants = {"c": rng.randint(2, 3), "d": rng.randint(1, 9), "q": letters[0], "r": letters[1]}
    return statement.lines.format(x=reads, n=makes, **constants).split("\n")


def draw_second(rng: random.Random, num_statements: int) -> Drawn:
    """A program of the second grammar: half of them use only what the first grammar has."""
    if rng.random() < 0.5:
        return draw(rng, num_statements, COMBINED)
    while True:
        drawn = draw(rng, num_statements, COMBINED + NEW)
        if not is_combined(drawn.source):
            return drawn


def is_combined(source: str) -> bool:
    """Whether a program uses only operations and statements that the first grammar has."""
    return constructs(source) <= first_constructs()


def draw_argument(rng: random.Random, drawn: Drawn) -> object:
    """A plain value of the type that a program takes, as small as those of the first grammar."""
    return random_value(rng, drawn.argument)
