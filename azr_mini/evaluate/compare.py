"""What several kinds of runs gained on the held-out tasks, with intervals over runs and tasks."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from azr_mini.evaluate.intervals import Interval, crossed_bootstrap
from azr_mini.evaluate.scores import correct_from_json
from azr_mini.runs import Run
from azr_mini.tasks import TaskType

BEFORE, AFTER = 0, 1


def gain_table(groups: Mapping[str, Sequence[Run]], temperature: float = 1.0) -> pd.DataFrame:
    """Held-out gain of each run and of each group's mean, in points, with its 95 % interval.

    groups: runs that differ in nothing but the seed, by name. One row for each run, indexed by
    (group, seed), and one (group, "all"); columns before, after, gain, low, high, and the gain in
    each task type. A run's interval is over tasks, a group's over tasks and runs. temperature: 1
    for the sampled evaluation, 0 for the greedy one. ValueError as for `accuracies`.
    """
    index, rows = [], []  # no dict: two runs may have one seed
    for name, runs in groups.items():
        for seed, some in [*((run.record["config"]["seed"], [run]) for run in runs), ("all", runs)]:
            index.append((name, seed))
            rows.append(_row(accuracies(some, temperature)))
    return pd.DataFrame(rows, pd.MultiIndex.from_tuples(index, names=["runs", "seed"]))


def difference_table(
    groups: Mapping[str, Sequence[Run]], against: str, temperature: float = 1.0
) -> pd.DataFrame:
    """By how many points each other group gained more than the group `against`, paired by task.

    One row for each other group, with the 95 % interval over tasks and runs in low and high: where
    it holds 0, these runs do not tell the groups apart. ValueError as for `accuracies` of them all.
    """
    if against not in groups:
        raise ValueError(f"no group {against!r} to compare with: use one of {', '.join(groups)}")
    accuracies([run for runs in groups.values() for run in runs], temperature)  # or it is refused
    arms = {name: _gains(accuracies(runs, temperature)) for name, runs in groups.items()}
    rows = {
        name: _points("difference", crossed_bootstrap([arm, arms[against]]))
        for name, arm in arms.items()
        if name != against
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(f"less {against}")


def accuracies(runs: Sequence[Run], temperature: float = 1.0) -> dict[TaskType, np.ndarray]:
    """By task type, (n_runs, 2, n_tasks): accuracy over a task's samples before and after training.

    ValueError names a run that was not evaluated at this temperature before and after, or on other
    tasks than the first.
    """
    found = [_before_and_after(run, temperature) for run in runs]
    shapes = [[accuracy.shape for accuracy in by_type.values()] for by_type in found]
    for run, shape in zip(runs, shapes, strict=True):
        if shape != shapes[0]:
            raise ValueError(
                f"{run.folder} was not evaluated on the same tasks as {runs[0].folder}: compare "
                "runs with the same heldout_tasks"
            )
    return {type: np.stack([by_type[type] for by_type in found]) for type in found[0]}


def _before_and_after(run: Run, temperature: float) -> dict[TaskType, np.ndarray]:
    same = [
        record
        for record in run.heldout
        if record["temperature"] == temperature and record["forced"] is None
    ]
    if len(same) < 2:
        raise ValueError(
            f"{run.folder} was not evaluated at temperature {temperature:g} before and after "
            "training: train it to its last step, with heldout_tasks above 0"
        )
    types = [type for type in TaskType if type.value in same[0]["types"]]
    ends = zip(correct_from_json(same[0]), correct_from_json(same[-1]), strict=True)
    accuracy = [np.stack([before.mean(axis=1), after.mean(axis=1)]) for before, after in ends]
    return dict(zip(types, accuracy, strict=True))


def _gains(found: dict[TaskType, np.ndarray]) -> list[np.ndarray]:
    return [values[:, AFTER] - values[:, BEFORE] for values in found.values()]


def _row(found: dict[TaskType, np.ndarray]) -> dict[str, float]:
    ends = {
        name: 100 * float(np.mean([values[:, when].mean() for values in found.values()]))
        for name, when in (("before", BEFORE), ("after", AFTER))
    }
    gains = _gains(found)
    by_type = {type.value: 100 * gain.mean() for type, gain in zip(found, gains, strict=True)}
    return ends | _points("gain", crossed_bootstrap([gains])) | by_type


def _points(name: str, interval: Interval) -> dict[str, float]:
    return {name: 100 * interval.estimate, "low": 100 * interval.low, "high": 100 * interval.high}
