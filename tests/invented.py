"""Invented rows in the format of each benchmark, with a right and a wrong reply to each.

Benchmarks' own rows stay with their owners: what is committed never shows one.
"""

import json
from dataclasses import dataclass

from azr_mini.evaluate.benchmarks import BENCHMARKS, Benchmark, Kind
from azr_mini.evaluate.dataset import Dataset

ADD = "def add(a, b):\n    return a + b"


@dataclass(frozen=True)
class Invented:
    """A row, and the answers to it: what stands between answer tags."""

    row: dict
    right: str
    wrong: str


def invented(name: str, number: int) -> Invented:
    """The invented row with this number, from 0."""
    benchmark, n = BENCHMARKS[name], number
    match benchmark.kind:
        case Kind.OUTPUT | Kind.INPUT:
            is_lcb = "function_name" in benchmark.fields
            row = {"id": f"row_{n}", "code": ADD if is_lcb else ADD.replace("add", "f")}
            row |= {"input": f"{n}, 2", "output": f"{n + 2}"}
            if is_lcb:
                row |= {"function_name": "add", "input": f"add(a = {n}, b = 2)"}
            is_output = benchmark.kind is Kind.OUTPUT
            right = f"```output\n{n + 2}\n```" if is_output else f"```input\n{n + 1}, 1\n```"
            return Invented(row, right, right.replace("\n", "\n9", 1))
        case Kind.TEST_PROGRAM:
            prompt = f'def add_{n}(a, b):\n    """The sum of both and of {n}."""\n'
            body = f"    return a + b + {n}\n"
            inputs = [[1, 2], [3, -4]]
            row = {"task_id": f"Invented/{n}", "prompt": prompt, "entry_point": f"add_{n}"}
            row |= {"canonical_solution": body, "base_input": inputs, "plus_input": inputs}
            row |= {"atol": 0, "contract": "", "assertion": "", "test": ""}
            program = f"```python\n{prompt}{body}```"
            return Invented(row, program, program.replace("return", "return 1 +"))
        case Kind.CONTEST:
            tests = [{"input": "1 2\n", "output": f"{3 + n}\n", "testtype": "stdin"}]
            row = {"question_id": f"q{n}", "question_content": f"Print a + b + {n}."}
            row |= {"starter_code": "", "contest_date": "2025-01-01", "metadata": "{}"}
            row |= {"public_test_cases": json.dumps(tests), "private_test_cases": "[]"}
            program = f"```python\nprint(sum(map(int, input().split())) + {n})\n```"
            return Invented(row, program, program.replace("print(", "print(1 + "))
        case Kind.MATH:
            row = {"id": n, "problem": f"What is {n} and one?", "answer": str(n + 1)}
            row |= {"question": row["problem"], "solution": f"It is \\boxed{{{n + 1}}}."}
            row |= {"final_answer": [f"${n + 1}$"]}
            return Invented(row, f"\\boxed{{{n + 1}}}", f"\\boxed{{{n + 2}}}")


def invented_dataset(name: str, rows: int = 4, **changes) -> Dataset:
    """A dataset of invented rows that counts as a stand-in."""
    benchmark: Benchmark = BENCHMARKS[name]
    found = [invented(name, number).row for number in range(rows)]
    settings = {"num_rows": rows, "sha256": "0" * 64, "is_stand_in": True} | changes
    return Dataset(benchmark, found, **settings)


def invented_file(path, name: str, rows: int = 4):
    """Writes the rows as a data file and returns its path."""
    lines = [json.dumps(invented(name, number).row) for number in range(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
