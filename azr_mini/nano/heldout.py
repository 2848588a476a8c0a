"""The held-out set: nano tasks whose programs neither the corpus nor the buffer contains."""

import hashlib
import json
import random
from pathlib import Path

from azr_mini.nano.corpus import (
    Recipe,
    argument_text,
    draw_induction_task,
    draw_program,
    draw_run,
)
from azr_mini.programs import program_key
from azr_mini.tasks import Task, TaskType
from azr_mini.values import canonical

SIZES = {  # weights of 1, 2, 3, ... operations
    TaskType.DEDUCTION: (0.0, 0.3, 0.3, 0.25, 0.15),
    TaskType.ABDUCTION: (0.0, 0.4, 0.35, 0.25),
    TaskType.INDUCTION: (0.0, 0.6, 0.4),
}


def draw_heldout(seed: int, tasks_per_type: int) -> list[Task]:
    """Tasks of each type, no two with the same program up to names."""
    rng = random.Random(f"heldout/{seed}")
    taken: set[str] = set()
    tasks: list[Task] = []
    for type, sizes in SIZES.items():
        found = 0
        while found < tasks_per_type:
            program = draw_program(rng, Recipe(operations=sizes), frozenset())
            key = program_key(program.source)
            task = None if key in taken else _draw_task(rng, type, program)
            if task is not None:
                taken.add(key)
                tasks.append(task)
                found += 1
    return tasks


def _draw_task(rng: random.Random, type: TaskType, program) -> Task | None:
    if type is TaskType.INDUCTION:
        return draw_induction_task(rng, program)
    run = draw_run(rng, program)
    if run is None:
        return None
    return Task(type, program.source, (argument_text(run[0]),), (canonical(run[1]),))


def write_heldout(path: Path, seed: int = 2026, tasks_per_type: int = 1000) -> str:
    """Writes the set as JSON lines, with its sha256 in a file beside it; returns the sha256."""
    return write_tasks(path, draw_heldout(seed, tasks_per_type))


def write_tasks(path: Path, tasks: list[Task]) -> str:
    """Writes tasks as JSON lines, with their sha256 in a file beside; returns the sha256."""
    lines = [json.dumps(task.to_json()) for task in tasks]
    text = "\n".join(lines) + "\n"
    path.write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    path.with_suffix(".sha256").write_text(f"{digest}  {path.name}\n", encoding="utf-8")
    return digest
