"""Random programs of a small Python subset, as trees that print themselves and run with a trace.

The trees evaluate themselves, so the corpus needs no `exec`; a test checks every construct against
the executor. Each statement does one operation, so that a trace has one easy step a line.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from azr_mini.values import canonical

MAX_INT, MAX_ITEMS, MAX_CHARS = 99, 5, 8  # small tables: a model this size learns each operation
LETTERS = "abcdefgh"
NAMES = "abcdefgh"


class OutOfRange(ValueError):
    """A value grew beyond what the nano model is meant to handle."""


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


@dataclass(frozen=True)
class Expression:
    """An operation applied to variables, with its constant if it has one."""

    operation: Operation
    names: tuple[str, ...]
    constant: object = None

    def __str__(self) -> str:
        constant = repr(self.constant)
        return self.operation.template.format(*self.names, c=constant)

    def value(self, variables: dict) -> object:
        arguments = [variables[name] for name in self.names]
        if self.operation.constant is not None:
            arguments.append(self.constant)
        return check_range(self.operation.meaning(*arguments))


def check_range(value: object) -> object:
    """The value itself; OutOfRange if it is larger than the nano model handles."""
    match value:
        case bool():
            pass
        case int() if abs(value) > MAX_INT:
            raise OutOfRange(value)
        case str() if len(value) > MAX_CHARS:
            raise OutOfRange(value)
        case list() | tuple() | dict():
            if len(value) > MAX_ITEMS:
                raise OutOfRange(value)
            for item in value:
                check_range(item)
    return value


@dataclass(frozen=True)
class Assign:
    """`name = expression`."""

    name: str
    expression: Expression

    def lines(self, indent: str) -> list[str]:
        return [f"{indent}{self.name} = {self.expression}"]

    def run(self, variables: dict, trace: list[str]) -> None:
        variables[self.name] = self.expression.value(variables)
        trace.append(f"{self.name}={canonical(variables[self.name])}")

    def words(self) -> list[str]:
        return [self.expression.operation.word]


@dataclass(frozen=True)
class Branch:
    """`if condition: name = this; else: name = that`. The trace says which branch was taken."""

    condition: Expression
    then: Assign
    otherwise: Assign | None

    def lines(self, indent: str) -> list[str]:
        source = [f"{indent}if {self.condition}:", *self.then.lines(indent + "    ")]
        if self.otherwise is not None:
            source += [f"{indent}else:", *self.otherwise.lines(indent + "    ")]
        return source

    def run(self, variables: dict, trace: list[str]) -> None:
        taken = self.condition.value(variables)
        trace.append(f"if {taken}")
        if taken:
            self.then.run(variables, trace)
        elif self.otherwise is not None:
            self.otherwise.run(variables, trace)

    def words(self) -> list[str]:
        other = self.otherwise.words() if self.otherwise else []
        return ["if", self.condition.operation.word, *self.then.words(), *other]


@dataclass(frozen=True)
class Loop:
    """`for item in sequence: body`, after an optional `name = 0`."""

    item: str
    sequence: str  # a list variable, or the count of a `range`
    start: str | None
    body: Assign | Branch

    def lines(self, indent: str) -> list[str]:
        head = [f"{indent}{self.start} = 0"] if self.start else []
        over = self.sequence if not self.sequence.isdigit() else f"range({self.sequence})"
        return [*head, f"{indent}for {self.item} in {over}:", *self.body.lines(indent + "    ")]

    def run(self, variables: dict, trace: list[str]) -> None:
        if self.start:
            variables[self.start] = 0
            trace.append(f"{self.start}=0")
        counted = self.sequence.isdigit()
        for item in range(int(self.sequence)) if counted else variables[self.sequence]:
            variables[self.item] = item
            trace.append(f"{self.item}={canonical(item)}")
            self.body.run(variables, trace)

    def words(self) -> list[str]:
        return ["loop", *self.body.words()]


@dataclass(frozen=True)
class Program:
    """`def f(...)` with a straight list of statements and a returned variable or operation."""

    parameters: tuple[tuple[str, str], ...]  # (name, type)
    body: tuple[Assign | Branch | Loop, ...]
    result: Expression | str
    result_type: str = field(compare=False, default="int")

    @property
    def source(self) -> str:
        names = ", ".join(name for name, _ in self.parameters)
        lines = [line for statement in self.body for line in statement.lines("    ")]
        return "\n".join([f"def f({names}):", *lines, f"    return {self.result}"])

    @property
    def words(self) -> list[str]:
        last = [] if isinstance(self.result, str) else [self.result.operation.word]
        return [word for statement in self.body for word in statement.words()] + last

    def run(self, arguments: tuple) -> tuple[object, list[str]]:
        """(output, trace lines). ValueError, LookupError or ArithmeticError if it fails."""
        variables = dict(zip((name for name, _ in self.parameters), arguments, strict=True))
        trace: list[str] = []
        for statement in self.body:
            statement.run(variables, trace)
        if isinstance(self.result, str):
            return variables[self.result], trace
        return self.result.value(variables), trace


FAILURES = (ValueError, LookupError, ArithmeticError, TypeError)

# ---- drawing programs ---------------------------------------------------------------------------

_BY_ARGUMENTS: dict[str, list[Operation]] = {}
for _operation in OPERATIONS:
    _BY_ARGUMENTS.setdefault(_operation.arguments[0], []).append(_operation)
_WEIGHTS = {kind: [o.weight for o in found] for kind, found in _BY_ARGUMENTS.items()}


def random_program(rng: random.Random, num_operations: int) -> Program:
    """A program with about this many operations; branches count two and loops three."""
    parameters = _random_parameters(rng)
    scope = dict(parameters)
    body, budget, latest = [], num_operations, parameters[0][0]
    while budget > 1 and scope[latest] in _BY_ARGUMENTS:
        statement, latest, cost = _random_statement(rng, scope, latest, budget)
        body.append(statement)
        budget -= cost
    result: Expression | str = latest
    result_type = scope[latest]
    if budget < 1 or result_type not in _BY_ARGUMENTS:
        pass
    elif rng.random() < 0.6:
        result = _random_expression(rng, scope, latest)
        result_type = result.operation.result
    else:
        statement, latest, _ = _random_statement(rng, scope, latest, 1)
        body.append(statement)
        result, result_type = latest, scope[latest]
    return Program(tuple(parameters), tuple(body), result, result_type)


def _random_parameters(rng: random.Random) -> list[tuple[str, str]]:
    kinds = rng.choices(
        (("int",), ("ints",), ("str",), ("int", "int"), ("ints", "int"), ("str", "str")),
        (6, 6, 4, 2.5, 1, 0.5),
    )[0]
    return list(zip(NAMES, kinds, strict=False))


def _random_statement(rng: random.Random, scope: dict, latest: str, budget: int):
    """(statement, name it assigns, cost); adds that name to the scope."""
    roll = rng.random()
    kind = scope[latest]
    if budget >= 3 and roll < 0.14 and kind in ("ints", "int"):
        made = _random_loop(rng, scope, latest)
        return (*made, 3)
    if budget >= 2 and roll < 0.32 and kind in ("int", "ints", "str"):
        made = _random_branch(rng, scope, latest)
        if made is not None:
            return (*made, 2)
    expression = _random_expression(rng, scope, latest)
    name = _name_for(rng, scope, expression.operation.result, latest)
    scope[name] = expression.operation.result
    return Assign(name, expression), name, 1


def _name_for(rng: random.Random, scope: dict, kind: str, latest: str) -> str:
    if scope[latest] == kind and rng.random() < 0.25:
        return latest
    free = [name for name in NAMES if name not in scope]
    return free[0] if free else latest


def _random_expression(
    rng: random.Random, scope: dict, latest: str, result: str | None = None
) -> Expression:
    kind = scope[latest]
    choices, weights = _BY_ARGUMENTS.get(kind, []), _WEIGHTS.get(kind, [])
    if result is not None:
        kept = [(o, w) for o, w in zip(choices, weights, strict=True) if o.result == result]
        choices, weights = [o for o, _ in kept], [w for _, w in kept]
    usable = [
        (o, w)
        for o, w in zip(choices, weights, strict=True)
        if all(_others(scope, argument, latest) for argument in o.arguments[1:])
    ]
    assert usable, (kind, result)
    operation = rng.choices([o for o, _ in usable], [w for _, w in usable])[0]
    names = [latest]
    for argument in operation.arguments[1:]:
        names.append(rng.choice(_others(scope, argument, latest)))
    constant = operation.constant(rng) if operation.constant else None
    return Expression(operation, tuple(names), constant)


def _others(scope: dict, kind: str, latest: str) -> list[str]:
    return [name for name, its in scope.items() if its == kind and name != latest]


def _random_branch(rng: random.Random, scope: dict, latest: str):
    kind = scope[latest]
    fitting = [c for c in CONDITIONS if c.arguments[0] == kind]
    condition = rng.choices(fitting, [c.weight for c in fitting])[0]
    constant = condition.constant(rng) if condition.constant else None
    test = Expression(condition, (latest,), constant)
    then = _random_expression(rng, scope, latest, result=kind)
    if rng.random() < 0.35:
        return Branch(test, Assign(latest, then), None), latest
    other = _random_expression(rng, scope, latest, result=kind)
    name = _name_for(rng, scope, kind, latest)
    scope[name] = kind
    return Branch(test, Assign(name, then), Assign(name, other)), name


_ACCUMULATE = (
    Operation("plus", ("int", "int"), "int", "{0} + {1}", lambda x, y: x + y, None, 4),
    Operation("minus", ("int", "int"), "int", "{0} - {1}", lambda x, y: x - y, None, 1),
    Operation("larger", ("int", "int"), "int", "max({0}, {1})", max, None, 1),
)


def _random_loop(rng: random.Random, scope: dict, latest: str):
    if scope[latest] == "int":  # repeat one operation a few times
        step = _random_expression(rng, dict([(latest, "int")]), latest, result="int")
        return Loop("i", str(rng.randint(2, 3)), None, Assign(latest, step)), latest
    total = _name_for(rng, scope, "int", latest)
    if total == latest:
        total = "t"
    scope[total] = "int"
    operation = rng.choices(_ACCUMULATE, [o.weight for o in _ACCUMULATE])[0]
    body: Assign | Branch = Assign(total, Expression(operation, (total, "v")))
    if rng.random() < 0.4:
        condition = rng.choices(CONDITIONS[:3], [c.weight for c in CONDITIONS[:3]])[0]
        constant = condition.constant(rng) if condition.constant else None
        body = Branch(Expression(condition, ("v",), constant), body, None)
    return Loop("v", latest, total, body), total


# ---- drawing and changing inputs ----------------------------------------------------------------


def random_value(rng: random.Random, kind: str) -> object:
    """A plain value of a parameter type, small enough for the nano model."""
    match kind:
        case "int":
            return rng.randint(0, 12) if rng.random() < 0.85 else rng.randint(-5, -1)
        case "ints":
            return [rng.randint(0, 9) for _ in range(rng.choices((1, 2, 3, 4), (1, 3, 4, 3))[0])]
        case "str":
            return "".join(rng.choices(LETTERS, k=rng.randint(1, 4)))
    raise AssertionError(kind)


def random_arguments(rng: random.Random, program: Program) -> tuple:
    """One plain value for each parameter."""
    return tuple(random_value(rng, kind) for _, kind in program.parameters)


def nearby_value(rng: random.Random, value: object) -> object:
    """A value that differs a little from the given one: a plausible wrong guess."""
    match value:
        case int():
            return value + rng.choice((-3, -2, -1, 1, 2, 3))
        case str():
            letters = list(value)
            roll = rng.random()
            if roll < 0.25 and len(letters) > 1:
                del letters[rng.randrange(len(letters))]
            elif roll < 0.5 and len(letters) > 1:
                letters.reverse()
            else:
                letters[rng.randrange(len(letters))] = rng.choice(LETTERS)
            return "".join(letters)
        case list():
            items = list(value)
            roll = rng.random()
            if roll < 0.2 and len(items) > 1:
                del items[rng.randrange(len(items))]
            elif roll < 0.4 and len(items) > 1:
                items.reverse()
            elif roll < 0.5 and len(items) < 4:
                items.append(rng.randint(0, 9))
            else:
                at = rng.randrange(len(items))
                items[at] = rng.randint(0, 9)
            return items
    raise AssertionError(value)


def nearby_arguments(rng: random.Random, arguments: tuple) -> tuple:
    """Arguments of which one differs a little."""
    at = rng.randrange(len(arguments))
    return tuple(nearby_value(rng, v) if i == at else v for i, v in enumerate(arguments))
