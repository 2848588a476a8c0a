"""How often each held-out task was solved before and after training: recorded for notebook 08."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from azr_mini.evaluate.intervals import Interval, bootstrap_mean, crossed_bootstrap, pass_at_k
from azr_mini.resources import data_path
from azr_mini.tasks import TaskType

Counts = dict[TaskType, np.ndarray]  # (n_tasks,) right samples at each task


def load_sharpening(path: Path | None = None) -> dict[str, dict]:
    """The parts of data/sharpening.json by name, which benchmarks/sharpening.py records.

    ValueError that says what to do if the file cannot be read.
    """
    path = path or data_path("sharpening.json")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        for part in record.values():
            part["num_samples"], part["correct"].items()
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{path} cannot be read ({type(error).__name__}): restore it from the repository"
        ) from error
    return record


def counts_of(part: Mapping) -> Counts:
    """Right samples at each task of a part, by task type."""
    return {t: np.array(part["correct"][t.value]) for t in TaskType if t.value in part["correct"]}


def pass_curve(
    parts: Sequence[Mapping], ks: Sequence[int], type: TaskType | None = None
) -> list[Interval]:
    """pass@k for each k, of one part or the mean of several runs, with 95 % intervals.

    Over tasks where there is one part, over runs and tasks where there are more; the mean of the
    task types, or of one.
    """
    arms = [_arm(parts, k, type) for k in ks]
    if len(parts) == 1:
        return [bootstrap_mean([values[0] for values in arm]) for arm in arms]
    return [crossed_bootstrap([arm]) for arm in arms]


def gain_at_k(
    before: Mapping, after: Sequence[Mapping], k: int, type: TaskType | None = None
) -> Interval:
    """pass@k of the runs less that of the base on the same tasks, over runs and tasks."""
    return crossed_bootstrap([_arm(after, k, type), _arm([before], k, type)])


def _arm(parts: Sequence[Mapping], k: int, type: TaskType | None) -> list[np.ndarray]:
    """pass@k of each run at each task, (n_runs, n_tasks), of every task type or of one."""
    types = [type] if type else [*counts_of(parts[0])]
    return [
        np.stack([pass_at_k(part["num_samples"], counts_of(part)[t], k) for part in parts])
        for t in types
    ]


def solved_moves(before: Mapping, after: Mapping) -> pd.DataFrame:
    """How many tasks were never or sometimes solved before and after: what was gained and lost.

    One row a task type; columns "never, now sometimes", "sometimes, now never", "both", "neither".
    """
    rows = {}
    for t, old in counts_of(before).items():
        was, now = old > 0, counts_of(after)[t] > 0
        rows[t.value] = {
            "never, now sometimes": int((~was & now).sum()),
            "sometimes, now never": int((was & ~now).sum()),
            "both": int((was & now).sum()),
            "neither": int((~was & ~now).sum()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def transfer_table(base: Mapping, trained: Mapping[str, Sequence[Mapping]]) -> pd.DataFrame:
    """Points gained in each task type (columns) by training in one (rows), over runs and tasks.

    trained: by the name of a row, its runs. Each cell is (gain, low, high).
    """
    rows = {}
    for name, parts in trained.items():
        cells = {t.value: gain_at_k(base, parts, 1, t) for t in counts_of(base)}
        rows[name] = {
            t: (100 * gain.estimate, 100 * gain.low, 100 * gain.high) for t, gain in cells.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index")
