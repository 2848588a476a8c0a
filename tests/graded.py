"""What the tests of several adapters share: benchmark rows, replies in the format asked for."""

import gzip
import json
from collections import Counter


def read_rows(path, limit=None):
    """The rows of a benchmark file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for _, line in zip(range(limit or 10**9), file, strict=False)]


def reply(name, answer):
    """A completion in AZR's format, with a decoy where nothing counts."""
    decoy = f"<answer>\n```{name}\nnot this\n```\n</answer>"
    return f"<think>Maybe {decoy}?</think>\n<answer>\n```{name}\n{answer}\n```\n</answer>"


def scores(adapter, benchmark, rows, replies, runner, **settings):
    """How often each reason was given, after extraction and grading of whole completions."""
    answers = [adapter.extract(benchmark, text) for text in replies]
    grades = adapter.grade(benchmark, rows, answers, runner, **settings)
    assert all(grade.correct == (grade.reason == "correct") for grade in grades)
    return Counter(grade.reason for grade in grades)
