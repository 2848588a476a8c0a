"""What a health rule is: a disease that a metric shows, from which value on, why, what to do."""

from collections.abc import Callable
from dataclasses import dataclass

from azr_mini.health.history import History, Measured


@dataclass(frozen=True)
class Rule:
    """Fires at a place where its measure reaches the threshold: from above, or from below.

    The recorded healthy runs are those of `benchmarks/learning.py` with true rewards: 60 steps of
    the nano preset with three seeds, and with a frozen proposer.
    """

    name: str
    measure: Callable[[History], Measured]
    threshold: float
    healthy: float | None  # the nearest that a recorded healthy run came; a test derives it again
    why: str  # this threshold
    sentence: str  # may hold {share}, {value}, {steps}, {slope}, {place}, {role}, {type}
    advice: str  # the same
    below: bool = False
