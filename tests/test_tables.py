"""The tables have the paper's layout and say whenever a number is not what it looks like."""

import re
from dataclasses import replace

import pytest
from invented import invented_dataset

from azr_mini.evaluate.benchmarks import BENCHMARKS
from azr_mini.evaluate.intervals import Interval
from azr_mini.evaluate.paper import COLUMNS, ROWS
from azr_mini.evaluate.results import Result, result_from_json, result_of
from azr_mini.evaluate.tables import Evaluated, latex, markdown, warnings

SETTINGS = {
    "style": "azr", "samples": 1, "temperature": 0.0, "top_p": 1.0, "max_new_tokens": None,
    "limit": None,
}  # fmt: skip


def result(name, rows=None, **changes):
    rows = rows or BENCHMARKS[name].num_rows
    found = Result(
        name, rows, rows, samples=1, is_stand_in=False, sha256="a", prompts_sha256="b",
        pass_at={1: Interval(50.0, 45.0, 55.0)}, reasons={"correct": rows}, truncated=0.0,
        mean_tokens=9.0,
    )  # fmt: skip
    return replace(found, **changes)


def whole(model="ours", settings=SETTINGS, **changed):
    results = {name: result(name) for name in BENCHMARKS} | changed
    return Evaluated(model, settings, results)


def cells(table: str, model: str) -> list[str]:
    """Those of a model's row in the first table."""
    row = next(line for line in table.splitlines() if line.startswith(f"| {model} |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_our_row_stands_below_the_papers_with_release_and_rows_of_livecodebench():
    table = markdown([whole()])
    header = cells(table, "")
    assert header[1:] == [BENCHMARKS[name].title for name in COLUMNS] + ["CAvg", "MAvg", "AVG"]
    expected = ["50.0", "50.0", "50.0 (release_v5, 880 rows)"] + ["50.0"] * 9
    assert cells(table, "ours")[1:] == expected
    assert cells(table, "AZR (Qwen2.5-7B), paper")[1:] == (
        "71.3 69.1 25.3 13.3 13.3 52.5 74.4 38.2 38.5 55.2 38.4 46.8".split()
    )
    assert sum(line.count("paper |") for line in table.splitlines()) == len(ROWS)
    assert "50.0 (479 rows)" in table and "arXiv 2505.03335" in table


def test_a_partial_run_and_a_stand_in_are_marked_and_have_no_average():
    parts = {
        "lcb_generation": result("lcb_generation", rows=6, is_stand_in=True),
        "aime24": result("aime24", rows=4),
    }
    table = markdown([whole(**parts)])
    found = cells(table, "ours")
    assert found[3] == "50.0* (6 rows)" and found[4] == "50.0†" and found[-3:] == ["-"] * 3
    assert "* ours, LiveCodeBench v5: 6 stand-in rows; not its score" in table
    assert "† ours, AIME'24: 4 of 30 rows; not its score" in table
    assert "CAvg of ours is left out. LiveCodeBench v5: 6 stand-in rows." in table


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("style", "official", "differ in prompts: azr against official"),
        ("temperature", 1.0, "differ in temperature: 0.0 against 1.0"),
        ("max_new_tokens", 32, "differ in the limit of new tokens: None against 32"),
        ("samples", 8, "differ in samples a row: 1 against 8"),
    ],
)
def test_base_and_trained_that_were_asked_differently_are_warned_about(name, value, words):
    base, trained = whole("base"), whole("trained", SETTINGS | {name: value})
    (sentence,) = warnings(base, trained)
    assert words in sentence and sentence.startswith("base and trained ")
    for table in (markdown([base, trained]), latex([base, trained]).replace("\\_", "_")):
        assert f"Warning: {sentence}" in table
    assert warnings(base, whole("trained")) == []
    assert "Warning" not in markdown([base, whole("trained")])


def test_other_rows_and_other_prompts_are_warned_about():
    other = whole("trained", aime25=result("aime25", sha256="b"))
    assert warnings(whole("base"), other) == ["base and trained were asked other rows of aime25"]
    other = whole("trained", amc23=result("amc23", prompts_sha256="c"))
    assert warnings(whole("base"), other) == ["base and trained got other prompts for amc23"]


def test_latex_has_balanced_columns_and_no_bare_special_character():
    text = latex([whole("my_run & 50 % {x} \\y", aime24=result("aime24", rows=4))])
    for body in re.findall(r"\\begin{tabular}{(l r*|lr+)}(.*?)\\end{tabular}", text, re.DOTALL):
        columns, rows = body
        for row in re.findall(r"(.*) \\\\$", rows, re.MULTILINE):
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1
    assert r"my\_run \& 50 \% \{x\} \textbackslash{}y" in text and r"50.0\dag{}" in text
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 2
    assert not re.search(r"(?<!\\)[%#$]", text)


def test_a_result_is_counted_from_its_samples():
    dataset = replace(invented_dataset("aime24", rows=3), is_stand_in=False)
    scores = [1, 0, 0, 0, 1, 1]
    records = [
        {"score": score, "reason": "correct" if score else "wrong", "truncated": not score,
         "tokens": 10 * score, "prompt_sha256": "p"}
        for score in scores
    ]  # fmt: skip
    found = result_of(dataset, records, samples=2)
    assert found.score.estimate == pytest.approx(50) and found.rows == 3
    assert found.pass_at[2].estimate == pytest.approx(200 / 3)
    assert found.reasons == {"correct": 3, "wrong": 3}
    assert (found.truncated, found.mean_tokens) == (0.5, 5.0)
    assert found.why_not_whole == "3 of 30 rows"
    assert result_from_json(found.to_json()) == found
