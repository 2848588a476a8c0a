import json
import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr_mini.programs import program_key
from azr_mini.prompts import Proposal
from azr_mini.resources import data_path
from azr_mini.sandbox import Executor, Job, Result
from azr_mini.tasks import Task, TaskType, load_seed_tasks
from azr_mini.validate import Rejection, Verdict, grade, leaks, load_heldout, validate

DEDUCTION, ABDUCTION, INDUCTION = TaskType.DEDUCTION, TaskType.ABDUCTION, TaskType.INDUCTION
REVERSE = "def f(a):\n    return a[::-1]"
SIX = ("[1, 2]", "'abc'", "[3]", "(1, 2)", "''", "[True, None]")


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


class CountingExecutor:
    """Answers every job like the real one and remembers what it was asked."""

    def __init__(self, executor):
        self.executor, self.calls = executor, []

    def run(self, jobs):
        self.calls.append(list(jobs))
        return self.executor.run(jobs)


def only(executor, proposal):
    (checked,) = validate([proposal], executor)
    return checked


def verdict(executor, task, answer):
    (verdict,) = grade([task], [answer], executor)
    return verdict


# ---- proposals


def test_python_supplies_the_output(executor):
    task = only(executor, Proposal(DEDUCTION, REVERSE, (" [1,2] ",)))
    assert task == Task(DEDUCTION, REVERSE, ("[1, 2]",), ("[2, 1]",))


def test_an_induction_task_shows_exactly_its_first_half(executor):  # definition 5
    task = only(executor, Proposal(INDUCTION, REVERSE, SIX, " backwards "))
    assert (len(task.inputs), task.num_visible, task.message) == (6, 3, "backwards")
    assert task.outputs == ("[2, 1]", "'cba'", "[3]", "(2, 1)", "''", "[None, True]")
    (task,) = validate([Proposal(INDUCTION, REVERSE, SIX, "hint")], executor, num_visible=2)
    assert task.num_visible == 2
    assert only(executor, Proposal(INDUCTION, REVERSE, SIX[:5], "hint")).num_visible == 2


@pytest.mark.parametrize(
    "name, program, text",
    [
        ("syntax", "def f(a:", "1"),
        ("syntax", "def g(a):\n    return a", "1"),
        ("syntax", "\0", "1"),
        ("input", REVERSE, "[1, 2"),
        ("input", REVERSE, "x"),
        ("input", REVERSE, "0) or (1"),
        ("input", REVERSE, "a=[1]"),
        ("error", REVERSE, "3"),
        ("error", REVERSE, "[1], [2]"),
        ("output", "def f(a):\n    print(a)", "1"),
        ("output", "def f(a):\n    return (x for x in a)", "[1]"),
        ("output", "def f(a):\n    return object()", "1"),
        ("unsafe", "import os\ndef f(a):\n    return a", "1"),
        ("timeout", "def f(a):\n    while True:\n        a += 1", "1"),
        ("nondeterministic", "def f(a):\n    return hash(a)", "'abc'"),
    ],
)
def test_what_is_not_valid_is_rejected_by_name(executor, name, program, text):  # definition 7
    checked = only(executor, Proposal(DEDUCTION, program, (text,)))
    assert isinstance(checked, Rejection) and checked.name == name, checked
    assert len(checked.detail) <= 200


@pytest.mark.parametrize(
    "body",
    ["list({'a', 'b', 'c', 'd', 'e'})", "[hash(c) % 2 for c in a]", "id(object())", "str(f)"],
)
def test_what_changes_between_interpreters_is_no_task(executor, body):  # definition 7
    checked = only(executor, Proposal(DEDUCTION, f"def f(a):\n    return {body}", ("'abcdefgh'",)))
    assert checked == Rejection("nondeterministic", "two runs disagree")


@pytest.mark.parametrize(
    "liar",
    [
        "class L(int):\n  def __eq__(s, o): return True\n  __hash__ = int.__hash__",
        "class L(str):\n  def __repr__(self): return '1'",
        "class L(list):\n  def __repr__(self): return '[1]'",
        "import enum\nclass E(enum.IntEnum):\n  A = 1\ndef L(): return E.A",
    ],
)
@pytest.mark.parametrize("value", ["L()", "[L()]"])
def test_objects_that_pretend_are_no_outputs(executor, liar, value):  # definition 7
    checked = only(executor, Proposal(DEDUCTION, f"{liar}\ndef f(a):\n    return {value}", ("1",)))
    assert isinstance(checked, Rejection) and checked.name == "output", checked


