"""Kinds of runs side by side: curves with the spread over seeds, gains with intervals."""

import random

import numpy as np
import pytest
from made_up_run import MadeUpStep, made_up_heldout, made_up_run

from azr_mini.config import Config
from azr_mini.evaluate.compare import accuracies, difference_table, gain_table
from azr_mini.evaluate.scores import gains
from azr_mini.runs import Run
from azr_mini.tasks import TaskType
from azr_mini.viz.compare import LINE_COLOURS, compare, over_runs

CURVES = {"solved": "solve_rate/*", "valid, deduction": "valid_rate/deduction"}
TITLE = "What three kinds of runs did"


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return {
        kind: [made_up_run(root / f"{kind}{seed}", 12, seed=seed) for seed in seeds]
        for kind, seeds in {"six": (0, 1, 2), "one": (3, 4)}.items()
    }


def run_of(folder, values, seed=0):
    """A run whose metric `value` is what is given, step by step."""
    run = Run.create(folder, Config(seed=seed))
    for step, value in enumerate(values):
        run.append(MadeUpStep(step, {"value": value}, []))
    return run


def evaluated(folder, seed, chances, tasks=60):
    """A run that was evaluated with these accuracies, one after the other, on fixed tasks."""
    run = Run.create(folder, Config(seed=seed))
    for step, chance in enumerate(chances):
        rng = random.Random(100 * seed + step)
        run.append_heldout(made_up_heldout(step, chance, rng, tasks))
    return run


# ---- the figure


def test_a_band_reaches_from_the_lowest_to_the_highest_run(tmp_path):
    values = [[0.0, 1.0, 2.0], [4.0, 3.0, 4.0], [2.0, 2.0, 0.0]]
    runs = [run_of(tmp_path / str(seed), row) for seed, row in enumerate(values)]
    (axes,) = compare({"mine": runs}, {"a value": "value"}, TITLE).axes
    assert axes.get_title() == "a value"
    assert list(axes.lines[0].get_ydata()) == [2.0, 2.0, 2.0]
    corners = axes.collections[0].get_paths()[0].vertices
    for step, (low, high) in enumerate([(0, 4), (1, 3), (0, 4)]):
        heights = corners[corners[:, 0] == step][:, 1]
        assert (heights.min(), heights.max()) == (low, high)


def test_a_star_is_the_mean_over_the_metrics_it_stands_for(groups):
    run = groups["six"][0]
    columns = [f"solve_rate/{type.value}" for type in TaskType]
    drawn = over_runs([run.metrics], "solve_rate/*")[0]
    assert np.allclose(drawn, run.metrics[columns].mean(axis=1))


def test_only_steps_that_all_runs_have_are_drawn(tmp_path):
    runs = [run_of(tmp_path / str(n), [1.0] * n) for n in (2, 5)]
    assert list(over_runs([run.metrics for run in runs], "value").index) == [0, 1]


def test_every_kind_has_its_own_colour_and_its_name_in_the_legend(groups):
    figure = compare(groups, CURVES, TITLE)
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["six", "one", "lowest to highest run"]
    named = [line.get_color() for line in legend.get_lines()]
    for axes in figure.axes:
        assert [line.get_color() for line in axes.lines] == named == list(LINE_COLOURS[:2])
        assert axes.get_xlabel() == "step"
    assert figure.get_suptitle() == TITLE


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_there_is_one_panel_for_each_curve(groups, number):
    figure = compare(groups, {str(n): "solve_rate/*" for n in range(number)}, TITLE)
    assert [axes.get_title() for axes in figure.axes] == [str(n) for n in range(number)]


def test_a_legend_explains_a_band_only_where_there_is_one(groups):
    figure = compare({"mine": groups["one"][:1]}, CURVES, TITLE)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mine"]


def test_a_metric_that_no_run_has_is_said_to_be_missing(groups):
    (axes,) = compare(groups, {"nothing": "no/such"}, TITLE).axes
    assert not axes.lines and "no no/such" in axes.texts[0].get_text()


