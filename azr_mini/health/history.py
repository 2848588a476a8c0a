"""The metrics of a run as the rules see them, in windows: one number a step, NaN if unknown.

At step t a measure looks at the first `HEAD` steps and at the last `TAIL` up to t, at no other.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from azr_mini.config import Config

WINDOW = 10  # steps that a measure looks back on, so that one odd step does not count
FIRST = 5  # steps that stand for how the run began
WARM_UP = (10, 20)  # steps whose level memory is compared with: before, caches still fill
SLOPE = 20  # steps over which memory may grow only so much
HEAD, TAIL = 20, 30  # no measure needs more than so many first and so many last steps

Measured = dict[str, np.ndarray]  # by place, such as "solve/induction": (N,) numbers, one a step


@dataclass(frozen=True)
class History:
    """What the measures read; every column has one number a step, NaN where it is missing."""

    columns: dict[str, np.ndarray]  # by metric key, each (N,)
    config: Config | None = None
    heldout_gains: dict[str, float] = field(default_factory=dict)  # accuracy gained so far, by type

    def one(self, key: str) -> Measured:
        """The column of that name under the place "", the whole run; empty if there is none."""
        return {"": self.columns[key]} if key in self.columns else {}

    def at(self, prefix: str, suffix: str = "", role: str = "") -> Measured:
        """The columns named prefix + middle + suffix, by role + middle."""
        return {
            role + key[len(prefix) : len(key) - len(suffix)]: values
            for key, values in self.columns.items()
            if key.startswith(prefix) and key.endswith(suffix)
        }


def recent(values: np.ndarray, window: int = WINDOW, of: Callable = np.mean) -> np.ndarray:
    """The mean of the last `window` steps at each step; NaN before, or if half of them is missing.

    of: np.median where a single step may be far off. (N,) to (N,).
    """
    found = np.full(len(values), np.nan)
    if len(values) >= window:
        views = np.lib.stride_tricks.sliding_window_view(values, window)
        ends = found[window - 1 :]
        ends[:] = of(views, axis=1)
        for row in np.flatnonzero(np.isnan(ends)):  # those with a missing number
            known = views[row][np.isfinite(views[row])]
            if 2 * len(known) > window:
                ends[row] = of(known)
    return found


def against_first(
    values: np.ndarray, window: int = WINDOW, of: Callable = np.mean, skip: int = 0
) -> np.ndarray:
    """How many times its level of the first steps (without the first `skip`) a metric has now."""
    began = values[skip : skip + FIRST]
    began = began[np.isfinite(began)]
    level = of(began) if len(began) else 0.0
    return recent(values, window, of) / level if level > 0 else np.full(len(values), np.nan)


def earlier(values: np.ndarray, steps: int) -> np.ndarray:
    """The value of so many steps before, NaN at the first ones; (N,) to (N,)."""
    return np.concatenate([np.full(min(steps, len(values)), np.nan), values[:-steps]])


def share(history: History, prefix: str, suffix: str = "", role: str = "") -> Measured:
    """The mean of the last steps of every such metric."""
    return {place: recent(values) for place, values in history.at(prefix, suffix, role).items()}


def ratio(history: History, prefix: str, suffix: str = "") -> Measured:
    """The mean of the last steps of every such metric against its first steps."""
    found = history.at(prefix, suffix)
    return {place: against_first(values) for place, values in found.items()}