def test_a_program_that_counts_its_calls_is_no_task(executor):  # definition 7
    counter = "n = 0\ndef f(a):\n    global n\n    n += 1\n    return n"
    checked = only(executor, Proposal(INDUCTION, counter, SIX, "counts"))
    assert checked == Rejection("nondeterministic", "two runs disagree")


def test_a_completion_that_did_not_parse_is_rejected_as_parse(executor):
    assert only(executor, None) == Rejection("parse")


def test_one_failing_input_rejects_an_induction_task(executor):
    checked = only(executor, Proposal(INDUCTION, REVERSE, (*SIX[:5], "7"), "backwards"))
    assert checked.name == "error"


@pytest.mark.parametrize(
    "message",
    [
        REVERSE,
        "write  def f( x ): return x[::-1]",
        "the answer is a[::-1] of course",
        "return a [ : : - 1 ]",
    ],
)
def test_a_message_that_tells_the_program_is_rejected(executor, message):  # definition 5
    assert only(executor, Proposal(INDUCTION, REVERSE, SIX, message)).name == "leak"


@pytest.mark.parametrize("message", ["", "reverse it", "give a back, reversed", "return a"])
def test_a_message_in_words_is_no_leak(executor, message):
    assert isinstance(only(executor, Proposal(INDUCTION, REVERSE, SIX, message)), Task)


def test_a_leak_of_several_statements_needs_all_of_them():
    program = "def f(a):\n    b = a + 1\n    return b * 2"
    assert leaks("first b = a + 1 ; ", program) is False
    assert leaks("first b = a + 1 return b * 2", program) is True


def test_the_identity_may_be_described_in_english():
    assert leaks("return a", "def f(a):\n    return a") is False


@pytest.mark.parametrize("program", ["def f(", "def f(a):\n    return a" + " + a" * 1000, "\0"])
def test_a_program_that_cannot_be_written_down_is_a_value_error(program):
    with pytest.raises(ValueError):
        leaks("a message", program)


def test_long_and_broken_messages_are_rejected(executor):
    assert only(executor, Proposal(INDUCTION, REVERSE, SIX, "a" * 1001)).name == "too_long"
    assert only(executor, Proposal(INDUCTION, REVERSE, SIX, "\ud800")).name == "message"


def test_all_proposals_go_to_the_executor_in_one_call_and_equal_ones_run_once(executor):
    counting = CountingExecutor(executor)
    proposals = [
        Proposal(DEDUCTION, REVERSE, ("[1]",)),
        None,
        Proposal(ABDUCTION, REVERSE, (" [1] ",)),
        Proposal(DEDUCTION, REVERSE, ("x",)),
        Proposal(DEDUCTION, REVERSE, ("[2]",)),
    ]
    checked = validate(proposals, counting)
    assert [type(c) for c in checked] == [Task, Rejection, Task, Rejection, Task]
    assert [c.outputs for c in checked if isinstance(c, Task)] == [("[1]",), ("[1]",), ("[2]",)]
    (jobs,) = counting.calls
    assert [job.inputs for job in jobs] == [["[1]"], ["[2]"]]


def test_seed_tasks_are_valid(executor):  # definition 15
    for seed in load_seed_tasks(data_path("seed_triples.json")):
        assert only(executor, Proposal(seed.type, seed.program, seed.inputs, seed.message)) == seed


# ---- answers


DEDUCE = Task(DEDUCTION, "def f(a):\n    return a", ("1",), ("1",))


@pytest.mark.parametrize("answer", ["1", " 1 ", "(1)", "0x1", "+1"])
def test_deduction_accepts_any_spelling_of_the_value(executor, answer):  # definition 2
    assert verdict(executor, DEDUCE, answer) == Verdict(True, "correct")


