"""The out-of-distribution set: tasks of the second grammar, their outputs from the executor."""

import random
from collections.abc import Iterator
from pathlib import Path

from azr_mini.nano.corpus import NUM_INDUCTION_INPUTS
from azr_mini.nano.grammar import FAILURES, check_range
from azr_mini.nano.heldout import write_tasks
from azr_mini.nano.second_grammar import Drawn, draw_argument, draw_second
from azr_mini.programs import program_key
from azr_mini.sandbox import Executor, Job
from azr_mini.tasks import Task, TaskType
from azr_mini.values import canonical, parse_value

SIZES = {  # statements, weights of 1, 2, 3
    TaskType.DEDUCTION: (0.4, 0.4, 0.2),
    TaskType.ABDUCTION: (0.5, 0.5),
    TaskType.INDUCTION: (0.7, 0.3),
}
CANDIDATES = 200  # run at once


def draw_ood(seed: int, tasks_per_type: int, executor: Executor) -> list[Task]:
    """Tasks of each type from the second grammar, no two with the same program up to names."""
    rng = random.Random(f"ood/{seed}")
    taken: set[str] = set()
    tasks: list[Task] = []
    for type in TaskType:
        candidates = _candidates(rng, type, taken, executor)
        tasks += [next(candidates) for _ in range(tasks_per_type)]
    return tasks


def _candidates(
    rng: random.Random, type: TaskType, taken: set[str], executor: Executor
) -> Iterator[Task]:
    """Endless tasks of a type whose programs run well and are new; those given join the taken."""
    sizes = SIZES[type]
    while True:
        drawn = [
            draw_second(rng, rng.choices(range(1, len(sizes) + 1), sizes)[0])
            for _ in range(CANDIDATES)
        ]
        jobs = [Job(program.source, _inputs(rng, type, program)) for program in drawn]
        for program, job, result in zip(drawn, jobs, executor.run(jobs), strict=True):
            key = program_key(program.source)
            if key not in taken and result.status == "ok" and _is_small(type, result.outputs):
                taken.add(key)
                yield _task(type, program, job.inputs, result.outputs)


def _inputs(rng: random.Random, type: TaskType, program: Drawn) -> list[str]:
    wanted = NUM_INDUCTION_INPUTS if type is TaskType.INDUCTION else 1
    inputs: dict[str, None] = {}
    while len(inputs) < wanted:
        inputs[canonical(draw_argument(rng, program))] = None
    return list(inputs)


def _is_small(type: TaskType, outputs: list[str]) -> bool:
    """Whether the nano model could write these outputs; in induction they also differ."""
    try:
        for output in outputs:
            check_range(parse_value(output))
    except FAILURES:
        return False
    return type is not TaskType.INDUCTION or len(set(outputs)) > 1


def _task(type: TaskType, program: Drawn, inputs: list[str], outputs: list[str]) -> Task:
    message, visible = None, 0
    if type is TaskType.INDUCTION:
        message, visible = " ".join(program.words), len(inputs) // 2
    return Task(type, program.source, tuple(inputs), tuple(outputs), message, visible)


def write_ood(path: Path, executor: Executor, seed: int = 2026, tasks_per_type: int = 300) -> str:
    """Writes the set as JSON lines, with its sha256 in a file beside it; returns the sha256."""
    return write_tasks(path, draw_ood(seed, tasks_per_type, executor))
