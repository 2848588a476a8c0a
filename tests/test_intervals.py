"""Bootstrap intervals cover the truth and pass@k counts subsets."""

from itertools import combinations

import numpy as np
import pytest

from azr_mini.evaluate.intervals import (
    bootstrap_mean,
    crossed_bootstrap,
    paired_bootstrap,
    pass_at_k,
    share_interval,
)


@pytest.mark.parametrize("num_samples", [1, 2, 5, 8])
def test_pass_at_k_equals_counting_all_subsets(num_samples):
    for num_correct in range(num_samples + 1):
        outcomes = [True] * num_correct + [False] * (num_samples - num_correct)
        for k in range(1, num_samples + 1):
            subsets = [any(subset) for subset in combinations(outcomes, k)]
            expected = sum(subsets) / len(subsets)
            (got,) = pass_at_k(num_samples, np.array([num_correct]), k)
            assert got == pytest.approx(expected)


def test_pass_at_k_is_exact_where_factorials_overflow():
    (got,) = pass_at_k(10_000, np.array([1]), 2_500)
    assert got == pytest.approx(0.25)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(300):
        sample = rng.random(120) < 0.3
        interval = bootstrap_mean([sample], num_resamples=500, seed=trial)
        covered += interval.low <= 0.3 <= interval.high
    assert 0.90 <= covered / 300 <= 0.99


def test_every_type_weighs_the_same_whatever_its_number_of_tasks():
    interval = bootstrap_mean([np.ones(1000), np.zeros(10)])
    assert interval.estimate == interval.low == interval.high == 0.5


def test_pairing_makes_a_constant_gain_certain():
    rng = np.random.default_rng(0)
    before = rng.random((200, 4)) < 0.5
    before[:, 0] = False
    after = before.copy()
    after[:, 0] = True
    interval = paired_bootstrap([before], [after])
    assert interval.estimate == interval.low == interval.high == 0.25


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).random(50)
    assert bootstrap_mean([values], seed=3) == bootstrap_mean([values], seed=3)
    assert bootstrap_mean([values], seed=3) != bootstrap_mean([values], seed=4)


def test_unpaired_tasks_are_refused():
    with pytest.raises(AssertionError):
        paired_bootstrap([np.ones((3, 2))], [np.ones((4, 2))])


def test_with_one_run_only_the_tasks_are_drawn_again():
    values = [np.random.default_rng(type).random(50) for type in range(3)]
    one, other = bootstrap_mean(values), crossed_bootstrap([[row[None] for row in values]])
    assert other.estimate == pytest.approx(one.estimate)
    assert other.low == pytest.approx(one.low, abs=0.003)
    assert other.high == pytest.approx(one.high, abs=0.003)


def test_runs_that_differ_widen_the_interval_as_much_as_runs_vary():
    values = np.random.default_rng(0).random(60)
    same = np.stack([values] * 12)
    apart = same + np.linspace(-1, 1, 12)[:, None]
    spread = np.linspace(-1, 1, 12).std() / np.sqrt(12)
    narrow, wide = crossed_bootstrap([[same]]), crossed_bootstrap([[apart]])
    both = np.hypot((narrow.high - narrow.low) / 2, 1.96 * spread)
    assert (wide.high - wide.low) / 2 == pytest.approx(both, rel=0.05)


def test_tasks_that_two_arms_share_cancel():
    easy = np.random.default_rng(0).random((1, 80))
    found = crossed_bootstrap([[easy + 0.25], [easy]])
    for value in (found.estimate, found.low, found.high):
        assert value == pytest.approx(0.25)


def test_the_crossed_interval_of_many_runs_covers_the_truth_about_as_often_as_it_says():
    rng, covered = np.random.default_rng(2), 0
    for trial in range(200):
        ease, talent = rng.normal(0, 1, 40), rng.normal(0, 0.5, 10)
        values = talent[:, None] + ease + rng.normal(0, 1, (10, 40))
        interval = crossed_bootstrap([[values]], num_resamples=400, seed=trial)
        covered += interval.low <= 0 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


@pytest.mark.parametrize(("right", "n"), [(0, 30), (30, 30), (0, 1), (4, 4)])
def test_a_share_of_none_or_all_has_an_interval_all_the_same(right, n):
    """Its end is the share at which what was seen has a chance of 2.5 %."""
    found = share_interval(np.r_[np.ones(right), np.zeros(n - right)])
    end = found.low if right else 1 - found.high
    assert end**n == pytest.approx(0.025) and found.estimate == right / n
    assert (found.high if right else found.low) == right / n


def test_a_share_of_some_has_the_bootstrap_interval():
    for some in ([1.0, 0, 0, 0.5], [0.5, 0.5]):
        assert share_interval(np.array(some)) == bootstrap_mean([np.array(some)])
