"""Claims about HumanEval+ and MBPP+: values are compared by evalplus's rules, outside the process.

Rows of the real benchmarks are read from the data folder; whatever is written here is invented.
"""

import ast
from collections import Counter

import pytest
from graded import read_rows, reply, scores
from test_sandbox import confined_only

from azr_mini.evaluate import code_tasks
from azr_mini.evaluate.benchmarks import BENCHMARKS
from azr_mini.evaluate.code_tasks import expected_values, extract, grade, question
from azr_mini.evaluate.mbpp_inputs import with_types
from azr_mini.sandbox.benchmark import BenchmarkRunner

pytestmark = confined_only
HUMANEVAL, MBPP = BENCHMARKS["humaneval_plus"], BENCHMARKS["mbpp_plus"]
SLOW_ROWS = {"HumanEval/15", "HumanEval/130", "HumanEval/139"}
SLOW_ROWS |= {f"Mbpp/{number}" for number in (599, 255, 392, 15, 139)}


@pytest.fixture(scope="module")
def runner():
    with BenchmarkRunner(workers=2, memory_mb=1024) as runner:
        yield runner


@pytest.fixture(scope="module", params=[HUMANEVAL, MBPP], ids=lambda b: b.name)
def some(request, evals_folder):
    """A benchmark and twenty of its rows, spread over it."""
    benchmark = request.param
    rows = read_rows(evals_folder / benchmark.file)
    assert len(rows) == benchmark.num_rows
    rows = [row for row in rows if row["task_id"] not in SLOW_ROWS]
    return benchmark, rows[:: len(rows) // 20][:20]


def gold(row):
    return reply("python", row["prompt"] + row["canonical_solution"])


def wrong(row):
    return reply("python", f"def {row['entry_point']}(*arguments):\n    raise ValueError")


def silly(row):
    return reply("python", f"def {row['entry_point']}(*arguments):\n    return ['no', -987654321]")


def test_reference_solutions_are_right_and_others_not(runner, some):
    benchmark, rows = some
    replies = [gold(row) for row in rows] + [wrong(row) for row in rows]
    replies += [silly(row) for row in rows]
    found = scores(code_tasks, benchmark, rows * 3, replies, runner)
    assert found == {"correct": 20, "error": 20, "wrong": 20}


def test_broken_formats_are_counted_as_such(runner, some):
    benchmark, rows = some
    for replies in (
        [""] * 20,
        [gold(row)[: -len("```\n</answer>")] for row in rows],
        [f"<think>{gold(row).rpartition('</think>')[2]}" for row in rows],
        ["I would rather not."] * 20,
    ):
        assert scores(code_tasks, benchmark, rows, replies, runner) == {"format": 20}


def made_up(reference, inputs, entry="f", atol=0, plus=(), task="made/up"):
    return {
        "task_id": task, "prompt": "import math\n", "entry_point": entry, "atol": atol,
        "canonical_solution": reference, "base_input": inputs, "plus_input": list(plus),
    }  # fmt: skip


def reasons(runner, row, *programs):
    grades = grade(HUMANEVAL, [row] * len(programs), list(programs), runner, min_seconds=0.3)
    return [grade.reason for grade in grades]


COMPARED = {  # what the reference returns: {what an answer returns: right?}
    "1": {"1": 1, "1.0": 1, "True": 1, "1 + 1e-7": 0, "'1'": 0, "None": 0},
    "0.5": {"0.5": 1, "0.5 + 1e-7": 1, "0.5 + 1e-5": 0, "np.float64(0.5)": 1,
            "np.float64(0.5 + 1e-7)": 0, "'x'": 0, "[0.5]": 0},
    "1e9": {"1e9 + 50": 1, "1e9 + 500": 0, "10 ** 9": 1},
    "[0.5, 2.0]": {"[0.5 + 1e-7, 2.0]": 1, "(0.5, 2.0)": 0, "[0.5]": 0, "[2.0, 0.5]": 0,
                   "[0.5, 2]": 1, "np.array([0.5, 2.0])": 0, "[0.5, '2']": 0},
    "[0.5, 'x']": {"[0.5, 'x']": 1, "[0.5 + 1e-9, 'x']": 0},
    "(1, [2])": {"(1, [2])": 1, "[1, [2]]": 0, "(1, (2,))": 0},
    "{'a': 1, 'b': 2}": {"{'b': 2, 'a': 1}": 1, "Counter(b=2, a=1)": 1, "['a', 'b']": 0},
    "None": {"None": 1, "0": 0, "object()": 0},
    "list(range(200_000))": {"[*range(200_000)]": 1, "[float(x) for x in range(200_000)]": 1,
                             "[*range(199_999), 0]": 0, "tuple(range(200_000))": 0},
    "float('inf')": {"float('inf')": 1, "1e308": 0},
    "10 ** 6000": {"10 ** 6000": 1, "10 ** 6000 + 1": 0},
}  # fmt: skip
HEAD = "import numpy as np\nfrom collections import Counter\ndef f(x):\n    return "


@pytest.mark.parametrize("wanted", COMPARED)
def test_values_are_compared_like_evalplus_does(runner, wanted):
    row = made_up(HEAD + wanted, [[0]])
    found = reasons(runner, row, *(HEAD + value for value in COMPARED[wanted]))
    right = ["correct" if right else "wrong" for right in COMPARED[wanted].values()]
    assert found == right


def test_the_tolerance_of_a_task_is_used(runner):
    near = HEAD + "x + 0.01"
    assert reasons(runner, made_up(HEAD + "x", [[0.5]], atol=0.1), near) == ["correct"]
    assert reasons(runner, made_up(HEAD + "x", [[0.5]]), near) == ["wrong"]


def test_base_and_plus_inputs_count(runner):
    row = made_up(HEAD + "abs(x)", [[1]], plus=[[2], [-3]])
    assert reasons(runner, row, HEAD + "x", HEAD + "abs(x)") == ["wrong", "correct"]


SPECIAL = {  # task: (entry point, reference, inputs, what is right too, what is not)
    "a zero": ("find_zero", "2.0", [[[-4, 0, 1]]], ["-2.0", "2.0 + 1e-9"], ["1.0", "None", "[2]"]),
    "as sets": ("Diff", "[1, 2, 2]", [[0]], ["(2, 1)", "{1, 2}"], ["[1]", "[[1], 2]", "3"]),
    "found": ("check_str", "__import__('re').match('a', 'a')", [[0]],
              ["True", "'x'", "0", "__import__('re').match('', '')"], ["None", "False"]),
    "not found": ("check_str", "None", [[0]], ["None", "False"], ["True", "1"]),
    "any answer": ("are_equivalent", "True", [[1, 2]], ["False", "None"], ["1 / 0"]),
    "zero too": ("sum_div", "7", [[0]], ["0", "7"], ["1"]),
    "the other height": ("surface_Area", "33", [[3, 4]], ["35", "33"], ["34", "'x'"]),
    "padded digits": ("digit_distance_nums", "0", [[1, 29]], ["10", "0"], ["9"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECIAL)
def test_tasks_with_several_right_answers(runner, name):
    entry, reference, inputs, right, wrong = SPECIAL[name]
    head = f"def {entry}(*x):\n    return "
    row = made_up(head + reference, inputs, entry=entry, atol=1e-6)
    found = reasons(runner, row, *(head + value for value in right + wrong))
    assert found[: len(right)] == ["correct"] * len(right)
    assert "correct" not in found[len(right) :]


HOSTILE = {
    "permissive object": "class P:\n    __eq__ = lambda s, o: True\ndef f(x): return P()",
    "permissive number": "class P(int):\n    __eq__ = lambda s, o: True\ndef f(x): return P()",
    "permissive float": "class P(float):\n    __eq__ = lambda s, o: True\n    __abs__ = "
    "__sub__ = __rsub__ = lambda *a: 0.0\ndef f(x): return P()",
    "exit": "import sys\ndef f(x): sys.exit(0)",
    "exit before": "raise SystemExit(0)",
    "hard exit": "import os\ndef f(x): os._exit(0)",
    "hard exit before": "import os\nos._exit(0)",
    "forged marks": "import os\nprint('ok 1')\nos.write(3, b'ok 1\\n' * 2)\nos._exit(0)",
    "changed built-ins": "import builtins\nbuiltins.type = builtins.abs = lambda *a: 7\n"
    "def f(x): return 1",
    "changed encoder": "import json, gc\njson.dumps = lambda v: 'true'\ndef f(x): return 1",
    "looks for the reference": "import gc, sys\ndef f(x):\n    found = repr(gc.get_objects())\n"
    "    return 12.5 if 'secret_reference' in found else 0",
    "memory hog": "def f(x):\n    y = [0]\n    while True: y += y",
    "fork": "import os\ndef f(x): return 12.5 if os.fork() else 12.5",
    "endless loop": "def f(x):\n    while True: pass",
    "endless loop before": "while True: pass",
    "other name": "def g(x): return 12.5",
    "not a function": "f = 12.5",
    "needs an answer": "def f(x): return input()",
}


def test_hostile_programs_are_never_right(runner):
    reference = "def f(secret_reference):\n    return secret_reference * 12.5"
    row = made_up(reference, [[1], [3]])
    found = dict(zip(HOSTILE, reasons(runner, row, *HOSTILE.values()), strict=True))
    assert [name for name, reason in found.items() if reason == "correct"] == []
    assert found["endless loop"] == "timeout" and found["forged marks"] == "wrong"
    assert reasons(runner, row, reference) == ["correct"]


def test_a_reference_that_does_not_run_is_one_sentence(runner):
    with pytest.raises(ValueError, match="made/up does not run here"):
        reasons(runner, made_up("1 / 0", [[1]]), "def f(x): return 1")


def test_a_reference_runs_once_for_all_answers(runner, monkeypatch):
    seen = Counter()
    inner = runner.run

    def counted(calls):
        seen.update(call.program for call in calls)
        return inner(calls)

    monkeypatch.setattr(runner, "run", counted)
    row = made_up(HEAD + "x", [[1]])
    assert reasons(runner, row, *["def f(x): return x"] * 5) == ["correct"] * 5
    assert seen[row["prompt"] + row["canonical_solution"]] == 1


def test_a_slow_reference_gives_more_time(runner):
    slow = "import time\ndef f(x):\n    while time.process_time() < 0.3: pass\n    return x"
    slower = slow.replace("0.3", "0.6")
    assert reasons(runner, made_up(slow, [[1]]), slower) == ["correct"]
    assert reasons(runner, made_up(HEAD + "x", [[1]]), slower) == ["timeout"]


def typed(value):
    """A value as text with all its types."""
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({', '.join(map(typed, value))})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{k!r}: {typed(v)}' for k, v in value.items())})"
    if isinstance(value, complex):
        value += 0  # the sign of a zero differs between the copies
    return f"{type(value).__name__} {value!r}"


class Literals(ast.NodeTransformer):
    """Makes literals of what is none in the second copy of the inputs: inf, nan, complex()."""

    def visit_Name(self, node):
        return ast.parse({"inf": "1e999", "nan": "None"}[node.id], mode="eval").body

    def visit_Call(self, node):
        assert node.func.id == "complex"
        return ast.Constant(complex(*map(ast.literal_eval, node.args)))


@pytest.mark.slow
def test_inputs_of_mbpp_have_the_types_of_its_second_copy(evals_folder):
    rows = {row["task_id"]: row for row in read_rows(evals_folder / MBPP.file)}
    copies = read_rows(evals_folder / "mbpp_plus/MbppPlus-OriginFmt-v0.2.0.jsonl.gz")
    assert len(copies) == len(rows) == 378
    differing = []
    for copy in copies:
        row = rows[f"Mbpp/{copy['task_id']}"]
        ours = with_types(row["task_id"], row["base_input"])
        ours += with_types(row["task_id"], row["plus_input"])
        assignments = [n for n in ast.parse(copy["test"]).body if isinstance(n, ast.Assign)]
        (theirs,) = [n.value for n in assignments if n.targets[0].id == "inputs"]
        theirs = {typed(list(value)) for value in ast.literal_eval(Literals().visit(theirs))}
        # The copy leaves out repetitions, and most inputs of a few tasks.
        if not theirs <= {typed(list(value)) for value in ours}:
            differing.append(row["task_id"])
    assert differing == []


def test_only_rows_of_mbpp_change_their_types():
    assert with_types("HumanEval/2", [[[1], 2]]) == [[[1], 2]]
    assert with_types("Mbpp/2", [[[1], 2]]) == [[(1,), 2]]
    assert with_types("Mbpp/2", {}) == []


def test_questions_show_the_prompt(some):
    benchmark, rows = some
    for row in rows:
        asked = question(benchmark, row)
        assert row["prompt"].strip() in asked
        assert row["canonical_solution"].strip() not in asked
    assert extract(benchmark, "```python\nx = 1\n```") == "x = 1"


def test_expected_values_are_those_of_the_reference(runner):
    row = made_up(HEAD + "(x, [x])", [[1]], plus=[[2]])
    (expected,) = expected_values({"made/up": row}, runner).values()
    assert expected.values == [(1, [1]), (2, [2])] and expected.base == 1


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", [HUMANEVAL, MBPP], ids=lambda b: b.name)
def test_all_reference_solutions_are_right(evals_folder, benchmark):
    rows = read_rows(evals_folder / benchmark.file)
    with BenchmarkRunner(workers=2, memory_mb=4096) as runner:
        found = scores(code_tasks, benchmark, rows, [gold(row) for row in rows], runner)
        assert found == {"correct": benchmark.num_rows}
        found = scores(code_tasks, benchmark, rows, [wrong(row) for row in rows], runner)
        assert found == {"error": benchmark.num_rows}