@pytest.mark.parametrize("answer", ["True", "1.0", "2", "'1'", "[1]", "None", "(1,)"])
def test_deduction_is_typed(executor, answer):  # definition 2
    assert verdict(executor, DEDUCE, answer) == Verdict(False, "wrong")


@pytest.mark.parametrize("answer", [None, "", "7*7", "int('1')", "object()", "1 if 1 else 1"])
def test_deduction_answers_that_are_no_literal_are_malformed(executor, answer):  # definition 2
    assert verdict(executor, DEDUCE, answer) == Verdict(False, "format")


def test_deduction_runs_nothing():
    class Forbidden:
        def run(self, jobs):
            assert list(jobs) == [], "deduction must not execute"
            return []

    assert verdict(Forbidden(), DEDUCE, "1").correct


def test_order_inside_sets_and_dicts_does_not_matter(executor):
    task = Task(DEDUCTION, "def f(a):\n    return a", ("{1, 2}",), ("{1, 2}",))
    assert verdict(executor, task, "{2, 1}").correct
    task = Task(DEDUCTION, "def f(a):\n    return a", ("1",), ("{'a': 1, 'b': 2}",))
    assert verdict(executor, task, "{'b': 2, 'a': 1}").correct


SQUARE = Task(ABDUCTION, "def f(a):\n    return a * a", ("3",), ("9",))


@pytest.mark.parametrize("answer", ["3", "-3", " 3 "])
def test_abduction_accepts_every_input_that_gives_the_output(executor, answer):  # definition 3
    assert verdict(executor, SQUARE, answer) == Verdict(True, "correct")


@pytest.mark.parametrize(
    "answer, status",
    [
        ("2", "wrong"),
        ("3.0", "wrong"),  # gives 9.0
        ("3, 3", "error"),
        ("'a'", "error"),
        ("0) or (1", "format"),
        ("9) if True else (1", "format"),
        ("3)#", "format"),
        ("a=3", "format"),
        ("x", "format"),
        (None, "format"),
    ],
)
def test_abduction_rejects_everything_else(executor, answer, status):  # definition 3
    assert verdict(executor, SQUARE, answer) == Verdict(False, status)


FIRST_KEY = "def f(a):\n    return next(iter(a))"


def test_a_program_meets_a_dict_in_the_order_in_which_it_was_written(executor):  # definition 3
    task = only(executor, Proposal(ABDUCTION, FIRST_KEY, ("{'b': 1,'a': 2}",)))
    assert task == Task(ABDUCTION, FIRST_KEY, ("{'b': 1, 'a': 2}",), ("'b'",))
    assert verdict(executor, task, "{'b': 0, 'a': 0}").correct
    assert not verdict(executor, task, "{'a': 0, 'b': 0}").correct


REVERSED = Task(
    INDUCTION, REVERSE, SIX, ("[2, 1]", "'cba'", "[3]", "(2, 1)", "''", "[None, True]"), "", 3
)


def test_induction_accepts_another_program_that_does_the_same(executor):  # definition 4
    answer = "def f(x):\n    y = x\n    return y[::-1]"
    assert verdict(executor, REVERSED, answer) == Verdict(True, "correct")


def test_induction_needs_every_hidden_pair(executor):  # definition 4
    one_of_three = "def f(a):\n    return '' if a == '' else 0"
    assert verdict(executor, REVERSED, one_of_three) == Verdict(False, "wrong")
    two_of_three = "def f(a):\n    return a[::-1] if a != '' else 0"
    assert verdict(executor, REVERSED, two_of_three) == Verdict(False, "wrong")


def test_induction_does_not_look_at_visible_pairs(executor):  # definition 4
    answer = "def f(a):\n    return a[::-1] if a in ((1, 2), '', [True, None]) else 0"
    assert verdict(executor, REVERSED, answer).correct


def test_induction_counts_a_failure_as_wrong(executor):  # definition 4
    answer = "def f(a):\n    return a[::-1] if a != '' else 1 / 0"
    assert verdict(executor, REVERSED, answer) == Verdict(False, "error")


@pytest.mark.parametrize("answer", [None, "", "a[::-1]", "def g(a):\n    return a", "def f(", "\0"])
def test_induction_answers_that_are_no_program_are_malformed(executor, answer):
    assert verdict(executor, REVERSED, answer) == Verdict(False, "format")


