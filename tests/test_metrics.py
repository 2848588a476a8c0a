import gzip
import json
import math
import random
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_run import made_up_run

from azr_mini.distance import ast_distance
from azr_mini.metrics import COLUMNS, COMPLEXITY, step_tables, task_metrics, task_rows, task_table
from azr_mini.nano.drawing import random_program
from azr_mini.programs import parse_program
from azr_mini.tasks import Task, TaskType

DEDUCTION, ABDUCTION, INDUCTION = TaskType
IDENTITY = "def f(a):\n    return a"


def deduction(program=IDENTITY, output="1", input="1"):
    return Task(DEDUCTION, program, (input,), (output,))


def abduction(input, program=IDENTITY):
    return Task(ABDUCTION, program, (input,), ("1",))


def induction(program=IDENTITY, outputs=("1", "2")):
    return Task(INDUCTION, program, ("1", "2"), outputs, "copies", 1)


def test_complexity_is_the_mean_of_the_tasks_of_a_type():
    longer = "def f(a):\n    # why\n\n    if a:\n        a = 2\n    return a + 1"
    m = task_metrics([deduction(), deduction(longer, "2"), induction()])
    assert m["complexity/lines/deduction"] == (2 + 5) / 2
    assert m["complexity/cyclomatic/deduction"] == 1.5
    assert m["complexity/nodes/deduction"] > m["complexity/nodes/induction"] == 6
    assert (
        m["complexity/halstead_volume/deduction"] > 0 == (m["complexity/halstead_volume/induction"])
    )
    assert not any(key.endswith("/abduction") for key in m)


def test_distance_is_the_mean_over_the_references_of_each_task():
    sums, product = "def f(a):\n    return sum(a)", "def f(a, b):\n    return a * b"
    tasks = [deduction(sums), deduction(product), deduction(), abduction("1"), induction(sums)]
    shown = [[IDENTITY, product], [IDENTITY], [], [], [sums]]
    rows = task_rows(tasks, shown)
    both = [ast_distance(sums, IDENTITY), ast_distance(sums, product)]
    assert rows[0]["ast_distance"] == pytest.approx(sum(both) / 2)
    m = task_metrics(tasks, shown)
    expected = (sum(both) / 2 + ast_distance(product, IDENTITY)) / 2
    assert m["diversity/ast/deduction"] == pytest.approx(expected)
    assert "diversity/ast/abduction" not in m  # without references there is no distance
    assert "diversity/ast/induction" not in m  # its program was the one shown
    assert not any(key.startswith("diversity/ast/") for key in task_metrics(tasks))


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=9))
def test_answer_diversity_is_the_share_of_pairs_that_differ(answers):
    m = task_metrics([deduction(output=answer) for answer in answers])
    if len(answers) > 1:
        differ = [one != other for one, other in permutations(answers, 2)]
        assert m["diversity/answer/deduction"] == pytest.approx(np.mean(differ))
    else:
        assert "diversity/answer/deduction" not in m
    _, counts = np.unique(answers, return_counts=True)
    p = counts / counts.sum()
    assert m["diversity/answer_entropy/deduction"] == pytest.approx(-(p * np.log2(p)).sum())
    assert m["diversity/answer_distinct/deduction"] == len(counts) / len(answers)


def test_the_answer_is_what_the_solver_must_give():
    said = [deduction(output="3", input="4"), abduction("5"), induction(outputs=("6", "7"))]
    assert [row["answer"] for row in task_rows(said)] == ["3", "5", "6\n7"]


def test_repeats_are_exact_renamed_or_similar():
    first = "def f(a):\n    b = a + 1\n    return b * a - 3"
    layout = "def f(a):\n  # the same\n  b = a+1\n  return b*a - 3"
    renamed = "def f(x):\n    y = x + 1\n    return y * x - 3"
    similar = "def f(x):\n    y = x + 2\n    return y * x - 3"
    other = "def f(a):\n    return [i for i in a if i]"
    programs = [first, layout, renamed, similar, other]
    table = task_table([deduction(program) for program in programs])
    assert list(table["repeats_exact"]) == [False, True, False, False, False]
    assert list(table["repeats_renamed"]) == [False, True, True, False, False]
    assert list(table["repeats_similar"]) == [False, True, True, True, False]
    assert list(table["cluster"]) == [0, 0, 0, 0, 1]
    m = task_metrics([deduction(program) for program in programs])
    found = [m[f"duplicates/{kind}/deduction"] for kind in ("exact", "renamed", "similar")]
    assert found == [0.2, 0.4, 0.6] and m["cluster_share/deduction"] == 0.8
    far = task_metrics([deduction(program) for program in programs], threshold=1)
    near = task_metrics([deduction(program) for program in programs], threshold=0)
    assert far["cluster_share/deduction"] == 1 and near["cluster_share/deduction"] == 0.6


