"""Claims about LiveCodeBench generation: all tests, lines and numbers compared as officially."""

import base64
import json
import pickle
import zlib

import pytest
from graded import read_rows, reply, scores
from test_sandbox import confined_only

from azr_mini.evaluate import contest
from azr_mini.evaluate.benchmarks import BENCHMARKS
from azr_mini.evaluate.contest import all_tests, extract, grade, question, same_lines
from azr_mini.sandbox.benchmark import BenchmarkRunner

pytestmark = confined_only
LCB = BENCHMARKS["lcb_generation"]


@pytest.fixture(scope="module")
def runner():
    with BenchmarkRunner(workers=2, memory_mb=256) as runner:
        yield runner


@pytest.fixture(scope="module")
def synthetic(evals_folder):
    path = evals_folder / "livecodebench_generation/lcb_generation_synthetic.jsonl.gz"
    rows = read_rows(path)
    assert len(rows) == 6
    return rows


def problem(*tests, func_name=None):
    """An invented row with these (input, output) tests, half of them private."""
    tests = [{"input": i, "output": o, "testtype": "stdin"} for i, o in tests]
    return {
        "question_id": "made_up", "question_content": "Add.", "starter_code": "",
        "contest_date": "2025-01-01", "public_test_cases": json.dumps(tests[:1]),
        "private_test_cases": packed(json.dumps(tests[1:])),
        "metadata": json.dumps({"func_name": func_name} if func_name else {}),
    }  # fmt: skip


def packed(value):
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode("ascii")


def verdict(runner, row, program):
    (found,) = grade(LCB, [row], [program], runner, cpu_seconds=0.5)
    return found.reason


ADD = problem(("1 2\n", "3\n"), ("4 5\n", "9"), ("0 0\n", "0\n"))
RIGHT = "a, b = map(int, input().split())\nprint(a + b)"
METHOD = problem(("1\n[2]", "[1, 2]"), ("0\n[]", "[0]"), func_name="join")


def test_reference_programs_of_the_synthetic_set_are_right(runner, synthetic):
    replies = [reply("python", row["gold_solution"]) for row in synthetic]
    assert scores(contest, LCB, synthetic, replies, runner) == {"correct": 6}


@pytest.mark.parametrize("program", ["raise ValueError", "print('no')", "pass"])
def test_wrong_programs_never_pass(runner, synthetic, program):
    method = f"class Solution:\n    def __getattr__(self, name):\n        {program}"
    replies = [reply("python", method if row["starter_code"] else program) for row in synthetic]
    found = scores(contest, LCB, synthetic, replies, runner)
    assert found["correct"] == 0 and found["format"] == 0


def test_broken_formats_are_counted_as_such(runner, synthetic):
    gold = [row["gold_solution"] for row in synthetic]
    for replies in (
        [""] * 6,
        [f"<answer>\n```python\n{text}" for text in gold],
        [f"<think>\n```python\n{text}\n```\n" for text in gold],
        ["I cannot do that."] * 6,
        [f"def ( {text}" for text in gold],
    ):
        assert scores(contest, LCB, synthetic, replies, runner) == {"format": 6}


def test_every_test_counts_the_private_ones_too(runner):
    assert len(all_tests(ADD)) == 3
    assert verdict(runner, ADD, RIGHT) == "correct"
    assert verdict(runner, ADD, RIGHT + "\nassert a") == "error"
    assert verdict(runner, ADD, "print(3)") == "wrong"
    assert (
        verdict(runner, ADD, "a, b = map(int, input().split())\nprint(a + b + (a == 0))") == "wrong"
    )


METHODS = {
    "return [a, *b]": "correct",
    "return (a, *b)": "correct",
    "return [float(a), *b]": "correct",
    "import numpy as np\n        return [np.int64(a), *b]": "correct",
    "return [str(a), *b]": "wrong",
    "return [b, a]": "wrong",
    "return iter([a, *b])": "wrong",
    "print([a, *b])": "wrong",
    "return Any_()": "error",
    "return type('P', (), {'__eq__': lambda s, o: True})()": "wrong",
    "raise SystemExit": "error",
}


@pytest.mark.parametrize("body", METHODS)
def test_methods_are_called_with_the_lines_of_a_test(runner, body):
    program = f"class Solution:\n    def join(self, a: int, b: List[int]):\n        {body}"
    assert verdict(runner, METHOD, program) == METHODS[body]


LINES = [
    ("1\n2\n", "1\n2", True),
    ("  1 \n2  ", "1\n2\n", True),
    ("1\n2", "1 2", False),
    ("1\n\n2", "1\n2", False),
    ("1.0", "1", True),
    ("1.50 2", "1.5  2.0", True),
    ("0.3", "0.30000000000000004", False),
    ("1e3", "1000", True),
    ("nan", "nan", True),
    ("NaN", "nan", False),
    ("a b", "a  b", False),
    ("Yes", "yes", False),
    ("", "", True),
    ("", "0", False),
    ("1" * 5000, "1" * 5000 + ".0", True),
]


@pytest.mark.parametrize("case", LINES, ids=range(len(LINES)))
def test_lines_are_equal_as_text_or_as_decimal_numbers(case):
    printed, expected, right = case
    assert same_lines(printed, expected) is right


