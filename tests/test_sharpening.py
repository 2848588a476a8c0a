"""pass@k before and after, gains over runs, and tasks that changed sides: against hand counts."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from azr_mini.evaluate.sharpening import (
    counts_of,
    gain_at_k,
    load_sharpening,
    pass_curve,
    solved_moves,
    transfer_table,
)
from azr_mini.tasks import TaskType

ROOT = Path(__file__).resolve().parents[1]


def part(**correct):
    return {"num_samples": 4, "correct": correct}


BEFORE = part(deduction=[0, 4, 1], abduction=[2, 2, 0])
AFTER = part(deduction=[1, 4, 0], abduction=[4, 2, 0])


def brute_force(num_correct, k):
    """The share of k-subsets of 4 samples that hold a right one."""
    samples = [i < num_correct for i in range(4)]
    return np.mean([any(subset) for subset in combinations(samples, k)])


@pytest.mark.parametrize("k", [1, 2, 4])
def test_a_curve_is_the_mean_of_types_of_pass_at_k(k):
    (point,) = pass_curve([BEFORE], [k])
    by_type = [[brute_force(c, k) for c in counts] for counts in BEFORE["correct"].values()]
    assert point.estimate == pytest.approx(np.mean([np.mean(values) for values in by_type]))
    assert point.low <= point.estimate <= point.high
    (of_type,) = pass_curve([BEFORE], [k], TaskType.ABDUCTION)
    assert of_type.estimate == pytest.approx(np.mean(by_type[1]))


def test_several_runs_count_the_same_and_widen_the_band():
    (one,), (two,) = pass_curve([AFTER], [1]), pass_curve([AFTER, BEFORE], [1])
    (other,) = pass_curve([BEFORE], [1])
    assert two.estimate == pytest.approx((one.estimate + other.estimate) / 2)


def test_a_gain_is_paired_by_task():
    gain = gain_at_k(BEFORE, [AFTER, AFTER], 1)
    expected = np.mean([np.mean([1 / 4, 0, -1 / 4]), np.mean([2 / 4, 0, 0])])
    assert gain.estimate == pytest.approx(expected)
    nothing = gain_at_k(BEFORE, [BEFORE], 2)
    assert (nothing.estimate, nothing.low, nothing.high) == (0, 0, 0)


def test_tasks_that_changed_sides_are_counted():
    table = solved_moves(BEFORE, AFTER)
    assert table.loc["deduction"].tolist() == [1, 1, 1, 0]
    assert table.loc["abduction"].tolist() == [0, 0, 2, 1]


def test_transfer_has_a_row_for_what_was_trained_and_a_column_for_what_was_asked():
    table = transfer_table(BEFORE, {"only abduction": [AFTER], "nothing": [BEFORE]})
    gain, low, high = table.loc["only abduction", "abduction"]
    assert gain == pytest.approx(100 * 2 / 4 / 3) and low <= gain <= high
    assert table.loc["nothing", "deduction"] == (0, 0, 0)


def test_a_damaged_record_is_one_sentence(tmp_path):
    path = tmp_path / "sharpening.json"
    for text in ("", "[]", '{"base": {}}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"sharpening.json cannot be read .*: restore it"):
            load_sharpening(path)
    path.write_text(json.dumps({"base": BEFORE}), encoding="utf-8")
    assert counts_of(load_sharpening(path)["base"])[TaskType.DEDUCTION].tolist() == [0, 4, 1]


def test_the_figure_draws_the_curves_up_to_the_samples_there_are():
    from azr_mini.viz.pass_at_k import pass_at_k_curves

    axes = pass_at_k_curves(BEFORE, [AFTER]).axes
    assert [a.get_title() for a in axes] == ["mean of the types", "deduction", "abduction"]
    base, trained = axes[1].lines
    for line, parts in ((base, [BEFORE]), (trained, [AFTER])):
        points = pass_curve(parts, [1, 2, 4], TaskType.DEDUCTION)
        assert line.get_xdata().tolist() == [1, 2, 4]
        assert line.get_ydata() == pytest.approx([point.estimate for point in points])


def test_the_transfer_figure_writes_every_gain_with_its_interval():
    from azr_mini.viz.transfer import transfer

    both = {"only abduction": [AFTER], "nothing": [BEFORE]}
    figure = transfer(BEFORE, both)
    texts = [text.get_text() for text in figure.axes[0].texts]
    table = transfer_table(BEFORE, both)
    assert len(texts) == table.size
    for text, (gain, low, high) in zip(texts, table.to_numpy().ravel(), strict=True):
        assert text == f"{gain:+.1f}\n({low:+.1f} to {high:+.1f})"


def test_the_readme_says_what_the_recorded_samples_say():
    record = load_sharpening()
    runs = [record[f"six-{seed}"] for seed in (0, 1, 2)]
    assert {run["steps"] for run in runs} == {200}
    tasks = sum(map(len, record["base"]["correct"].values()))
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"64 samples at each of {tasks} held-out tasks" in readme
    for k, how in ((1, "pass@1 moves by"), (64, "pass@64 by")):
        gain = gain_at_k(record["base"], runs, k)
        low, high = 100 * gain.low, 100 * gain.high
        assert f"{how} {100 * gain.estimate:+.1f}" in readme
        assert f"({low:+.1f} to {high:+.1f})" in readme
