"""Each prompt and the parser of its answer are two halves of one contract."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_mini.prompts import (
    NANO_TAGS,
    Dialect,
    Proposal,
    has_thought,
    nano_proposal,
    parse_answer,
    parse_proposal,
    propose_prompt,
    shown_programs,
    solve_prompt,
    split_completion,
    thought,
)
from azr_mini.tasks import Task, TaskType, Triple

PROGRAM = "def f(a, b):\n    c = a + b\n    return c"
DEDUCTION = Task(TaskType.DEDUCTION, PROGRAM, ("3, 4",), ("7",))
ABDUCTION = Task(TaskType.ABDUCTION, PROGRAM, ("31, 42",), ("73",))
INDUCTION = Task(
    TaskType.INDUCTION,
    PROGRAM,
    ("1, 2", "3, 4", "55, 6", "7, 88"),
    ("3", "7", "61", "95"),
    message="a sum",
    num_visible=2,
)
plain_text = st.text(min_size=1).filter(
    lambda text: not any(tag in text for tag in NANO_TAGS) and "```" not in text
)
chat_line = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), min_size=1)
chat_text = chat_line.filter(lambda s: "`" not in s and "<" not in s and s == s.strip())


@given(st.sampled_from(list(TaskType)), plain_text, st.lists(plain_text, min_size=3, max_size=3))
def test_a_nano_proposal_reads_back_what_was_written(type, program, texts):
    if type is TaskType.INDUCTION:
        proposal = Proposal(type, program, tuple(texts[:2]), texts[2])
    else:
        proposal = Proposal(type, program, tuple(texts[:1]))
    completion = f"<think>plan</think><answer>{nano_proposal(proposal)}</answer>"
    assert parse_proposal(type, completion, Dialect.NANO, program, num_inputs=2) == proposal


@given(chat_text, chat_text, chat_text)
def test_a_chat_proposal_reads_back_what_was_written(program, argument, message):
    blocks = f"```python\n{program}\n```\n```input\n{argument}\n```"
    proposal = parse_proposal(
        TaskType.ABDUCTION, f"<think>hm</think>\n<answer>\n{blocks}\n</answer>", Dialect.CHAT
    )
    assert proposal == Proposal(TaskType.ABDUCTION, program, (argument,))
    inputs = f"```input\n{argument}\n```\n" * 3 + f"```message\n{message}\n```"
    proposal = parse_proposal(
        TaskType.INDUCTION, f"<answer>{inputs}</answer>", Dialect.CHAT, program, num_inputs=3
    )
    assert proposal == Proposal(TaskType.INDUCTION, program, (argument,) * 3, message)


@pytest.mark.parametrize("count", [1, 3])
def test_induction_proposals_have_exactly_as_many_inputs_as_asked_for(count):
    answer = "<answer>" + "<input>1" * count + "<message>m</answer>"
    assert parse_proposal(TaskType.INDUCTION, answer, Dialect.NANO, PROGRAM, num_inputs=2) is None


@pytest.mark.parametrize("dialect", Dialect)
def test_hidden_parts_never_enter_a_solve_prompt(dialect):
    assert "73" in solve_prompt(ABDUCTION, dialect) and "31" not in solve_prompt(ABDUCTION, dialect)
    assert "3, 4" in solve_prompt(DEDUCTION, dialect) and "7" not in solve_prompt(
        DEDUCTION, dialect
    )
    shown = solve_prompt(INDUCTION, dialect)
    assert "3, 4" in shown and "a sum" in shown
    assert "61" not in shown and "95" not in shown and "a + b" not in shown


@pytest.mark.parametrize("dialect", Dialect)
def test_propose_prompts_show_every_reference_with_its_output(dialect):
    references = [Triple(PROGRAM, "10, 20", "30"), Triple("def f(z):\n    return z", "55", "55")]
    for type in (TaskType.DEDUCTION, TaskType.ABDUCTION):
        shown = propose_prompt(type, references, dialect)
        assert all(
            r.program in shown and r.input in shown and r.output in shown for r in references
        )
    assert PROGRAM in propose_prompt(TaskType.INDUCTION, references, dialect, num_inputs=6)


def test_deduction_and_abduction_proposers_are_told_what_the_solver_must_find():
    reference = [Triple(PROGRAM, "1, 2", "3")]
    deduction = propose_prompt(TaskType.DEDUCTION, reference, Dialect.CHAT)
    abduction = propose_prompt(TaskType.ABDUCTION, reference, Dialect.CHAT)
    assert "its input and" in deduction and "find the output" in deduction
    assert "its output and" in abduction and "find the input" in abduction


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("<answer>7</answer>", "7"),
        ("<think>c=7</think><answer>7</answer>", "7"),
        ("  <think></think>\n<answer> 7 </answer>\n", "7"),
        ("7", None),
        ("<answer>7", None),
        ("<think>7<answer>7</answer>", None),
        ("<answer>7</answer> and more", None),
        ("<answer>6</answer><answer>7</answer>", None),
        ("<answer></answer>", None),
        ("<answer>", None),
        ("</answer>", None),
        ("<answer></think></answer>", None),
        ("", None),
    ],
)
def test_only_the_asked_form_is_an_answer(completion, expected):
    assert parse_answer(TaskType.DEDUCTION, completion, Dialect.NANO) == expected


def test_the_last_fence_of_the_right_kind_is_the_chat_answer():
    answer = "<answer>first:\n```output\n1\n```\nno:\n```output\n2\n```</answer>"
    assert parse_answer(TaskType.DEDUCTION, answer, Dialect.CHAT) == "2"
    assert parse_answer(TaskType.DEDUCTION, "<answer> 5 </answer>", Dialect.CHAT) == "5"


def test_thoughts_are_read_even_when_they_never_end():
    assert thought("<think>b=1\nc=2</think><answer>2</answer>") == "b=1\nc=2"
    assert thought("<think>b=1") == "b=1" and thought("<answer>1</answer>") == ""
    assert has_thought("<think>b") and not has_thought("<think> </think><answer>1</answer>")


HOSTILE = [
    "",
    "\x00" * 50,
    "\ud800<answer>\udfff</answer>",
    "<think>" * 20_000,
    "<answer>" * 20_000 + "</answer>" * 20_000,
    "```python\n" * 20_000,
    "<answer>" + "<program><input>" * 20_000 + "</answer>",
    "<answer>" + "((" * 50_000 + "</answer>",
    "a" * 10_000_000,
    "<answer>" + "[" * 10_000_000 + "</answer>",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_raises_or_takes_long(text):
    began = time.process_time()
    for dialect in Dialect:
        for type in TaskType:
            parse_answer(type, text, dialect)
            parse_proposal(type, text, dialect, PROGRAM, num_inputs=2)
    split_completion(text), thought(text), has_thought(text)
    assert time.process_time() - began < 5, "linear in the length, with a wide margin"


@given(st.text())
def test_no_random_text_raises(text):
    for dialect in Dialect:
        for type in TaskType:
            parse_answer(type, f"<answer>{text}</answer>", dialect)
            parse_proposal(type, f"<answer>{text}</answer>", dialect, PROGRAM, num_inputs=2)


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("type", TaskType)
def test_the_programs_that_a_proposer_was_shown_read_back(type, dialect):
    programs = [PROGRAM, "def f(a):\n    b = '<a>'\n\n    return b", "def f(a): return a"]
    references = [Triple(program, "1", "2") for program in programs]
    prompt = propose_prompt(type, references, dialect, num_inputs=3)
    assert shown_programs(prompt) == programs[: 1 if type is TaskType.INDUCTION else 3]
