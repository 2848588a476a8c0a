"""Every corpus document is true, and the nano grammar means what Python means."""

import json
import random

import pytest

from azr_mini.nano.corpus import Recipe, argument_text, draw_program, draw_run, random_document
from azr_mini.nano.drawing import random_program
from azr_mini.nano.heldout import draw_heldout
from azr_mini.nano.operations import OPERATIONS
from azr_mini.nano.tokenizer import build_tokenizer
from azr_mini.programs import program_key
from azr_mini.prompts import (
    INPUT,
    NANO_TAGS,
    OUTPUT,
    Dialect,
    parse_answer,
    parse_proposal,
    thought,
)
from azr_mini.resources import data_path
from azr_mini.sandbox import Executor, Job
from azr_mini.tasks import Role, TaskType, task_from_json
from azr_mini.validate import grade, validate
from azr_mini.values import canonical, parse_value

HARD = Recipe(operations=(0.2, 0.2, 0.2, 0.2, 0.2))


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


def test_a_program_tree_means_what_python_means(executor):
    rng = random.Random(0)
    jobs, expected = [], []
    while len(jobs) < 600:
        program = draw_program(rng, HARD, frozenset())
        run = draw_run(rng, program)
        if run is not None:
            jobs.append(Job(program.source, [argument_text(run[0])]))
            expected.append(canonical(run[1]))
    results = executor.run(jobs)
    assert [(r.status, r.outputs) for r in results] == [("ok", [e]) for e in expected]


def test_every_operation_is_drawn():
    rng = random.Random(0)
    drawn = " ".join(" ".join(random_program(rng, 4).words) for _ in range(3000)).split()
    assert {operation.word for operation in OPERATIONS} <= set(drawn)


def _read_prompt(prompt: str) -> dict[str, list[str]]:
    """The parts of a nano solve prompt by tag, read independently of the package's parsers."""
    parts, tag = {}, None
    for token in _split_tags(prompt):
        if token in NANO_TAGS:
            tag = token
        else:
            parts.setdefault(tag, []).append(token)
    return parts


def _split_tags(text: str) -> list[str]:
    for tag in NANO_TAGS:
        text = text.replace(tag, f"\x00{tag}\x00")
    return [piece for piece in text.split("\x00") if piece]


def test_every_document_is_true(executor):
    """Answers are graded right, tried inputs give the stated output, proposals validate."""
    rng = random.Random(1)
    documents = [random_document(rng, HARD) for _ in range(600)]
    jobs, expected, backward = [], [], []
    for document in documents:
        parts = _read_prompt(document.prompt)
        if document.role is Role.PROPOSE:
            shown = parts["<program>"][-1] if document.type is TaskType.INDUCTION else None
            proposal = parse_proposal(
                document.type, document.completion, Dialect.NANO, shown, num_inputs=6
            )
            (task,) = validate([proposal], executor)
            assert getattr(task, "inputs", None) == proposal.inputs, task
            continue
        answer = parse_answer(document.type, document.completion, Dialect.NANO)
        if document.type is TaskType.DEDUCTION:
            jobs.append(Job(parts["<program>"][0], [parts["<input>"][0]]))
            expected.append([answer])
        elif document.type is TaskType.ABDUCTION:
            jobs.append(Job(parts["<program>"][0], [answer]))
            expected.append([parts["<output>"][0]])
            worked, *tried = thought(document.completion).split(INPUT)
            if worked:  # backward from the output: what the answer's run assigned, last first
                backward.append((_recording(parts["<program>"][0]), answer, worked.split("\n")))
            for text in tried:  # each try: input, trace lines, output
                jobs.append(Job(parts["<program>"][0], [text.split("\n")[0].split(OUTPUT)[0]]))
                expected.append([text.split(OUTPUT)[1]])
        else:
            jobs.append(Job(answer, parts["<input>"]))
            expected.append(parts["<output>"])
    assert [result.outputs for result in executor.run(jobs)] == expected
    runs = executor.run([Job(program, [input]) for program, input, _ in backward])
    assert len(runs) > 20
    for run, (_, _, lines) in zip(runs, backward, strict=True):
        assert _trace_lines(run.outputs[0]) == lines[::-1]


