"""The figure of the baseline: how it shifts the pulls, and how noisy the gradient then is."""

import numpy as np
from matplotlib.figure import Figure

from azr_mini.baseline import best_baseline, gradient_variance
from azr_mini.viz.style import DOWN_COLOUR, PANEL, UP_COLOUR, panels


def baseline_range(gradient_dots: np.ndarray, rewards: np.ndarray) -> tuple[float, float]:
    """From below the lowest reward or best baseline to above the highest."""
    _check(np.asarray(gradient_dots, dtype=float), np.asarray(rewards, dtype=float))
    marks = [*np.asarray(rewards, dtype=float), best_baseline(gradient_dots, rewards), 0.0]
    room = 0.25 * max(max(marks) - min(marks), 0.1)
    return min(marks) - room, max(marks) + room


def gradient_noise(gradient_dots: np.ndarray, rewards: np.ndarray, baseline: float = 0.0) -> Figure:
    """What each sample is pulled with, and the gradient's variance, at one baseline.

    gradient_dots: (N, N) dot products of the samples' gradients. rewards: (N,).
    """
    rewards = np.asarray(rewards, dtype=float)
    low, high = baseline_range(gradient_dots, rewards)
    best, mean = best_baseline(gradient_dots, rewards), float(rewards.mean())
    without, chosen = gradient_variance(gradient_dots, rewards, np.array([0.0, baseline]))
    title = f"Baseline {baseline:+.2f} leaves {chosen / without:.0%} of the gradient's variance"
    figure, ((pulls, noise),) = panels(title, 1, 2)
    figure.set_size_inches(PANEL[0] * 2.7, PANEL[1] * 1.5)
    values, counts = np.unique(np.round(rewards - baseline, 6), return_counts=True)
    width = 0.06 * (high - low)
    drawn = pulls.bar(
        values, counts, width, color=[UP_COLOUR if v > 0 else DOWN_COLOUR for v in values]
    )
    pulls.bar_label(drawn, ["▲" if v > 0 else "▼" if v < 0 else "•" for v in values])
    pulls.axvline(0, color="#888888", linewidth=0.8)
    pulls.set(title="▲ made likelier, ▼ made less likely", ylabel="samples")
    pulls.set_xlabel("reward - baseline")
    pulls.set_xlim(rewards.min() - high, rewards.max() - low)  # the same for every baseline
    pulls.margins(y=0.12)
    grid = np.linspace(low, high, 200)
    curve = gradient_variance(gradient_dots, rewards, grid) / without
    noise.plot(grid, curve, color="#333333")
    marks = {"no baseline": (0.0, "s"), "mean reward": (mean, "D"), "best": (best, "^")}
    for name, (place, marker) in marks.items():
        height = gradient_variance(gradient_dots, rewards, np.array([place]))[0] / without
        noise.plot(place, height, marker, color="#7F7F7F", markersize=7, label=name)
    noise.plot(baseline, chosen / without, "o", color="#CC79A7", markersize=11, label="chosen")
    noise.axvline(baseline, color="#CC79A7", linewidth=1)
    noise.set(title="variance, against no baseline", xlabel="baseline", xlim=(low, high))
    noise.set_ylim(0, 1.1 * max(curve.max(), 1.0))
    noise.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    noise.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _check(dots: np.ndarray, rewards: np.ndarray) -> None:
    """ValueError, saying what to give, if these are no samples with gradients."""
    if rewards.ndim != 1 or dots.shape != (len(rewards), len(rewards)) or len(rewards) < 2:
        raise ValueError(
            f"gradient_dots has the shape {dots.shape} and rewards {rewards.shape}: give (N, N) "
            "dot products and N rewards, for at least 2 samples"
        )
    if not (np.isfinite(dots).all() and np.isfinite(rewards).all()):
        raise ValueError("a dot product or a reward is not finite: leave that sample out")
    if not np.diag(dots).any():
        raise ValueError("all gradients are zero: take those of the log-probabilities")
