"""Adapter of the six math benchmarks: the problem, the answer in a completion, its grade."""

import contextlib

from azr_mini.evaluate.benchmarks import Benchmark, Grade
from azr_mini.evaluate.math_verifier import MathVerifier
from azr_mini.prompts import ANSWER_CLOSE, ANSWER_OPEN

LONGEST = 1000  # characters of an answer; the longest gold has 600
BOX = "\\boxed{"


def question(benchmark: Benchmark, row: dict) -> str:
    """The problem as the benchmark states it."""
    return row["question"] if "question" in benchmark.fields else row["problem"]


def extract(benchmark: Benchmark, text: str) -> str | None:
    """The final answer of a completion, or None if it gives none.

    The last box inside the last answer tag, or all that the tag holds; without a tag the last box
    of the text; without a box the first displayed formula (the official order).
    """
    start = text.rfind(ANSWER_OPEN)
    end = text.find(ANSWER_CLOSE, start) if start >= 0 else -1
    if end >= 0:
        inside = text[start + len(ANSWER_OPEN) : end]
        answer = last_box(inside) if BOX in inside else inside
    elif BOX in text:
        answer = last_box(text)
    else:
        _, _, shown = text.partition("\\[")
        answer, closed, _ = shown.partition("\\]")
        answer = answer if closed else None
    return (answer or "").strip() or None


def last_box(text: str) -> str | None:
    """What stands in the last box of a text; None if that is not closed, or there is none."""
    start = text.rfind(BOX)
    depth, escaped = 0, False
    for position in range(start + len(BOX), len(text)) if start >= 0 else ():
        character = text[position]
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "}" and depth == 0:
            return text[start + len(BOX) : position]
        else:
            depth += (character == "{") - (character == "}")
    return None


def gold(benchmark: Benchmark, row: dict) -> str:
    """The right answer of a row, as LaTeX."""
    if "final_answer" in benchmark.fields:
        return row["final_answer"][0].strip().strip("$")
    if "solution" in benchmark.fields:
        return last_box(row["solution"]) or ""
    return str(row["answer"])


def grade(
    benchmark: Benchmark,
    rows: list[dict],
    answers: list[str | None],
    runner: MathVerifier | None = None,
) -> list[Grade]:
    """The grade of each row's answer; None is a format failure. runner: one that is open already.

    Wrong is also what is too long, takes too long to compare, or makes the comparison fail.
    """
    asked = [
        (gold(benchmark, row), answer)
        for row, answer in zip(rows, answers, strict=True)
        if answer is not None and len(answer) <= LONGEST
    ]
    opened = contextlib.nullcontext(runner) if runner else MathVerifier()
    with opened as verifier:
        found = iter(verifier.equal(asked))
    return [_grade(answer, found) for answer in answers]


def _grade(answer: str | None, found) -> Grade:
    if answer is None:
        return Grade(False, "format")
    if len(answer) > LONGEST:
        return Grade(False, "too long")
    reason = next(found)
    return Grade(reason == "correct", reason)
