"""The second grammar is one that the first cannot write, and few rows of CruxEval are in reach."""

import gzip
import json
import random

import pytest

from azr_mini.evaluate.heldout import load_heldout_tasks
from azr_mini.nano.constructs import (
    constructs,
    first_constructs,
    first_shapes,
    statement_shapes,
)
from azr_mini.nano.corpus import Recipe, draw_program
from azr_mini.nano.grammar import check_range
from azr_mini.nano.ood import draw_ood
from azr_mini.nano.reach import Reach, reach, tasks_in_reach
from azr_mini.nano.second_grammar import COMBINED, NEW, draw, is_combined
from azr_mini.programs import program_key
from azr_mini.resources import data_path
from azr_mini.sandbox import Executor, Job
from azr_mini.tasks import TaskType
from azr_mini.validate import grade, load_heldout
from azr_mini.values import parse_value


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


@pytest.fixture(scope="module")
def ood():
    return load_heldout_tasks(name="ood")


def program(*lines):
    return "\n".join(["def f(a):", *(f"    {line}" for line in lines)])


def test_what_the_corpus_writes_is_all_in_the_list_of_the_first_grammar():
    rng, hard = random.Random(0), Recipe(operations=(0.2,) * 5)
    sources = [draw_program(rng, hard, frozenset()).source for _ in range(2000)]
    shapes = set().union(*map(statement_shapes, sources))
    used = set().union(*map(constructs, sources))
    assert shapes <= first_shapes() and used == first_constructs()
    assert len(first_shapes() - shapes) < 5


@pytest.mark.parametrize("statement", COMBINED + NEW, ids=lambda s: f"{s.takes} {s.words}")
def test_the_first_grammar_cannot_write_a_statement_of_the_second(statement):
    for seed in range(5):
        source = draw(random.Random(seed), 1, [statement]).source
        assert statement_shapes(source) - first_shapes(), source


@pytest.mark.parametrize("statement", COMBINED + NEW, ids=lambda s: f"{s.takes} {s.words}")
def test_only_half_of_the_statements_use_what_the_first_grammar_lacks(statement):
    source = draw(random.Random(1), 1, [statement]).source
    assert is_combined(source) == (statement in COMBINED)


def test_no_task_of_the_second_grammar_was_trained_on_or_is_held_out(ood):
    keys = [program_key(task.program) for task in ood]
    assert len(set(keys)) == len(keys) and load_heldout(None).isdisjoint(keys)
    assert all(statement_shapes(task.program) - first_shapes() for task in ood)


def test_the_second_set_is_the_frozen_one_and_its_outputs_are_pythons(ood, executor):
    assert [sum(task.type is type for task in ood) for type in TaskType] == [300] * 3
    results = executor.run([Job(task.program, list(task.inputs)) for task in ood])
    assert all(r.outputs == list(t.outputs) for r, t in zip(results, ood, strict=True))
    first = [task for task in draw_ood(2026, 3, executor) if task.type is TaskType.DEDUCTION]
    assert first == ood[:3], "the grammar that drew it has changed"
    assert data_path("nano_ood.jsonl").stat().st_size < 300_000


def test_the_second_set_is_small_and_half_of_it_combines_what_is_known(ood):
    for task in ood:
        for output in task.outputs:
            check_range(parse_value(output))
    for type in TaskType:
        same = [is_combined(task.program) for task in ood if task.type is type]
        assert 0.4 < sum(same) / len(same) < 0.6
    inductive = [task for task in ood if task.type is TaskType.INDUCTION]
    assert all(len(set(task.outputs)) > 1 and task.num_visible == 3 for task in inductive)


@pytest.mark.parametrize(
    "lines, new",
    [
        (["b = a * 3 + 1", "return b"], "x = x * 0 + 0"),
        (["if a > 2:", "    if a < 9:", "        a = a + 1", "return a"], "if x > 0: If"),
        (["if a > 2:", "    a = a + 1", "    a = a + 2", "return a"], "if x > 0: Assign Assign"),
        (["for i in range(len(a)):", "    t = t + i", "return a"],
         "for x in range(len(x)): Assign"),
        (["while a > 2:", "    a = a - 1", "return a"], "while x > 0: Assign"),
        (["return a.lower()"], "return x.lower()"),
        (["return sorted(a, reverse=True)"], "return sorted(x, reverse=True)"),
    ],
)  # fmt: skip
def test_a_statement_that_is_put_together_in_another_way_is_new(lines, new):
    assert statement_shapes(program(*lines)) - first_shapes() == {new}


@pytest.mark.parametrize(
    "lines, new",
    [
        (["return sorted(a[1:])[-1] + len(a) * 3"], set()),
        (["return a[::2]"], {"[::2]"}),
        (["return a[2]"], {"[2]"}),
        (["return a[b:]"], {"[x::]"}),
        (["return a.lower()"], {".lower()"}),
        (["return sorted(a, reverse=True)"], {"keyword"}),
        (["return 1 < a < 3"], {"chained"}),
        (["return a + 0.5"], {"float"}),
        (["a.append(1)", "return a"], {".append()", "Expr"}),
        (["def g(b):", "    return b", "return g(a)"], {"FunctionDef", "g()"}),
        (["return None"], {"NoneType"}),
    ],
)
def test_what_the_first_grammar_lacks_is_named(lines, new):
    assert constructs(program(*lines)) - first_constructs() == new


@pytest.mark.parametrize(
    "row, expected",
    [
        ({"input": "[1, 2]", "output": "3"}, Reach(True, True)),
        ({"input": "[1, 200]", "output": "201"}, Reach(True, False)),
        ({"input": "[1, 0.5]", "output": "1.5"}, Reach(True, False)),
        ({"input": "{1: None}", "output": "1"}, Reach(True, False)),
        ({"input": "list(range(3))", "output": "3"}, Reach(True, False)),
        ({"input": "['too many characters']", "output": "3"}, Reach(True, False)),
        ({"code": program("return a**2"), "input": "1", "output": "1"}, Reach(False, True)),
        ({"code": "def f(a", "input": "1", "output": "1"}, Reach(False, True)),
    ],
)  # fmt: skip
def test_a_row_is_in_reach_if_program_and_values_are(row, expected):
    found = reach({"code": program("b = sum(a) + 0", "return b"), **row})
    assert found == expected and bool(found) == (expected == Reach(True, True))


def test_the_rows_of_cruxeval_in_reach_are_few_and_can_be_graded(evals_folder, executor):
    with gzip.open(evals_folder / "cruxeval/cruxeval.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    found = [reach(row) for row in rows]
    counts = {
        "rows": len(rows),
        "program": sum(r.program for r in found),
        "values": sum(r.values for r in found),
        "both": sum(map(bool, found)),
    }
    recorded = data_path("nano_ood.jsonl").parents[1] / "docs/results/nano_reach.json"
    assert counts == json.loads(recorded.read_text())["cruxeval"]["counts"]
    assert counts["both"] == 7
    tasks = tasks_in_reach(rows)
    golds = [t.outputs[0] if t.type is TaskType.DEDUCTION else t.inputs[0] for t in tasks]
    assert all(verdict.correct for verdict in grade(tasks, golds, executor))
    assert len(tasks) == 2 * 7
