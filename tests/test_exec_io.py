"""Claims about CruxEval and LiveCodeBench-Execution: right answers score, nothing else does.

Rows of the real benchmark are read from the data folder; whatever is written here is invented.
"""

import dataclasses

import pytest
from graded import read_rows, reply, scores
from test_sandbox import confined_only

from azr_mini.evaluate import exec_io
from azr_mini.evaluate.benchmarks import BENCHMARKS, Kind
from azr_mini.evaluate.exec_io import extract, grade, question
from azr_mini.sandbox.benchmark import BenchmarkRunner

pytestmark = confined_only
INPUT, OUTPUT = BENCHMARKS["cruxeval_i"], BENCHMARKS["cruxeval_o"]
LCB = BENCHMARKS["lcb_execution"]
LCB_INPUT = dataclasses.replace(LCB, kind=Kind.INPUT)
ROW = {"code": "K = [4]\ndef f(a, b=1):\n    return a + b", "input": "2, b=3", "output": "5"}
SAME = {"code": "def f(a):\n    return a", "input": "1", "output": "1"}


@pytest.fixture(scope="module")
def runner():
    with BenchmarkRunner(workers=2, memory_mb=256) as runner:
        yield runner


@pytest.fixture(scope="module")
def cruxeval(evals_folder):
    rows = read_rows(evals_folder / "cruxeval/cruxeval.jsonl.gz")
    assert len(rows) == 800
    return rows


@pytest.fixture(scope="module")
def lcb(evals_folder):
    path = evals_folder / "livecodebench_execution/lcb_execution_synthetic.jsonl.gz"
    return read_rows(path)


def bare(row):
    """The arguments of a row, without name and brackets of the call."""
    if "function_name" not in row:
        return row["input"]
    return row["input"].removeprefix(row["function_name"] + "(").removesuffix(")")


def test_gold_inputs_of_cruxeval_are_right(runner, cruxeval):
    replies = [
        reply("input", row["input"] if i % 2 else f"f({row['input']})")
        for i, row in enumerate(cruxeval)
    ]
    assert scores(exec_io, INPUT, cruxeval, replies, runner) == {"correct": 800}


def test_gold_outputs_of_cruxeval_are_right(runner, cruxeval):
    replies = [reply("output", row["output"]) for row in cruxeval]
    assert scores(exec_io, OUTPUT, cruxeval, replies, None) == {"correct": 800}


def test_wrong_answers_to_cruxeval_are_wrong(runner, cruxeval):
    nine = reply("input", "f(1, 2, 3, 4, 5, 6, 7, 8, 9)")
    found = scores(exec_io, INPUT, cruxeval, [nine] * 800, runner)
    assert found == {"error": 800}
    impossible = [reply("output", "('no', -987654321)")] * 800
    assert scores(exec_io, OUTPUT, cruxeval, impossible, None) == {"wrong": 800}


@pytest.mark.parametrize("benchmark", [INPUT, OUTPUT], ids=["input", "output"])
def test_broken_formats_are_counted_as_such(runner, cruxeval, benchmark):
    gold = [row[benchmark.kind.value] for row in cruxeval]
    for replies in (
        gold,
        [""] * 800,
        [reply(benchmark.kind.value, text)[:-4] for text in gold],
        [f"<think>{text}" for text in gold],
        ["<answer></answer>"] * 800,
    ):
        assert scores(exec_io, benchmark, cruxeval, replies, runner) == {"format": 800}


def test_both_directions_of_the_synthetic_execution_rows(runner, lcb):
    outputs = [reply("output", row["output"]) for row in lcb]
    assert scores(exec_io, LCB, lcb, outputs, None) == {"correct": len(lcb)}
    for inputs in ([row["input"] for row in lcb], [bare(row) for row in lcb]):
        replies = [reply("input", text) for text in inputs]
        assert scores(exec_io, LCB_INPUT, lcb, replies, runner) == {"correct": len(lcb)}
    impossible = [reply("output", "('no', -987654321)")] * len(lcb)
    assert scores(exec_io, LCB, lcb, impossible, None) == {"wrong": len(lcb)}
    nine = [reply("input", "1, 2, 3, 4, 5, 6, 7, 8, 9")] * len(lcb)
    assert scores(exec_io, LCB_INPUT, lcb, nine, runner) == {"error": len(lcb)}


