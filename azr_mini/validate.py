"""What Python says: a proposal becomes a task or a named rejection, an answer right or wrong.

Outputs are always Python's, never the model's. Both functions hand all their runs to the executor
in one call, and a run that several of them need is made once.
"""

import ast
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from azr_mini.programs import canonical_program, parse_program, program_key, source_of
from azr_mini.prompts import Proposal
from azr_mini.resources import data_path
from azr_mini.sandbox import Executor, Job, Result
from azr_mini.tasks import Task, TaskType
from azr_mini.values import canonical_arguments, canonical_value_text, equal_values

MAX_MESSAGE_LENGTH = 1000  # characters
REJECTIONS = (
    "parse", "syntax", "input", "unsafe", "error", "timeout", "memory", "output",
    "nondeterministic", "crash", "leak", "message", "too_long", "heldout", "duplicate",
)  # fmt: skip


@dataclass(frozen=True)
class Rejection:
    """Why a proposal is not a task: a word from a short list, and the executor's short reason."""

    name: str
    detail: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right; the status says what was wrong with it.

    "correct", "wrong", "format" (not even a literal, or not a program), or how its run failed.
    """

    correct: bool
    status: str


def validate(
    proposals: list[Proposal | None], executor: Executor, num_visible: int | None = None
) -> list[Task | Rejection]:
    """One task or rejection for each proposal; None stands for one that did not parse.

    An induction task shows its first `num_visible` pairs, by default half of them.
    """
    readings = [_read(proposal) for proposal in proposals]
    jobs = [job for job in readings if isinstance(job, Job)]
    results = iter(_run_once(executor, jobs))
    checked = []
    for proposal, job in zip(proposals, readings, strict=True):
        if isinstance(job, Job):
            checked.append(_task(proposal, job, next(results), num_visible))
        else:
            checked.append(job)
    return checked


def _read(proposal: Proposal | None) -> Job | Rejection:
    if proposal is None:
        return Rejection("parse")
    try:
        inputs = [canonical_arguments(text) for text in proposal.inputs]
    except ValueError as error:
        return Rejection("input", str(error)[:200])
    try:
        canonical_program(proposal.program)
    except ValueError as error:
        return Rejection("syntax", str(error)[:200])
    if proposal.type is TaskType.INDUCTION:
        fault = _fault_of(proposal.message or "", proposal.program)
        if fault is not None:
            return fault
    return Job(program=proposal.program.strip("\n"), inputs=inputs)


def _fault_of(message: str, program: str) -> Rejection | None:
    if len(message) > MAX_MESSAGE_LENGTH:
        return Rejection("too_long", f"a message of {len(message)} characters")
    if any("\ud800" <= character <= "\udfff" for character in message):
        return Rejection("message", "half of a character, which no tokenizer reads")
    if leaks(message, program):
        return Rejection("leak", "the message contains the program")
    return None


def _task(
    proposal: Proposal, job: Job, result: Result, num_visible: int | None
) -> Task | Rejection:
    if result.status != "ok":
        return Rejection(result.status, result.detail)
    message, visible = None, 0
    if proposal.type is TaskType.INDUCTION:
        message = (proposal.message or "").strip()
        visible = len(job.inputs) // 2 if num_visible is None else num_visible
    return Task(
        type=proposal.type,
        program=job.program,
        inputs=tuple(job.inputs),
        outputs=tuple(result.outputs),
        message=message,
        num_visible=visible,
    )


def leaks(message: str, program: str) -> bool:
    """Whether a message tells the program: any `def f(`, its body, or the expression it returns.

    Layout does not matter. A body shorter than three symbols, such as `return a`, may stand in any
    sentence and does not count. ValueError for a program that `canonical_program` refuses.
    """
    said = _symbols(message)
    if _contains(said, ["def", "f", "("]):
        return True
    secrets = []
    for node in parse_program(program).body:
        if isinstance(node, ast.FunctionDef):
            match node.body:
                case [ast.Return(value=ast.expr() as value)]:
                    secrets.append(source_of(value))
                case body:
                    secrets.append("\n".join(map(source_of, body)))
    return any(_is_code(symbols) and _contains(said, symbols) for symbols in map(_symbols, secrets))


def _symbols(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def _is_code(symbols: list[str]) -> bool:
    return len(symbols) >= 3 and any(not symbol[0].isalnum() for symbol in symbols)


def _contains(symbols: list[str], part: list[str]) -> bool:
    starts = range(len(symbols) - len(part) + 1)
    return any(symbols[start : start + len(part)] == part for start in starts)


def grade(tasks: list[Task], answers: list[str | None], executor: Executor) -> list[Verdict]:
    """One verdict for each answer; None is an answer whose completion was not well-formed.

    Deduction compares canonical texts and runs nothing. Abduction runs the task's program on the
    answer. Induction runs the answer on the hidden pairs, and one failure makes it wrong.
    """
    readings = [_question(task, answer) for task, answer in zip(tasks, answers, strict=True)]
    results = iter(_run_once(executor, [r for r in readings if isinstance(r, Job)]))
    verdicts = []
    for task, reading in zip(tasks, readings, strict=True):
        if isinstance(reading, Job):
            verdicts.append(_judge(task, next(results)))
        else:
            verdicts.append(reading)
    return verdicts


def _question(task: Task, answer: str | None) -> Job | Verdict:
    """The run that decides, or the verdict if none is needed."""
    if answer is None:
        return Verdict(False, "format")
    try:
        match task.type:
            case TaskType.DEDUCTION:
                right = equal_values(canonical_value_text(answer), task.outputs[0])
                return Verdict(right, "correct" if right else "wrong")
            case TaskType.ABDUCTION:
                return Job(program=task.program, inputs=[canonical_arguments(answer)])
            case TaskType.INDUCTION:
                parse_program(answer)
                return Job(program=answer, inputs=list(task.inputs[task.num_visible :]))
    except ValueError:
        return Verdict(False, "format")


def _judge(task: Task, result: Result) -> Verdict:
    if result.status == "syntax":
        return Verdict(False, "format")  # a program without `def f` is not an answer
    if result.status != "ok":
        return Verdict(False, result.status)
    expected = task.outputs[task.num_visible :]
    right = all(map(equal_values, result.outputs, expected)) and len(expected) > 0
    return Verdict(right, "correct" if right else "wrong")


def _run_once(executor: Executor, jobs: list[Job]) -> list[Result]:
    """One result for each job, in order; equal jobs share a run."""
    first: dict[tuple, Job] = {}
    keys = [(job.program, *job.inputs) for job in jobs]
    for key, job in zip(keys, jobs, strict=True):
        first.setdefault(key, job)
    results = dict(zip(first, executor.run(list(first.values())), strict=True))
    return [results[key] for key in keys]


def load_heldout(path: str | None) -> frozenset[str]:
    """The keys of the programs in a held-out file, which no proposal may repeat.

    None is the shipped file, "" is no file. ValueError naming the file if it cannot be read.
    """
    if path == "":
        return frozenset()
    file = data_path("nano_heldout.jsonl") if path is None else Path(path)
    try:
        rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
        return frozenset(program_key(program) for program in _programs(rows))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"held-out file {file} cannot be read ({type(error).__name__}): restore it from the "
            "repository, or name another with --heldout-path ('' for none)"
        ) from error


def _programs(rows: Iterable[dict]) -> set[str]:
    return {row["program"] for row in rows}