def _recording(source: str) -> str:
    """The program with a list `t` of every assigned value and branch, which it returns instead."""
    lines = []
    for line in source.split("\n"):
        bare, indent = line.strip(), line[: len(line) - len(line.lstrip())]
        if bare.startswith("def"):
            lines += [line, "    t = []"]
        elif bare.startswith("if "):
            lines += [f"{indent}t.append(('if', {bare[3:-1]}))", line]
        elif bare.startswith("for "):
            lines += [line, f"{indent}    t.append(({bare[4]!r}, {bare[4]}))"]
        elif bare.startswith("return "):
            lines += [f"{indent}return t"]
        elif " = " in bare:
            lines += [line, f"{indent}t.append(({bare[0]!r}, {bare[0]}))"]
        else:
            lines += [line]
    return "\n".join(lines)


def _trace_lines(recorded: str) -> list[str]:
    """The lines of a trace, from what the recording program returned."""
    return [
        f"{name} {value}" if name == "if" else f"{name}={canonical(value)}"
        for name, value in parse_value(recorded)
    ]


def test_traces_are_what_python_does_step_by_step(executor):
    rng = random.Random(2)
    jobs, expected = [], []
    while len(jobs) < 400:
        program = draw_program(rng, HARD, frozenset())
        run = draw_run(rng, program)
        if run is not None:
            jobs.append(Job(_recording(program.source), [argument_text(run[0])]))
            expected.append(run[2])
    traces = [_trace_lines(result.outputs[0]) for result in executor.run(jobs)]
    assert traces == expected
    assert any("if True" in t for t in traces) and any(len(set(t)) > 6 for t in traces)


def test_the_tokenizer_returns_any_text():
    tokenizer = build_tokenizer()
    rng = random.Random(3)
    texts = ["", "é漢😀\x00\x7f", "def f(<b>):\r\n\treturn 'x'", "  " * 9, "<think", "<<answer>>"]
    texts += ["".join(map(chr, rng.choices(range(1, 0xD000), k=40))) for _ in range(200)]
    texts += [d.prompt + d.completion for d in (random_document(rng, HARD) for _ in range(300))]
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert tokenizer.decode(ids) == text


def test_tags_are_single_tokens():
    tokenizer = build_tokenizer()
    for tag in NANO_TAGS:
        assert len(tokenizer(tag, add_special_tokens=False).input_ids) == 1


def test_excluded_programs_are_never_drawn():
    rng = random.Random(4)
    easy = Recipe(operations=(1.0,))
    common = {program_key(draw_program(rng, easy, frozenset()).source) for _ in range(300)}
    drawn = {program_key(draw_program(rng, easy, frozenset(common)).source) for _ in range(300)}
    assert drawn.isdisjoint(common)


def test_the_heldout_set_is_the_frozen_one_and_its_outputs_are_pythons(executor):
    lines = data_path("nano_heldout.jsonl").read_text(encoding="utf-8").splitlines()
    tasks = [task_from_json(json.loads(line)) for line in lines]
    assert [sum(task.type is type for task in tasks) for type in TaskType] == [1000] * 3
    keys = [program_key(task.program) for task in tasks]
    assert len(set(keys)) == len(keys)
    results = executor.run([Job(task.program, list(task.inputs)) for task in tasks])
    assert all(r.outputs == list(t.outputs) for r, t in zip(results, tasks, strict=True))
    assert draw_heldout(2026, 5)[:5] == tasks[:5], "the grammar that drew it has changed"


def test_the_seeded_corpus_is_the_same_twice():
    first = [random_document(random.Random(i), HARD) for i in range(50)]
    assert first == [random_document(random.Random(i), HARD) for i in range(50)]


def test_right_answers_of_heldout_tasks_are_graded_right(executor):
    lines = data_path("nano_heldout.jsonl").read_text(encoding="utf-8").splitlines()[::30]
    tasks = [task_from_json(json.loads(line)) for line in lines]
    golds = {
        TaskType.DEDUCTION: lambda t: t.outputs[0],
        TaskType.ABDUCTION: lambda t: t.inputs[0],
        TaskType.INDUCTION: lambda t: t.program,
    }
    verdicts = grade(tasks, [golds[task.type](task) for task in tasks], executor)
    assert all(verdict.correct for verdict in verdicts)
