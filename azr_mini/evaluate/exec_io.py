"""CruxEval and LiveCodeBench-Execution: what a program returns, or on which input it returns this.

An output is a literal and is compared as in self-play, types included; nothing runs. An input is
exactly one call of the function, and its arguments may be any expressions. The official harnesses
paste answers into `assert {output} == {answer}`, which `f(1) or True` passes; for honest answers
the scores agree, but for two strictnesses: an output that is an expression is no literal, and True,
1 and 1.0 differ.
"""

import ast

from azr_mini.chat_wording import fence
from azr_mini.evaluate.arguments import (
    are_contained,
    as_built_in,
    as_text,
    stated_arguments,
    statement,
)
from azr_mini.evaluate.benchmarks import Benchmark, Grade, Kind
from azr_mini.evaluate.contest import IMPORTS
from azr_mini.evaluate.replies import last_answer, last_block
from azr_mini.sandbox.benchmark import BenchmarkRunner, Call
from azr_mini.values import canonical, canonical_value_text, equal_values

CPU_SECONDS = 3.0  # of one call, as in the official harnesses
SEEN = "\n\ndef arguments_seen(*arguments, **keywords):\n    return arguments, keywords\n"
OUTPUT = """# Find what a Python function returns

The function `{name}` below is called once, with the arguments that follow it. Work out the value
that this call returns.

{program}

{arguments}

Give the returned value as a Python literal in an ```output block: text in quotes, and several
values as one tuple."""
INPUT = """# Find arguments for a Python function

The function `{name}` below is called once and returns the value that follows it. Find arguments
with which it does. There may be many; any that lead to this value are right.

{program}

{output}

Give the arguments in an ```input block, separated by commas and with text in quotes, as they would
stand between the brackets of the call."""


def question(benchmark: Benchmark, row: dict) -> str:
    """The task: a program with its arguments, or with what it returned."""
    program = fence("python", row["code"])
    if benchmark.kind is Kind.OUTPUT:
        arguments = fence("input", gold_arguments(row))
        return OUTPUT.format(name=_name(row), program=program, arguments=arguments)
    output = fence("output", row["output"])
    return INPUT.format(name=_name(row), program=program, output=output)


def _name(row: dict) -> str:
    return row.get("function_name", "f")


def gold_arguments(row: dict) -> str:
    """The arguments of a row: CruxEval's hold them, LiveCodeBench's the whole call."""
    if "function_name" not in row:
        return row["input"]
    return row["input"].strip()[len(row["function_name"]) :].strip()[1:-1]


def extract(benchmark: Benchmark, text: str) -> str | None:
    """The text in the last block of the last answer; None without a complete answer."""
    answer = last_answer(text)
    if answer is None:
        return None
    name = "output" if benchmark.kind is Kind.OUTPUT else "input"
    return last_block(answer, (name, "python", ""))


def grade(
    benchmark: Benchmark, rows: list[dict], answers: list[str | None], runner: BenchmarkRunner
) -> list[Grade]:
    """One grade for each answer. "expression": an output that is Python, but not a literal."""
    if benchmark.kind is Kind.OUTPUT:
        return [_grade_output(row, answer) for row, answer in zip(rows, answers, strict=True)]
    return _grade_inputs(rows, answers, runner)


def _grade_output(row: dict, answer: str | None) -> Grade:
    stated = None if answer is None else _stated_output(answer.strip())
    if stated is None:
        return Grade(False, "format")
    try:
        value = canonical_value_text(stated)
    except ValueError:
        return Grade(False, "expression")
    right = equal_values(value, canonical_value_text(row["output"]))
    return Grade(right, "correct" if right else "wrong")


def _stated_output(answer: str) -> str | None:
    """The expression in an answer, or behind the == of a whole assertion; None if not Python."""
    match statement(answer):
        case ast.Assert(test=ast.Compare(left=ast.Call(), ops=[ast.Eq()], comparators=[stated])):
            return ast.get_source_segment(answer, stated)
        case ast.Expr(value=ast.Compare(left=ast.Call(), ops=[ast.Eq()], comparators=[stated])):
            return ast.get_source_segment(answer, stated)
        case ast.Expr():
            return answer
    return None


def _grade_inputs(
    rows: list[dict], answers: list[str | None], runner: BenchmarkRunner
) -> list[Grade]:
    stated = [
        None if answer is None else stated_arguments(answer.strip(), _name(row))
        for row, answer in zip(rows, answers, strict=True)
    ]
    # An expression that could reach beyond its own objects might change the function, so it is
    # evaluated in another process, and only its plain value meets the function.
    far = [i for i, text in enumerate(stated) if text is not None and not are_contained(text)]
    calls = [Call(_program(rows[i]) + SEEN, [stated[i]], "arguments_seen") for i in far]
    grades: dict[int, Grade] = {}
    for i, result in zip(far, runner.run(calls), strict=True):
        stated[i] = as_text(result.values[0]) if result.status == "ok" else None
        if stated[i] is None:
            grades[i] = Grade(False, "input" if result.status == "ok" else result.status)
    near = [i for i, text in enumerate(stated) if text is not None]
    calls = [Call(_program(rows[i]), [stated[i]], _name(rows[i]), CPU_SECONDS) for i in near]
    for i, result in zip(near, runner.run(calls), strict=True):
        grades[i] = (
            _judge(rows[i], result.values[0])
            if result.status == "ok"
            else Grade(False, result.status)
        )
    return [grades.get(i, Grade(False, "format")) for i in range(len(rows))]


def _program(row: dict) -> str:
    return IMPORTS + row["code"] if "function_name" in row else row["code"]


def _judge(row: dict, value: object) -> Grade:
    try:
        found = canonical(as_built_in(value))
    except ValueError:
        return Grade(False, "output")
    right = equal_values(found, canonical_value_text(row["output"]))
    return Grade(right, "correct" if right else "wrong")