def test_more_kinds_than_colours_are_refused(groups):
    many = {str(n): groups["one"] for n in range(len(LINE_COLOURS) + 1)}
    with pytest.raises(ValueError, match="6 groups of runs: compare at most 5"):
        compare(many, CURVES, TITLE)


# ---- the tables


def test_the_gain_of_one_run_is_that_of_the_command_line(groups):
    table = gain_table(groups)  # all of them made with seed 0: none may hide another
    assert list(table.index) == [("six", 0)] * 3 + [("six", "all")] + [("one", 0)] * 2 + [
        ("one", "all")
    ]
    rows = table[table.index.get_level_values("seed") == 0]
    for (_, row), run in zip(rows.iterrows(), groups["six"] + groups["one"], strict=True):
        first, last = run.heldout
        *by_type, mean = gains(first, last)
        assert row["gain"] == pytest.approx(100 * mean.gain.estimate)
        assert row["before"] == pytest.approx(100 * mean.before)
        assert row["after"] == pytest.approx(100 * mean.after)
        assert row["low"] == pytest.approx(100 * mean.gain.low, abs=1)
        assert row["high"] == pytest.approx(100 * mean.gain.high, abs=1)
        for gain in by_type:
            assert row[gain.name] == pytest.approx(100 * gain.gain.estimate)


def test_the_gain_of_a_kind_is_the_mean_over_its_seeds(tmp_path):
    runs = [evaluated(tmp_path / str(s), s, (0.3, end)) for s, end in enumerate((0.3, 0.5, 0.7))]
    table = gain_table({"mine": runs}).loc["mine"]
    for name in ("before", "after", "gain", "induction"):
        assert table.loc["all", name] == pytest.approx(table.loc[[0, 1, 2], name].mean())


def test_only_the_first_and_the_last_evaluation_count(tmp_path):
    run = evaluated(tmp_path / "run", 0, (0.3, 0.9, 0.5))
    found, (first, _, last) = accuracies([run]), run.heldout
    for type in TaskType:
        assert found[type].shape == (1, 2, 60)
        ends = [record["types"][type.value]["accuracy"] for record in (first, last)]
        assert found[type][0].mean(axis=1) == pytest.approx(ends)


def test_differences_are_taken_against_the_named_kind(tmp_path):
    def runs(end, seeds):
        return [evaluated(tmp_path / f"{end}{seed}", seed, (0.3, end)) for seed in seeds]

    groups = {"good": runs(0.8, (0, 1)), "bad": runs(0.35, (2, 3)), "poor": runs(0.4, (4, 5))}
    found, own = difference_table(groups, "bad"), gain_table(groups)["gain"]
    assert list(found.index) == ["good", "poor"] and found.index.name == "less bad"
    for name in found.index:
        expected = own[name, "all"] - own["bad", "all"]
        assert found.loc[name, "difference"] == pytest.approx(expected)
    assert found.loc["good", "low"] > 0
    assert found.loc["poor", "low"] < found.loc["poor", "difference"] < found.loc["poor", "high"]


def test_runs_on_other_tasks_are_not_compared(tmp_path):
    one = evaluated(tmp_path / "one", 0, (0.3, 0.5))
    other = evaluated(tmp_path / "other", 0, (0.3, 0.5), tasks=20)
    for groups in ({"a": [one, other]}, {"a": [one], "b": [other]}):
        with pytest.raises(ValueError, match="other was not evaluated on the same tasks as .*one"):
            difference_table(groups, "a")
    with pytest.raises(ValueError, match="no group 'c' to compare with: use one of a"):
        difference_table({"a": [one]}, "c")


def test_a_run_that_was_not_evaluated_twice_is_named(tmp_path):
    run = evaluated(tmp_path / "once", 0, (0.3,))
    with pytest.raises(ValueError, match="once was not evaluated at temperature 1 before and"):
        gain_table({"mine": [run]})
    with pytest.raises(ValueError, match="at temperature 0 before"):
        accuracies([evaluated(tmp_path / "sampled", 0, (0.3, 0.4))], temperature=0.0)
