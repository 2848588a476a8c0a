"""How sure a measured accuracy is: bootstrap intervals over tasks and runs, unbiased pass@k."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its confidence interval."""

    estimate: float
    low: float
    high: float


def bootstrap_mean(
    groups: Sequence[np.ndarray], level: float = 0.95, num_resamples: int = 10_000, seed: int = 0
) -> Interval:
    """The mean over groups of each group's mean, with its percentile bootstrap interval.

    groups: one (n_tasks,) array of values per task type. Tasks are drawn again with replacement
    inside their group, so every type keeps its weight.
    """
    assert groups and all(len(values) for values in groups), [len(values) for values in groups]
    rng = np.random.default_rng(seed)
    resampled = np.zeros(num_resamples)
    for values in groups:
        resampled += _resampled_means(np.asarray(values, dtype=float), num_resamples, rng)
    tail = (1 - level) / 2
    low, high = np.quantile(resampled / len(groups), [tail, 1 - tail])
    estimate = float(np.mean([np.mean(values) for values in groups]))
    return Interval(estimate, float(low), float(high))


def share_interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """The mean of values from 0 to 1 with its bootstrap interval.

    Where all are 0, or all 1, no resample could differ: the end that faces the other values is then
    the exact one of a binomial share (Clopper and Pearson 1934). None of 30 is 0 to 11.6 %.
    """
    found, edge = bootstrap_mean([values], level), ((1 - level) / 2) ** (1 / len(values))
    if not np.any(values):
        return Interval(found.estimate, 0.0, 1 - edge)
    return Interval(found.estimate, edge, 1.0) if np.all(values == 1) else found


def paired_bootstrap(
    before: Sequence[np.ndarray],
    after: Sequence[np.ndarray],
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """The gain in accuracy from before to after on the same tasks, with its bootstrap interval.

    before, after: one (n_tasks, n_samples) array of 0 and 1 per task type, rows in the same order.
    The task is the unit that is drawn again: its samples, before and after, stay together.
    """
    gains = []
    for old, new in zip(before, after, strict=True):
        assert len(old) == len(new), (len(old), len(new))
        gains.append(np.mean(new, axis=1) - np.mean(old, axis=1))
    return bootstrap_mean(gains, level, num_resamples, seed)


def crossed_bootstrap(
    arms: Sequence[Sequence[np.ndarray]],
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """The mean of one arm, or of the first arm less the second, when runs and tasks vary.

    arms: one or two, each with one (n_runs, n_tasks) array per task type. The runs of each arm are
    drawn again with replacement, and so are the tasks, which the arms share; with one run in each
    arm it is `bootstrap_mean`. Few runs show too little of how runs vary: with three of them that
    part of the interval is by a fifth too narrow.
    """
    rng, signs = np.random.default_rng(seed), (1, -1)[: len(arms)]
    runs = [_drawn_shares(len(arm[0]), num_resamples, rng) for arm in arms]
    resampled, estimate = np.zeros(num_resamples), 0.0
    for of_type in zip(*arms, strict=True):
        (num_tasks,) = {values.shape[1] for values in of_type}
        tasks = _drawn_shares(num_tasks, num_resamples, rng)
        for sign, shares, values in zip(signs, runs, of_type, strict=True):
            resampled += sign * ((shares @ values) * tasks).sum(axis=1)
            estimate += sign * np.mean(values)
    num_types, tail = len(arms[0]), (1 - level) / 2
    low, high = np.quantile(resampled / num_types, [tail, 1 - tail])
    return Interval(float(estimate / num_types), float(low), float(high))


def pass_at_k(num_samples: int, num_correct: np.ndarray, k: int) -> np.ndarray:
    """The chance that at least one of k samples is right, unbiased, for each task.

    num_correct: (n_tasks,) right ones among `num_samples`; returns (n_tasks,). It is one minus the
    share of k-subsets without a right sample (Chen et al. 2021, section 2.1).
    """
    assert 1 <= k <= num_samples, (k, num_samples)
    num_correct = np.asarray(num_correct)
    num_wrong = num_samples - num_correct
    drawn = np.arange(k)  # the i-th draw is wrong with chance (wrong - i) / (samples - i)
    all_wrong = np.clip(num_wrong[:, None] - drawn, 0, None) / (num_samples - drawn)
    return 1 - np.prod(all_wrong, axis=1)


def _drawn_shares(number: int, num_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """(num_resamples, number): the share of each in `number` draws with replacement."""
    drawn = rng.integers(number, size=(num_resamples, number))
    drawn += number * np.arange(num_resamples)[:, None]  # each resample counts in its own row
    counts = np.bincount(drawn.ravel(), minlength=num_resamples * number)
    return counts.reshape(num_resamples, number) / number


def _resampled_means(
    values: np.ndarray, num_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    means = np.empty(num_resamples)
    block = max(1, 2_000_000 // len(values))  # bounds memory to some 30 MB
    for start in range(0, num_resamples, block):
        stop = min(start + block, num_resamples)
        drawn = rng.integers(len(values), size=(stop - start, len(values)))
        means[start:stop] = values[drawn].mean(axis=1)
    return means
