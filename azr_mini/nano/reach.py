"""Which rows of CruxEval the nano model could be asked at all: few, and that is worth knowing."""

from collections.abc import Iterable
from dataclasses import dataclass

from azr_mini.nano.constructs import constructs, first_constructs
from azr_mini.nano.grammar import FAILURES, check_range
from azr_mini.tasks import Task, TaskType
from azr_mini.values import canonical_arguments, canonical_value_text, parse_arguments, parse_value


@dataclass(frozen=True)
class Reach:
    """How a row compares with what the nano base was pre-trained on."""

    program: bool  # it uses only operations and statements of the grammar
    values: bool  # argument and output are literals, as small as those of the grammar

    def __bool__(self) -> bool:
        return self.program and self.values


def reach(row: dict) -> Reach:
    """Whether program and values of a row of CruxEval are like those of the nano grammar.

    Its operations may stand inside each other, which the grammar itself never writes. Small: whole
    numbers to 99, five items, eight characters, as `check_range` has it. Strings may hold letters
    that the grammar never uses.
    """
    try:
        program = constructs(row["code"]) <= first_constructs()
    except ValueError:
        program = False
    try:
        found = (*parse_arguments(row["input"]), parse_value(row["output"]))
        values = all(map(_is_small, found))
    except FAILURES:
        values = False
    return Reach(program, values)


def _is_small(value: object) -> bool:
    """Whether a value has types of the grammar throughout; OutOfRange if it is too large."""
    check_range(value)
    if isinstance(value, dict):
        return all(map(_is_small, (*value, *value.values())))
    if isinstance(value, list | tuple):
        return all(map(_is_small, value))
    return type(value) in (bool, int, str)


def tasks_in_reach(rows: Iterable[dict]) -> list[Task]:
    """For each row in reach a deduction task (CruxEval-O) and an abduction task (CruxEval-I)."""
    return [
        Task(
            type,
            row["code"],
            (canonical_arguments(row["input"]),),
            (canonical_value_text(row["output"]),),
        )
        for row in rows
        if reach(row)
        for type in (TaskType.DEDUCTION, TaskType.ABDUCTION)
    ]
