"""LiveCodeBench generation: programs that read stdin, and methods of a class `Solution`.

Rules of the official runner: all public and private tests must pass; a script's lines are compared
stripped, as text or else as exact decimal numbers; a returned tuple counts as a list.
"""

import base64
import io
import json
import pickle
import zlib
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from azr_mini.chat_wording import fence
from azr_mini.evaluate.benchmarks import Benchmark, Grade
from azr_mini.evaluate.replies import program_in
from azr_mini.sandbox.benchmark import BenchmarkRunner, Call, CallResult
from azr_mini.sandbox.wide_values import same

CPU_SECONDS = 6.0  # of one test, as in the official runner
MAX_TESTS_TEXT = 500_000_000  # bytes of one problem's tests, unpacked
STARRED = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools "
    "operator io sys json typing builtins"
).split()
IMPORTS = (  # what the official runner puts before every program
    "".join(f"from {name} import *\n" for name in STARRED)
    + "".join(f"import {name}\n" for name in STARRED)
    + "sys.setrecursionlimit(50000)\n"
)
SCRIPT = """# Write a Python program

Solve the problem below with a Python program.

{statement}

The program reads its input from standard input and prints the result to standard output. It runs as
it stands and does not test itself. Give the whole program in a ```python block."""
METHOD = """# Write a Python class

Solve the problem below by completing this class.

{statement}

{starter}

Give the completed class in a ```python block."""


@dataclass(frozen=True)
class ContestTest:
    """One test of a problem: stdin and stdout, or lines of JSON and JSON."""

    input: str
    output: str


def question(benchmark: Benchmark, row: dict) -> str:
    """The statement, and whether a program or a class is wanted."""
    statement = row["question_content"].strip()
    if row["starter_code"].strip():
        starter = fence("python", row["starter_code"].rstrip())
        return METHOD.format(statement=statement, starter=starter)
    return SCRIPT.format(statement=statement)


def extract(benchmark: Benchmark, text: str) -> str | None:
    """The program in a completion; None where there is none."""
    return program_in(text)


def grade(
    benchmark: Benchmark,
    rows: list[dict],
    answers: list[str | None],
    runner: BenchmarkRunner,
    cpu_seconds: float = CPU_SECONDS,
) -> list[Grade]:
    """One grade for each program. cpu_seconds: the limit of one test; AZR allows 60.

    ValueError where a row has no test.
    """
    calls, cases = [], []
    for row, answer in zip(rows, answers, strict=True):
        if answer is None:
            continue
        found, entry = all_tests(row), _entry(row)
        inputs = [test.input if entry is None else _arguments(test.input) for test in found]
        calls.append(Call(IMPORTS + answer, inputs, entry, cpu_seconds))
        cases.append((found, entry))
    graded = iter([_judge(*case, run) for case, run in zip(cases, runner.run(calls), strict=True)])
    return [Grade(False, "format") if answer is None else next(graded) for answer in answers]


def _entry(row: dict) -> str | None:
    metadata = row["metadata"]
    metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
    name = metadata.get("func_name")
    return f"Solution.{name}" if name else None


def _arguments(lines: str) -> str:
    return ", ".join(repr(json.loads(line)) for line in lines.split("\n") if line.strip())


def _judge(found: list[ContestTest], entry: str | None, result: CallResult) -> Grade:
    equal = same_lines if entry is None else _same_value
    if not all(map(equal, result.values, (test.output for test in found))):
        return Grade(False, "wrong")
    return Grade(result.status == "ok", "correct" if result.status == "ok" else result.status)


def _same_value(value: object, expected: str) -> bool:
    if isinstance(value, tuple):
        value = list(value)
    if type(value).__module__ == "numpy":
        value = value.item()
    try:
        return same(value, json.loads(expected))
    except (ValueError, RecursionError):  # no JSON, or far too deep
        return False


def same_lines(printed: str, expected: str) -> bool:
    """Whether two outputs agree line by line, as text or as lists of exact decimal numbers."""
    found, wanted = ([line.strip() for line in text.strip().split("\n")] for text in
                     (printed, expected))  # fmt: skip
    if len(found) != len(wanted):
        return False
    return all(a == b or _same_numbers(a, b) for a, b in zip(found, wanted, strict=True))


def _same_numbers(a: str, b: str) -> bool:
    try:
        return [Decimal(word) for word in a.split()] == [Decimal(word) for word in b.split()]
    except InvalidOperation:
        return False


def all_tests(row: dict) -> list[ContestTest]:
    """The public tests of a problem, then the private ones; ValueError where it has none."""
    found = _loaded(row["public_test_cases"])
    if row.get("private_test_cases"):
        found += _loaded(_unpacked(row["private_test_cases"]))
    if not found:
        raise ValueError(f"problem {row.get('question_id')} has no tests: get the whole data set")
    return [ContestTest(test["input"], test["output"]) for test in found]


def _loaded(tests: str | list) -> list:
    return json.loads(tests) if isinstance(tests, str) else list(tests)


class _NoClasses(pickle.Unpickler):
    """Reads built-in values only: to find a class or function is what makes a pickle dangerous."""

    def find_class(self, module: str, name: str):
        raise ValueError(f"the tests of this problem are not data: {module}.{name} in a pickle")


def _unpacked(tests: str) -> str | list:
    """Private tests as JSON, or packed by the hub: base64 of zlib of a pickled text.

    ValueError for anything else.
    """
    try:
        return json.loads(tests)
    except ValueError:
        pass
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(base64.b64decode(tests), MAX_TESTS_TEXT)
        return _NoClasses(io.BytesIO(data)).load()
    except (zlib.error, pickle.UnpicklingError, EOFError, IndexError, KeyError) as error:
        reason = type(error).__name__
        raise ValueError(f"the private tests of a problem are damaged ({reason})") from error
