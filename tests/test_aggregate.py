"""Averages are the paper's, and are refused where a part of them is not the benchmark's."""

import pytest

from azr_mini.evaluate.aggregate import averages
from azr_mini.evaluate.benchmarks import BENCHMARKS, CODE, MATH
from azr_mini.evaluate.paper import COLUMNS, ROWS

BASE = [71.3, 69.1, 25.3, 13.3, 13.3, 52.5, 74.4, 38.2, 38.5]
CODER = [83.5, 69.6, 31.7, 20.0, 10.0, 57.5, 72.6, 36.4, 38.2]


def values(found):
    return [found.code.value, found.math.value, found.overall.value]


@pytest.mark.parametrize(
    ("scores", "expected"), [(BASE, [55.2, 38.4, 46.8]), (CODER, [61.6, 39.1, 50.4])]
)
def test_the_averages_are_those_of_table_1(scores, expected):
    found = averages(dict(zip(COLUMNS, scores, strict=True)))
    assert [round(value, 1) for value in values(found)] == expected


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.model)
def test_every_row_of_the_paper_agrees_with_its_own_averages(row):
    found = values(averages(row.scores))
    # Table 5 prints 51.2 for the mean of 67.1, 65.9 and 20.0
    near = 0.21 if row.model == "Qwen2.5-3B-Coder" else 0.1001
    for computed, printed in zip(found, row.averages, strict=True):
        assert printed is None or computed == pytest.approx(printed, abs=near)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("how", ["missing", "12 stand-in rows"])
def test_a_part_that_is_not_there_or_not_the_benchmark_refuses_its_averages(name, how):
    scores, unfit = dict(zip(COLUMNS, BASE, strict=True)), {}
    if how == "missing":
        del scores[name]
    else:
        unfit[name] = how
    found = averages(scores, unfit)
    refused, other = (found.code, found.math)[:: 1 if BENCHMARKS[name].group == CODE else -1]
    assert refused.value is None and refused.reason == f"{BENCHMARKS[name].title}: {how}"
    assert found.overall.value is None and refused.reason in found.overall.reason
    assert other.value is not None


def test_every_code_and_math_benchmark_has_its_column():
    assert [BENCHMARKS[name].group for name in COLUMNS] == [CODE] * 3 + [MATH] * 6
