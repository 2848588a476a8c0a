"""What is said while a run trains: a line about each step, and the time that is left."""

import statistics
import time
from collections import deque

from azr_mini.tasks import TaskType

STEPS_BEFORE_ETA = 3


def step_line(step, num_steps: int) -> str:
    """One line about one step: solve rates, valid rates, rewards, lengths, time."""
    metrics = step.metrics

    def mean(key: str) -> float:
        values = [metrics[k] for t in TaskType if (k := key.format(t.value)) in metrics]
        return sum(values) / len(values) if values else float("nan")

    solved = " ".join(
        f"{t.value[:3]} {metrics.get(f'solve_rate/{t.value}', float('nan')):4.0%}" for t in TaskType
    )
    seconds = sum(value for key, value in metrics.items() if key.startswith("time/"))
    return (
        f"step {step.step + 1:>4}/{num_steps}  solved {solved}  valid {mean('valid_rate/{}'):4.0%}"
        f"  reward {mean('reward/solve/{}'):+.2f}"
        f"  thinks {mean('thinking_share/solve/{}'):4.0%}"
        f"  tokens {mean('completion_length/solve/{}/mean'):3.0f}  {seconds:4.1f} s"
    )


def duration(seconds: float) -> str:
    """A time for people: 45 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Pace:
    """How long steps take, from the median of the last ten."""

    def __init__(self):
        self._times: deque[float] = deque(maxlen=10)
        self._began = time.perf_counter()

    def eta(self, steps_left: int) -> str:
        """To be called after each step: "ETA 12 min", or "" after few steps and the last."""
        now = time.perf_counter()
        self._times.append(now - self._began)
        self._began = now
        if len(self._times) < STEPS_BEFORE_ETA or not steps_left:
            return ""
        return f"ETA {duration(statistics.median(self._times) * steps_left)}"
