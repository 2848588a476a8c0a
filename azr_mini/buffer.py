"""The buffer of past tasks: what proposers are shown, and what fills a solve batch."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from azr_mini.programs import canonical_program
from azr_mini.tasks import Task, TaskType, Triple, task_from_json


def task_key(task: Task) -> tuple:
    """What two tasks share when one repeats the other: type, program apart from layout, inputs."""
    return (task.type, canonical_program(task.program), *sorted(task.inputs))


class TripleBuffer:
    """At most `cap` different tasks of each type, oldest first; the oldest makes room.

    A task that is already there does not join twice, whether or not its proposer was paid for it.
    """

    def __init__(self, cap: int = 16_384):
        assert cap > 0, cap
        self.cap = cap
        self._tasks: dict[TaskType, list[Task]] = {type: [] for type in TaskType}
        self._keys: dict[TaskType, list[tuple]] = {type: [] for type in TaskType}
        self._known: set[tuple] = set()
        self._programs: dict[TaskType, Counter] = {type: Counter() for type in TaskType}

    def __len__(self) -> int:
        return sum(map(len, self._tasks.values()))

    def __iter__(self) -> Iterator[Task]:
        for type in TaskType:
            yield from self._tasks[type]

    def size(self, type: TaskType) -> int:
        """The number of tasks of a type."""
        return len(self._tasks[type])

    def distinct(self, type: TaskType) -> int:
        """The number of different programs among the tasks of a type."""
        return len(self._programs[type])

    def contains(self, task: Task) -> bool:
        """Whether a task of the same type with the same program and inputs is here."""
        return task_key(task) in self._known

    def add(self, task: Task) -> bool:
        """Whether the task was new and joined; a full buffer forgets its oldest of that type."""
        key = task_key(task)
        if key in self._known:
            return False
        self._tasks[task.type].append(task)
        self._keys[task.type].append(key)
        self._known.add(key)
        self._programs[task.type][key[1]] += 1
        if self.size(task.type) > self.cap:
            self._forget_oldest(task.type)
        return True

    def _forget_oldest(self, type: TaskType) -> None:
        self._tasks[type].pop(0)
        key = self._keys[type].pop(0)
        self._known.remove(key)
        programs = self._programs[type]
        programs[key[1]] -= 1
        if not programs[key[1]]:
            del programs[key[1]]

    def sample_references(self, type: TaskType, num: int, rng: random.Random) -> list[Triple]:
        """Up to `num` different triples of a type, uniformly (paper, section 3.3.1)."""
        tasks = self._tasks[type]
        return [task.triple for task in rng.sample(tasks, min(num, len(tasks)))]

    def sample_program(self, rng: random.Random) -> Triple:
        """A triple from the union of deduction and abduction tasks, to start an induction task."""
        deduction, abduction = self._tasks[TaskType.DEDUCTION], self._tasks[TaskType.ABDUCTION]
        place = rng.randrange(len(deduction) + len(abduction))
        in_first = place < len(deduction)
        return (deduction[place] if in_first else abduction[place - len(deduction)]).triple

    def fill(
        self, type: TaskType, tasks: list[Task], batch_size: int, rng: random.Random
    ) -> list[Task]:
        """Exactly `batch_size` tasks: the given ones first, past ones of the type for the rest."""
        missing = batch_size - len(tasks)
        past = self._tasks[type]
        if missing <= 0:
            return tasks[:batch_size]
        draw = rng.sample if missing <= len(past) else rng.choices  # choices repeats: few seeds
        return tasks + draw(past, k=missing)

    def save(self, path: Path) -> None:
        """Writes one JSON line for each task, oldest first within a type."""
        lines = [json.dumps(task.to_json()) + "\n" for task in self]
        Path(path).write_text("".join(lines), encoding="utf-8")

    @classmethod
    def load(cls, path: Path, cap: int = 16_384) -> "TripleBuffer":
        """The buffer that `save` wrote; ValueError naming the file if it is missing or damaged."""
        buffer = cls(cap)
        try:
            for line in Path(path).read_text(encoding="utf-8").splitlines():
                buffer.add(task_from_json(json.loads(line)))
        except (OSError, ValueError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"[:200]
            raise ValueError(
                f"buffer file {path} cannot be read ({reason}); start a new run or restore the file"
            ) from error
        return buffer