def test_questions_show_one_side_of_the_pair_and_not_the_other():
    row = {"code": "def g(x):\n    return [x]", "input": "g(x = 'qqq')", "output": "['qqq']"}
    row |= {"function_name": "g"}
    asked = question(LCB, row)
    assert row["code"] in asked and "`g`" in asked and "x = 'qqq'\n" in asked
    assert "['qqq']" not in asked and "g(x = " not in asked
    asked = question(LCB_INPUT, row)
    assert row["code"] in asked and "['qqq']" in asked and "x = 'qqq'" not in asked
    assert "2, b=3" in question(OUTPUT, ROW) and "2, b=3" not in question(INPUT, ROW)


ANSWERS = {
    "last tags count": ("<answer>1</answer> or <answer>2</answer>", "2"),
    "last block counts": ("<answer>\n```output\n1\n```\n```output\n2\n```\n</answer>", "2"),
    "blocks of another name": ("<answer>\n```output\n2\n```\n```text\nx\n```\n</answer>", "2"),
    "bare text": ("<think>a</think><answer> [1,\n 2] </answer>", "[1,\n 2]"),
    "quoted": ("<answer>`'x'`</answer>", "'x'"),
    "tags of CruxEval": ("so\n[ANSWER]\nassert f(1) == 2\n[/ANSWER]", "assert f(1) == 2"),
    "an empty block": ("<answer>\n```output\n\n```\n</answer>", ""),
    "no tags": ("```output\n2\n```", None),
    "never closed": ("<answer>\n```output\n2\n```\n", None),
    "only closed": ("2</answer>", None),
    "empty": ("<answer> </answer>", None),
    "only thought of": ("<think><answer>2</answer></think> so", None),
    "a thought that never ends": ("<think><answer>2</answer>", None),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_answer_in_a_completion(name):
    text, right = ANSWERS[name]
    assert extract(OUTPUT, text) == right


OUTPUTS = {
    "5": "correct",
    " 5 ": "correct",
    "assert f(2, b=3) == 5": "correct",
    "f(2, b=3) == 5": "correct",
    "6": "wrong",
    "'5'": "wrong",
    "5.0": "wrong",  # stricter than the official harness
    "f(2, b=3)": "expression",
    "f(1) or True": "expression",
    "assert f(2, b=3) == f(2, b=3)": "expression",
    "2 + 3": "expression",
    "int('5')": "expression",
    "True if 5 else 5": "expression",
    "[5][0]": "expression",
    "five": "expression",
    "5; 5": "format",
    "the answer is 5": "format",
    "assert True": "format",
    "5 5": "format",
    "x = 5": "format",
    "(" * 5000: "format",
    "-" * 19_000 + "5": "format",
    "[" * 99 + "]" * 99: "expression",
    "\0": "format",
    "\ud800": "format",
    "9" * 30_000: "format",
}


@pytest.mark.parametrize("answer", OUTPUTS, ids=range(len(OUTPUTS)))
def test_outputs_are_literals_and_compared_with_their_types(answer):
    (found,) = grade(OUTPUT, [ROW], [answer], None)
    assert found.reason == OUTPUTS[answer]


INPUTS = {
    "2, 3": "correct",
    "f(2, 3)": "correct",
    "f(2, b=3)": "correct",
    "a=0, b=5": "correct",
    "assert f(4) == 5": "correct",
    "f(4) == 99": "correct",
    "*[2, 3]": "correct",
    "**dict(a=1, b=4)": "correct",
    "len('ab'), 3": "correct",
    "(lambda: 2)(), 3": "correct",
    "[x for x in [2]][0], 3": "correct",
    "K[0]": "correct",
    "4,  # a comment": "correct",
    "3": "wrong",
    "5.0, 0": "wrong",  # 5.0 is not 5
    "f(4": "format",
    "4)": "format",
    "1) or (True": "format",
    "f(1) or True": "format",
    "True or f(1)": "format",
    "f(1) if 0 else 5": "format",
    "4)#": "format",
    "4) == 5 #": "format",
    "f(4); f(4)": "format",
    "f(4)(1)": "format",
    "g(4)": "error",
    "f(f(4))": "format",
    "(f)(4)": "format",
    "(f)(4) == 5": "format",
    "(f)(4)(5)": "format",
    "(f # a comment\n(4))": "format",
    "assert f(4) == 5 or True": "format",
    "assert True": "format",
    "x": "error",
    "lambda: 1": "error",
    "1, 2, 3": "error",
    "": "error",
    "yes it is": "format",
    "(" * 5000: "format",
    "\0": "format",
    "\ud800": "format",
    "5, " * 10_000: "format",
}


@pytest.fixture(scope="module")
def input_grades(runner):
    """The grades of all answers, from one call."""
    return dict(zip(INPUTS, grade(INPUT, [ROW] * len(INPUTS), list(INPUTS), runner), strict=True))


@pytest.mark.parametrize("answer", INPUTS, ids=range(len(INPUTS)))
def test_inputs_are_the_arguments_of_exactly_one_call(input_grades, answer):
    assert input_grades[answer].reason == INPUTS[answer]


WRITE = "__import__('os').write(3, b'ok 1\\n')"
PERMISSIVE = "type('P', (), {'__eq__': lambda s, o: True, '__hash__': None})()"
HOSTILE = {
    "permissive object": PERMISSIVE,
    "permissive object inside": f"[{PERMISSIVE}]",
    "permissive number": "type('P', (int,), {'__eq__': lambda s, o: True})(3)",
    "forged result": WRITE,
    "forged result and exit": f"({WRITE}, __import__('os')._exit(0))",
    "exit": "exit(0)",
    "hard exit": "__import__('os')._exit(0)",
    "raises exit": "(_ for _ in ()).throw(SystemExit)",
    "new code of the function": "setattr(f, '__code__', (lambda a: 1).__code__)",
    "another function": "globals().update(f=lambda a: 1)",
    "another function by exec": "exec('def f(a): return 1', globals())",
    "another encoder": "__import__('json').__dict__.update(dumps=lambda x: '1')",
    "another built-in": "__import__('builtins').__dict__.update(type=lambda x: int)",
    "frames": "__import__('sys')._getframe(1).f_globals.update(canonical=lambda v: '1')",
    "prints": "print('ok 1')",
    "memory hog": "[0] * 10 ** 9",
    "endless loop": "[x for x in iter(int, 1)]",
    "endless power": "7 ** 10 ** 9",
    "fork": "__import__('os').fork()",
    "opens": "open('/etc/passwd').read()",
    "lambda": "lambda: 1",
    "generator": "(x for x in [1])",
}


def test_hostile_inputs_are_never_right(runner, monkeypatch):
    monkeypatch.setattr(exec_io, "CPU_SECONDS", 0.3)
    found = grade(INPUT, [SAME] * len(HOSTILE), list(HOSTILE.values()), runner)
    won = [name for name, grade in zip(HOSTILE, found, strict=True) if grade.correct]
    assert won == []
    assert grade(INPUT, [SAME], ["1"], runner)[0].correct


def test_an_argument_cannot_change_what_belongs_to_the_program(runner):
    row = {"code": "K = [1]\ndef f(a):\n    return K", "input": "0", "output": "[]"}
    answers = ["K.clear()", "(lambda k: k.clear())(K)", "[K.pop()]", "map(K.remove, [1])", "K"]
    grades = grade(INPUT, [row] * len(answers), answers, runner)
    assert not any(grade.correct for grade in grades)


def test_ranges_get_from_process_to_process(runner):
    row = {"code": "K = [7]\ndef f(a):\n    return a.stop", "input": "range(7)", "output": "7"}
    answers = ["range(K[0])", "range(0, len(K) + 6, 2)", "range(K[0] + 1)", "[K[0]]"]
    reasons = [grade.reason for grade in grade(INPUT, [row] * 4, answers, runner)]
    assert reasons == ["correct", "correct", "wrong", "error"]


def test_results_of_collections_equal_built_in_ones_and_no_others(runner):
    code = "from collections import *\ndef f(a):\n    return {}(a)"
    cases = [("Counter", "{'x': 2}", "'xx'"), ("OrderedDict", "{1: 2}", "[(1, 2)]")]
    cases += [("frozenset", "{1}", "[1]"), ("deque", "[1]", "[1]"), ("iter", "[1]", "[1]")]
    rows = [{"code": code.format(n), "input": i, "output": o} for n, o, i in cases]
    grades = grade(INPUT, rows, [row["input"] for row in rows], runner)
    reasons = [grade.reason for grade in grades]
    assert reasons == ["correct", "correct", "correct", "output", "output"]
