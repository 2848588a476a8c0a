"""How a constant baseline changes the noise of the REINFORCE gradient, and not its direction."""

import numpy as np


def gradient_variance(
    gradient_dots: np.ndarray, rewards: np.ndarray, baselines: np.ndarray
) -> np.ndarray:
    """The variance of (reward - b) * gradient over samples, for each baseline b: (B,).

    gradient_dots: (N, N) dot products of the samples' gradients of their log-probability. The
    variance is the trace of the unbiased covariance; a mean over N samples has an Nth of it.
    """
    dots = np.asarray(gradient_dots, dtype=float)
    num = len(dots)
    pulls = np.asarray(rewards, dtype=float) - np.atleast_1d(baselines).astype(float)[:, None]
    own = pulls**2 @ np.diag(dots)  # (B,) sums of squared lengths
    of_the_sum = np.einsum("bi,ij,bj->b", pulls, dots, pulls)
    return (own - of_the_sum / num) / (num - 1)


def best_baseline(gradient_dots: np.ndarray, rewards: np.ndarray) -> float:
    """The constant with the smallest variance (Weaver and Tao 2001): a parabola has one."""
    dots, rewards = np.asarray(gradient_dots, dtype=float), np.asarray(rewards, dtype=float)
    centred = np.diag(np.diag(dots)) - dots / len(dots)  # variance is a form in it
    return float(rewards @ centred.sum(axis=1) / centred.sum())
