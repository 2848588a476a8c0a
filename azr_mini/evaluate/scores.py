"""What an evaluation found: the attempts at each task, their accuracy, pass@k and intervals."""

from dataclasses import dataclass

import numpy as np

from azr_mini.evaluate.intervals import Interval, bootstrap_mean, paired_bootstrap, pass_at_k
from azr_mini.tasks import TaskType


@dataclass(frozen=True)
class Attempts:
    """What came of k samples at each of the n tasks of one type. Every array is (n, k)."""

    correct: np.ndarray  # bool
    thinks: np.ndarray  # bool: the completion has a think part that is not empty
    truncated: np.ndarray  # bool
    lengths: np.ndarray  # int: generated tokens, the end-of-sequence token included


@dataclass(frozen=True)
class Scores:
    """A held-out evaluation: how it sampled, and the attempts by task type."""

    temperature: float
    num_samples: int
    forced: str | None
    attempts: dict[TaskType, Attempts]

    def accuracy(self, type: TaskType | None = None) -> Interval:
        """The accuracy in a type, or its mean over the types, with a 95 % bootstrap interval."""
        types = self.attempts if type is None else [type]
        return bootstrap_mean([self.attempts[t].correct.mean(axis=1) for t in types])

    def pass_at(self, k: int, type: TaskType | None = None) -> Interval:
        """pass@k, unbiased, with a 95 % bootstrap interval over tasks."""
        types = self.attempts if type is None else [type]
        counts = [self.attempts[t].correct.sum(axis=1) for t in types]
        return bootstrap_mean([pass_at_k(self.num_samples, count, k) for count in counts])

    def correct(self) -> list[np.ndarray]:
        """One (n_tasks, n_samples) array for each type, in the order of `TaskType`."""
        return [self.attempts[type].correct for type in TaskType if type in self.attempts]

    def to_json(self) -> dict:
        """A dict of plain JSON values; `scores_from_json` reads it back."""
        types = {
            type.value: {
                "correct": ["".join(map(str, row.astype(int))) for row in a.correct],
                "accuracy": float(a.correct.mean()),
                "thinking_share": float(a.thinks.mean()),
                "truncated_share": float(a.truncated.mean()),
                "mean_length": float(a.lengths.mean()),
            }
            for type, a in self.attempts.items()
        }
        return {
            "temperature": self.temperature,
            "num_samples": self.num_samples,
            "forced": self.forced,
            "types": types,
        }


@dataclass(frozen=True)
class Gain:
    """Accuracy before and after on the same tasks, and the paired interval of the difference."""

    name: str
    before: float
    after: float
    gain: Interval


def gains(before: dict, after: dict) -> list[Gain]:
    """The gain in each type and in their mean, of two records that `Scores.to_json` wrote."""
    names = [type.value for type in TaskType if type.value in before["types"]]
    old, new = correct_from_json(before), correct_from_json(after)
    rows = [([o], [n]) for o, n in zip(old, new, strict=True)]
    if len(names) > 1:
        names.append("mean")
        rows.append((old, new))
    return [
        Gain(name, _accuracy(o), _accuracy(n), paired_bootstrap(o, n))
        for name, (o, n) in zip(names, rows, strict=True)
    ]


def _accuracy(groups: list[np.ndarray]) -> float:
    return float(np.mean([np.mean(correct) for correct in groups]))


def correct_from_json(record: dict) -> list[np.ndarray]:
    """`Scores.correct()` of the record that `to_json` wrote: what a paired comparison needs."""
    by_type = [record["types"][t.value] for t in TaskType if t.value in record["types"]]
    return [np.array([[c == "1" for c in row] for row in r["correct"]]) for r in by_type]