def test_a_permissive_object_buys_nothing(executor):
    answer = (
        "class A:\n    def __eq__(self, other):\n        return True\ndef f(a):\n    return A()"
    )
    assert not verdict(executor, REVERSED, answer).correct


def test_verdicts_keep_their_order_and_equal_runs_are_made_once(executor):
    counting = CountingExecutor(executor)
    tasks = [SQUARE, DEDUCE, SQUARE, REVERSED, SQUARE, SQUARE]
    answers = ["3", "1", "2", REVERSE, "3", None]
    verdicts = grade(tasks, answers, counting)
    assert [v.correct for v in verdicts] == [True, True, False, True, True, False]
    assert [len(jobs) for jobs in counting.calls] == [3]


def test_results_are_judged_by_their_own_job():
    class Backwards:
        """Says a different thing for every program, so that a mix-up shows."""

        def run(self, jobs):
            return [Result("ok", [job.program[-1]] * len(job.inputs)) for job in jobs]

    tasks = [Task(ABDUCTION, f"def f(a):\n    return {n}", ("1",), (str(n),)) for n in range(5)]
    assert all(v.correct for v in grade(tasks, ["0"] * 5, Backwards()))
    assert not any(v.correct for v in grade(tasks[1:], ["0"] * 4, Shifted()))


class Shifted:
    def run(self, jobs):
        return [Result("ok", [str(int(job.program[-1]) - 1)]) for job in jobs]


NESTED = "[" * 60 + "]" * 60
HOSTILE = ["", "\0", "\ud800", "(" * 5000, "9" * 9000, "a" * 10_000_000, NESTED, "```\n"]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_never_raises(executor, text):
    proposals = [
        Proposal(DEDUCTION, text, ("1",)),
        Proposal(ABDUCTION, REVERSE, (text,)),
        Proposal(INDUCTION, REVERSE, SIX, text),
        Proposal(INDUCTION, text, SIX, text),
    ]
    assert len(validate(proposals, executor)) == 4
    assert len(grade([DEDUCE, SQUARE, REVERSED], [text] * 3, executor)) == 3


@settings(max_examples=50, deadline=None)
@given(text=st.text(alphabet=string.printable + "\0é\ud800", max_size=40))
def test_any_text_gets_a_verdict(text, executor):
    assert not any(v.correct for v in grade([REVERSED], [text], executor))
    assert isinstance(only(executor, Proposal(DEDUCTION, text, (text,))), Rejection)


# ---- the held-out set


def test_heldout_programs_are_known_by_their_key(tmp_path):
    path = tmp_path / "heldout.jsonl"
    path.write_text(json.dumps({"program": REVERSE}) + "\n")
    assert load_heldout(str(path)) == {program_key("def f(xs):\n    return xs[::-1]")}
    assert load_heldout("") == frozenset()


@pytest.mark.parametrize("text", ["{", "[1]", '{"program": "def f("}', "{}"])
def test_a_damaged_heldout_file_is_one_clear_sentence(tmp_path, text):
    path = tmp_path / "heldout.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match="heldout.jsonl.*--heldout-path"):
        load_heldout(str(path))
    with pytest.raises(ValueError, match="nowhere"):
        load_heldout(str(tmp_path / "nowhere"))


def test_the_runs_of_a_batch_do_not_depend_on_its_order(executor):
    tasks = [SQUARE, REVERSED, DEDUCE] * 3
    answers = ["3", REVERSE, "1", "2", "def f(a):\n    return a", "2", "x", "x", "x"]
    pairs = list(zip(tasks, answers, strict=True))
    straight = dict(zip(range(9), grade(tasks, answers, executor), strict=True))
    order = list(range(9))
    random.Random(0).shuffle(order)
    mixed = grade([pairs[i][0] for i in order], [pairs[i][1] for i in order], executor)
    assert {i: v for i, v in zip(order, mixed, strict=True)} == straight


def test_jobs_never_hold_an_answer(executor):
    counting = CountingExecutor(executor)
    grade([SQUARE], ["2"], counting)
    assert counting.calls == [[Job(program=SQUARE.program, inputs=["2"])]]