def test_types_are_compared_only_with_themselves():
    mixed = [induction(), deduction(), abduction("1"), deduction("def f(a):\n    return a + 1")]
    table = task_table(mixed)
    assert list(table["type"]) == ["induction", "deduction", "abduction", "deduction"]
    assert not table["repeats_exact"].any() and list(table["cluster"]) == [0, 0, 0, 1]


def test_no_tasks_have_no_metrics_and_an_empty_table():
    assert task_metrics([]) == {}
    assert task_table([]).empty and tuple(task_table([]).columns) == COLUMNS


WRAPPINGS = [
    "{}",
    "def g(n):\n    return 1 if n < 2 else n * g(n - 1)\n{}",
    "class A:\n    def m(self):\n        return lambda x: x\n{}",
    "import math as m\nfrom re import *\n{}",
    "def f(x, *y, z=(lambda q: q)(1), **k):\n    def h(): yield x\n    return [*h()]\n{}",
    "@staticmethod\ndef g(a: int = 3, /) -> 'int':\n    global b\n    del a\n{}",
    "async def g():\n    async with a as b: await b\n    async for c in b: pass\n{}",
    "match 1:\n    case {{'a': [_, *b], **c}} if d: pass\n    case _: pass\n{}",
    "try: pass\nexcept* ValueError as e: raise e from None\n{}",
    "x = f'{{1!r:>{{2}}}}' ; y: int = 0xffffffffffffffffffff ; z = u'' ; w = 1j ; v = ...\n{}",
]


@given(st.integers(), st.integers(0, 12), st.sampled_from(WRAPPINGS))
def test_any_program_that_parses_can_be_measured(seed, size, wrapping):
    program = wrapping.format(random_program(random.Random(seed), 1 + size).source)
    m = task_metrics([deduction(program), induction(program)], [[program], []])
    assert json.loads(json.dumps(m, allow_nan=False)) == m
    assert m["diversity/ast/deduction"] == 0
    assert {f"complexity/{name}/induction" for name in COMPLEXITY} <= set(m)


def test_a_program_too_deep_to_be_written_down_can_be_measured():
    deep = "def f(a):\n    return " + "-" * 2000 + "a"
    m = task_metrics([deduction(deep), deduction(deep)])
    assert m["duplicates/exact/deduction"] == 0.5 and m["complexity/nodes/deduction"] > 2000
    assert "complexity/halstead_volume/deduction" not in m
    with pytest.raises(ValueError, match="not a Python program"):
        task_metrics([deduction("def f(")])


def test_no_program_is_run(tmp_path):
    trace = tmp_path / "ran"
    program = f"open({str(trace)!r}, 'w')\ndef f(a=open({str(trace)!r}, 'w')):\n    return a"
    assert task_metrics([deduction(program)], [[program]]) and not trace.exists()


@pytest.mark.parametrize("name", ["3b_coder_seed_io", "7b_seed_io"])
def test_programs_of_real_models_can_be_measured(official_seeds_folder, name):
    with gzip.open(official_seeds_folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        snippets = [json.loads(line)["snippet"] for line in lines][:64]
    assert all(parse_program(snippet) for snippet in snippets)
    m = task_metrics([deduction(snippet) for snippet in snippets], [snippets[:1]] * 64)
    assert 0 < m["diversity/ast/deduction"] < 1 and math.isfinite(sum(m.values()))


def test_a_run_gives_one_table_a_step_with_what_was_shown(tmp_path):
    run = made_up_run(tmp_path / "run", num_steps=3)
    tables = step_tables(run.rollouts)
    assert len(tables) == 3 and all(len(table) == 12 for table in tables)
    distances = tables[2].query("type == 'deduction'")
    expected = [ast_distance(program, IDENTITY) for program in distances["program"]]
    assert list(distances["ast_distance"]) == expected and min(expected) > 0


def test_a_step_without_a_valid_proposal_has_an_empty_table(tmp_path):
    assert step_tables([]) == []
    run = made_up_run(tmp_path / "run", num_steps=1)
    late = [{**record, "step": 2} for record in run.rollouts]
    assert [len(table) for table in step_tables(late)] == [0, 0, 12]
