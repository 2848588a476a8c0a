"""Programs of a small Python subset, as trees that print themselves and run with a trace.

The trees evaluate themselves, so the corpus needs no `exec`; a test checks every construct against
the executor. Each statement does one operation, so that a trace has one easy step a line.
"""

from dataclasses import dataclass, field

from azr_mini.nano.operations import Operation
from azr_mini.values import canonical

MAX_INT, MAX_ITEMS, MAX_CHARS = 99, 5, 8  # small tables: a model this size learns each operation


class OutOfRange(ValueError):
    """A value grew beyond what the nano model is meant to handle."""


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
