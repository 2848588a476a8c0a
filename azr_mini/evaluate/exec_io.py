"""CruxEval and LiveCodeBench-Execution: what a program returns, or on which input it returns this.

An output is a literal and is compared as in self-play, types included; nothing runs. An input is
exactly one call of the function, and its arguments may be any expressions. The official harnesses
paste answers into `assert {output} == {answer}`, which `f(1) or True` passes; for honest answers
the scores agree, but for two strictnesses: an output that is an expression is no literal, and True,
1 and 1.0 differ.
"""

import ast

from azr_mini.chat_wording import fence
from azr_mini.evaluate.benchmarks import Benchmark, Grade, Kind
from azr_mini.evaluate.contest import IMPORTS
from azr_mini.evaluate.replies import last_answer, last_block
from azr_mini.sandbox.benchmark import BenchmarkRunner, Call
from azr_mini.sandbox.contained import SAFE_BUILTINS, is_contained
from azr_mini.sandbox.static_check import Refused, check_length, parse
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
        arguments = fence("input", _gold_arguments(row))
        return OUTPUT.format(name=_name(row), program=program, arguments=arguments)
    output = fence("output", row["output"])
    return INPUT.format(name=_name(row), program=program, output=output)


def _name(row: dict) -> str:
    return row.get("function_name", "f")


def _gold_arguments(row: dict) -> str:
    """CruxEval's rows hold the arguments, LiveCodeBench's the whole call with keywords."""
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
    match _statement(answer):
        case ast.Assert(test=ast.Compare(left=ast.Call(), ops=[ast.Eq()], comparators=[stated])):
            return ast.get_source_segment(answer, stated)
        case ast.Expr(value=ast.Compare(left=ast.Call(), ops=[ast.Eq()], comparators=[stated])):
            return ast.get_source_segment(answer, stated)
        case ast.Expr():
            return answer
    return None


def _statement(text: str) -> ast.stmt | None:
    """The only statement of a text."""
    try:
        check_length(text)
        body = parse(text).body
    except Refused:
        return None
    return body[0] if len(body) == 1 else None


def _grade_inputs(
    rows: list[dict], answers: list[str | None], runner: BenchmarkRunner
) -> list[Grade]:
    stated = [
        None if answer is None else stated_arguments(answer.strip(), _name(row))
        for row, answer in zip(rows, answers, strict=True)
    ]
    # An expression that could reach beyond its own objects might change the function, so it is
    # evaluated in another process, and only its plain value meets the function.
    far = [i for i, text in enumerate(stated) if text is not None and not _is_contained(text)]
    calls = [Call(_program(rows[i]) + SEEN, [stated[i]], "arguments_seen") for i in far]
    grades: dict[int, Grade] = {}
    for i, result in zip(far, runner.run(calls), strict=True):
        stated[i] = _as_text(result.values[0]) if result.status == "ok" else None
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


def stated_arguments(answer: str, name: str) -> str | None:
    """The arguments in an answer: a call of `name`, an assertion about one, or bare arguments.

    None unless the answer is exactly one of these.
    """
    arguments = answer
    match _statement(answer):
        case (
            ast.Assert(test=ast.Compare(left=ast.Call() as call, ops=[ast.Eq()]))
            | ast.Expr(value=ast.Compare(left=ast.Call() as call, ops=[ast.Eq()]))
            | ast.Expr(value=ast.Call() as call)
        ) if _calls(call, name):
            source = ast.get_source_segment(answer, call)
            before, arguments = source[: len(name)], source[len(name) :].strip()
            if before != name or arguments[0] != "(":  # "(f)(1)"
                return None
            arguments = arguments[1:-1]
    # The line break keeps "3)#" from hiding our own closing bracket in a comment.
    match _statement(f"{name}({arguments}\n)"):
        case ast.Expr(value=ast.Call(func=ast.Name(), args=positional, keywords=named)):
            nodes = [node for part in (*positional, *named) for node in ast.walk(part)]
            # Bare arguments with a call of the function inside may be a call with something added.
            return None if any(_calls(node, name) for node in nodes) else arguments
    return None


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _is_contained(arguments: str) -> bool:
    """Whether arguments can reach nothing but their own objects and what is handed to them.

    Names of the program may only be whole arguments: its objects must not be changed.
    """
    call = parse(f"f({arguments}\n)").body[0].value
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    nodes = [node for part in given if not isinstance(part, ast.Name) for node in ast.walk(part)]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return is_contained(nodes) and all(
        node.id in bound or node.id in SAFE_BUILTINS for node in names
    )


def _as_text(seen: object) -> str | None:
    """Argument text of the (positional, named) values that came out of a process.

    None where they are not plain, or not even a pair: a hostile process says what it likes.
    """
    match seen:
        case (tuple() as positional, dict() as named):
            try:
                canonical(_plain([[_range_as_list(value) for value in positional], named]))
            except ValueError:
                return None
            return f"*{positional!r}, **{named!r}"
    return None


def _range_as_list(value: object) -> object:
    return list(value) if isinstance(value, range) else value


def _plain(value: object) -> object:
    """The value with the built-in values that those of `collections` and numpy equal."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return set(map(_hashable, value))
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value.item() if type(value).__module__ == "numpy" else value


def _hashable(value: object) -> object:
    return value if isinstance(value, frozenset) else _plain(value)


def _judge(row: dict, value: object) -> Grade:
    try:
        found = canonical(_plain(value))
    except ValueError:
        return Grade(False, "output")
    right = equal_values(found, canonical_value_text(row["output"]))
    return Grade(right, "correct" if right else "wrong")
