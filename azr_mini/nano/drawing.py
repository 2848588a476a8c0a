"""Random programs and inputs of the nano grammar, and small changes to an input."""

import random

from azr_mini.nano.grammar import Assign, Branch, Expression, Loop, Program
from azr_mini.nano.operations import CONDITIONS, LETTERS, OPERATIONS, Operation

NAMES = "abcdefgh"

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


ACCUMULATE = (
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
    operation = rng.choices(ACCUMULATE, [o.weight for o in ACCUMULATE])[0]
    body: Assign | Branch = Assign(total, Expression(operation, (total, "v")))
    if rng.random() < 0.4:
        condition = rng.choices(CONDITIONS[:3], [c.weight for c in CONDITIONS[:3]])[0]
        constant = condition.constant(rng) if condition.constant else None
        body = Branch(Expression(condition, ("v",), constant), body, None)
    return Loop("v", latest, total, body), total


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