HOSTILE = {
    "exits at once": "import sys\nsys.exit(0)",
    "exits hard": "import os\nos._exit(0)",
    "forged results": "import os\nos.write(3, b'ok \"3\"\\n')\nos._exit(0)",
    "a mark on stdout": "print('ok 3', 'PASS', 'correct')",
    "endless loop": "while True: pass",
    "endless output": "while True: print('3')",
    "memory hog": "x = [0]\nwhile True: x += x",
    "fork": "import os\nprint(3 if os.fork() else 9)",
    "reads our files": "print(open('/proc/self/maps').read())",
    "another built-in": "import builtins\nbuiltins.print = builtins.type = lambda *a: 3",
    "another encoder": "import json\njson.dumps = lambda x: '\"3\"'",
    "searches for the answer": "import gc\nprint([o for o in gc.get_objects() if o == '9'])",
    "no Python": "this is not a program",
}


def test_hostile_programs_are_never_right(runner):
    programs = list(HOSTILE.values())
    grades = grade(LCB, [ADD] * len(programs), programs, runner, cpu_seconds=0.3)
    won = [name for name, grade in zip(HOSTILE, grades, strict=True) if grade.correct]
    assert won == [] and verdict(runner, ADD, RIGHT) == "correct"


class Harmful:
    def __reduce__(self):
        return print, ("unpickled",)


@pytest.mark.parametrize(
    "private",
    [packed(Harmful()), packed([Harmful()]), "no base64!", "QUJD", packed("x")[:-9], packed("{")],
    ids=["object", "object inside", "text", "not packed", "cut off", "no JSON"],
)
def test_private_tests_that_are_not_data_are_refused(private, capsys):
    with pytest.raises(ValueError):
        all_tests(problem(("1", "1")) | {"private_test_cases": private})
    assert capsys.readouterr().out == ""


def test_private_tests_come_packed_or_plain():
    plain = json.dumps([{"input": "7", "output": "8", "testtype": "stdin"}])
    for private in (plain, packed(plain)):
        row = problem(("1", "2")) | {"private_test_cases": private}
        assert [test.input for test in all_tests(row)] == ["1", "7"]


def test_a_problem_without_tests_is_refused(runner):
    row = ADD | {"public_test_cases": "[]", "private_test_cases": ""}
    with pytest.raises(ValueError, match="made_up has no tests"):
        grade(LCB, [row], ["print(1)"], runner)
    assert grade(LCB, [row], [None], runner)[0].reason == "format"


def test_questions_ask_for_a_program_or_a_class():
    assert "standard input" in question(LCB, ADD) and "Add." in question(LCB, ADD)
    starter = "class Solution:\n    def join(self, a, b):\n        "
    asked = question(LCB, METHOD | {"starter_code": starter})
    assert starter.rstrip() in asked and "standard input" not in asked


PROGRAMS = {
    "last block": ("```python\na = 1\n```\nno:\n```python\nb = 2\n```\n", "b = 2"),
    "in the answer": ("```python\na\n```\n<answer>\n```py\nb = 2\n```\n</answer>", "b = 2"),
    "other blocks": ("```python\nb = 2\n```\nprints\n```text\n2\n```", "b = 2"),
    "no name": ("```\nb = 2\n```", "b = 2"),
    "all of the text": ("b = 2\n", "b = 2\n"),
    "all of the answer": ("<think>x</think><answer>b = 2</answer>", "b = 2"),
    "prose": ("The program is simple.", None),
    "cut off": ("```python\nb = 2\n", None),
    "comments only": ("# nothing", None),
    "only thought of": ("<think>\n```python\nb = 2\n```\n</think>", None),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_in_a_completion(name):
    text, right = PROGRAMS[name]
    assert extract(LCB, text) == right


LOOK_UP = "table = {table!r}\nimport sys\nsys.stdout.write(table[sys.stdin.read().strip()])\n"
LOOK_UP_METHOD = """table = {table!r}
class Solution:
    def {name}(self, *arguments):
        return json.loads(table[json.dumps(arguments)])
"""


def look_up_program(row):
    """A program that knows the printed examples of a problem by heart."""
    metadata = row["metadata"] if isinstance(row["metadata"], dict) else json.loads(row["metadata"])
    tests = all_tests(row)
    if "func_name" not in metadata:
        return LOOK_UP.format(table={test.input.strip(): test.output for test in tests})
    table = {}
    for test in tests:
        arguments = [json.loads(line) for line in test.input.split("\n") if line.strip()]
        table[json.dumps(arguments)] = test.output
    return LOOK_UP_METHOD.format(table=table, name=metadata["func_name"])


@pytest.mark.slow
def test_printed_examples_of_all_279_problems(evals_folder, runner):
    file = "livecodebench_generation/lcb_v5_2408_2501_public_examples.jsonl.gz"
    rows = read_rows(evals_folder / file)
    replies = [reply("python", look_up_program(row)) for row in rows]
    assert scores(contest, LCB, rows, replies, runner) == {"correct": 279}
    wrong = [reply("python", "print('no')\nclass Solution: pass")] * 279
    assert scores(contest, LCB, rows, wrong, runner)["correct"] == 0
