"""The variance of the gradient estimate is what brute force over the samples finds."""

import numpy as np
import pytest

from azr_mini.baseline import best_baseline, gradient_variance


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(30, 7)) + rng.normal(size=7)
    rewards = np.where(gradients[:, 0] + rng.normal(size=30) > 0, 1.0, -0.5)
    return gradients, rewards


@pytest.mark.parametrize("baseline", [-1.0, 0.0, 0.3, 2.0])
def test_the_variance_is_the_trace_of_the_covariance_of_the_estimates(samples, baseline):
    gradients, rewards = samples
    estimates = (rewards - baseline)[:, None] * gradients
    oracle = np.trace(np.cov(estimates, rowvar=False))
    (found,) = gradient_variance(gradients @ gradients.T, rewards, np.array([baseline]))
    assert found == pytest.approx(oracle, rel=1e-10)


def test_each_baseline_gets_its_own_variance(samples):
    gradients, rewards = samples
    dots, baselines = gradients @ gradients.T, np.linspace(-1, 1, 5)
    together = gradient_variance(dots, rewards, baselines)
    apart = [gradient_variance(dots, rewards, np.array([b]))[0] for b in baselines]
    assert together == pytest.approx(apart) and len(set(np.round(together, 6))) == 5


def test_no_other_constant_beats_the_best_baseline(samples):
    gradients, rewards = samples
    dots = gradients @ gradients.T
    best = best_baseline(dots, rewards)
    near = gradient_variance(dots, rewards, best + np.array([0.0, -1e-3, 1e-3, -0.5, 0.5]))
    assert near[0] < near[1:].min()
