"""The math adapter: the gold is right, all else is wrong, and no text can stop it."""

import time

import pytest

from azr_mini.evaluate.benchmarks import BENCHMARKS, Kind
from azr_mini.evaluate.dataset import load
from azr_mini.evaluate.math_answers import LONGEST, extract, gold, grade, question
from azr_mini.evaluate.math_verifier import MathVerifier

AIME = BENCHMARKS["aime24"]
MATH = [benchmark for benchmark in BENCHMARKS.values() if benchmark.kind is Kind.MATH]
IDS = [benchmark.name for benchmark in MATH]


@pytest.fixture(scope="module")
def verifier():
    with MathVerifier() as verifier:
        yield verifier


def reply(answer: str) -> str:
    return f"<think>Perhaps \\boxed{{0}}.</think>\n<answer>It is \\boxed{{{answer}}}.</answer>"


def reasons(grades) -> set[str]:
    return {grade.reason for grade in grades}


def row(answer) -> dict:
    return {"problem": "", "answer": answer}


def score(verifier, pairs) -> list[bool]:
    rows, answers = [row(right) for right, _ in pairs], [answer for _, answer in pairs]
    return [grade.correct for grade in grade(AIME, rows, answers, verifier)]


@pytest.mark.parametrize("benchmark", MATH, ids=IDS)
def test_the_gold_is_always_right_and_a_wrong_number_never(
    benchmark, verifier, evals_folder, monkeypatch
):
    monkeypatch.setenv("AZR_DATA", str(evals_folder.parent))
    rows = load(benchmark).rows
    assert all(question(benchmark, row).strip() and gold(benchmark, row) for row in rows)
    replies = [reply(answer) for row in rows for answer in (gold(benchmark, row), "-987654321")]
    answers = [extract(benchmark, text) for text in replies]
    found = grade(benchmark, [row for row in rows for _ in range(2)], answers, verifier)
    assert reasons(found[::2]) == {"correct"}
    assert not any(grade.correct for grade in found[1::2])
    assert reasons(found[1::2]) <= {"wrong", "timeout"}


@pytest.mark.parametrize("benchmark", MATH, ids=IDS)
def test_a_broken_format_is_a_format_failure(benchmark, verifier, evals_folder, monkeypatch):
    monkeypatch.setenv("AZR_DATA", str(evals_folder.parent))
    rows = load(benchmark, limit=50).rows
    whole = [reply(gold(benchmark, row)) for row in rows]
    without_tags = [gold(benchmark, row) for row in rows]
    cut = [text[: text.index("<answer>") + 12].replace("\\boxed{0}", "0") for text in whole]
    for broken in (without_tags, cut, [""] * len(rows), ["<answer> </answer>"] * len(rows)):
        answers = [extract(benchmark, text) for text in broken]
        assert answers == [None] * len(rows)
        assert reasons(grade(benchmark, rows, answers, verifier)) == {"format"}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer>1</answer> no, <answer>2</answer> \\boxed{3}", "2"),
        ("<answer>\\boxed{1} or rather \\boxed{2}</answer>", "2"),
        ("so \\boxed{1}, in all \\boxed{\\frac{1}{2}} metres", "\\frac{1}{2}"),
        ("\\boxed{\\{1, 2\\}} is it", "\\{1, 2\\}"),
        ("\\boxed{1\\} and so on", None),
        ("\\boxed{1} and \\boxed{2", None),
        ("then \\[ x = 4 \\] and \\[ y = 5 \\]", "x = 4"),
        ("<answer>\\boxed{3}</answer", "3"),
        ("<answer>3", None),
        ("the answer is 3", None),
        ("<answer>\\boxed{ }</answer>", None),
    ],
)
def test_the_answer_is_taken_from_the_official_places_in_the_official_order(text, answer):
    assert extract(AIME, text) == answer


def test_equal_values_are_right_and_near_ones_are_wrong(verifier):
    equal = [
        ("025", "25"), (27.0, "27"), ("\\frac{1}{2}", "0.5"), ("1000", "1,000"), ("5", "5\\%"),
        ("\\{1, 2\\}", "\\{2, 1\\}"), ("\\sqrt{8}", "2\\sqrt{2}"), ("1.6", "1.6 \\mathrm{~cm}"),
    ]  # fmt: skip
    different = [
        ("(1, 2)", "(2, 1)"), ("[0, 1]", "(0, 1)"), ("1.6", "1.61"), ("25", ""), ("25", "26"),
        ("x^2", "x"), ("25", "24 or 25"), ("\\{1, 2\\}", "1"), ("2x + z = 1", "1"),
    ]  # fmt: skip
    assert score(verifier, equal) == [True] * len(equal)
    assert score(verifier, different) == [False] * len(different)


def test_python_is_not_read_where_latex_cannot_be(verifier):
    assert score(verifier, [("24", "\\frac{ = 25-1 "), ("24", "\\left( 25-1 = 24")]) == [False] * 2


def test_hostile_answers_are_wrong_in_bounded_time_and_cost_nobody_else(tmp_path):
    mark = tmp_path / "mark"
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    hostile = [
        "9^{9^{9^{9^{9}}}}", "(10^{10})!", "(x+y+z)^{3000}", "{" * 400 + "1" + "}" * 400,
        "\\frac{" * 150, "\\boxed{" * 100 + "25" + "}" * 99, code, f"\\text{{{code}}}",
        "25\n[true]\ntrue", "\x00\ud800", "9" * LONGEST, "9" * 100_000, "\\" * LONGEST,
        "25}, {25", "$25$ $", "\\int_0^1 x^x^x dx",
    ]  # fmt: skip
    rows = [row("24")] * len(hostile)
    with MathVerifier(cpu_seconds=1) as verifier:
        began = time.process_time()
        found = grade(AIME, rows, hostile, verifier)
        assert time.process_time() - began < 10  # nothing of it is computed here
        assert not any(grade.correct for grade in found)
        assert "timeout" in reasons(found) and reasons(found) <= {
            "wrong", "timeout", "error", "too long",
        }  # fmt: skip
        assert score(verifier, [("24", "24")] * 8) == [True] * 8
    assert not mark.exists()


def test_hostile_completions_are_read_in_linear_time():
    for text in ("\\boxed{" * 20_000, "<answer>" * 20_000, "\\[" * 50_000, "{" * 100_000):
        assert extract(AIME, text) is None
    assert extract(AIME, "<answer>" + "9" * 100_000 + "</answer>") == "9" * 100_000


def test_a_long_answer_is_not_even_compared():
    class NoVerifier:
        def equal(self, pairs):
            assert not pairs
            return []

    (found,) = grade(AIME, [row("9" * 2000)], ["9" * 2000], NoVerifier())
    assert (found.correct, found.reason) == (False, "too long")


def test_processes_end_with_the_verifier():
    with MathVerifier(workers=1) as verifier:
        verifier.equal([("1", "1")])
        worker = verifier._workers.get()
        verifier._workers.put(worker)
        process = worker._process
        assert process.poll() is None
    assert process.poll() is not None
