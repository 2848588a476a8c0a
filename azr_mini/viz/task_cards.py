"""Tasks of a buffer as small cards: program, inputs, outputs by Python, when they joined."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

from azr_mini.buffer import task_key
from azr_mini.reading import printable
from azr_mini.runs import Run
from azr_mini.tasks import Role, Task, TaskType, task_from_json
from azr_mini.viz.cards import FRAME, INK, Card, line, said
from azr_mini.viz.style import COLOURS

GRID = "display: grid; gap: 6px; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr));"


def joined_steps(run: Run) -> dict[tuple, int]:
    """The step in which each task of a run was proposed first, by `buffer.task_key`."""
    steps: dict[tuple, int] = {}
    for record in run.rollouts:
        if record["role"] == Role.PROPOSE.value and record["task"]:
            steps.setdefault(task_key(task_from_json(record["task"])), record["step"])
    return steps


def newest_first(tasks: Iterable[Task]) -> list[Task]:
    """The tasks of a buffer from new to old, the three types by turns."""
    tasks = list(tasks)
    by_type = [[task for task in reversed(tasks) if task.type is type] for type in TaskType]
    return [task for row in itertools.zip_longest(*by_type) for task in row if task is not None]


def task_cards(
    tasks: Sequence[Task], joined: Mapping[tuple, int] | None = None, heading: str = ""
) -> Card:
    """The tasks as small cards: program, inputs, outputs by Python, message, when each joined.

    joined: what `joined_steps` says; a task that it does not know was there from the start.
    """
    cards = "".join(_card(task, _when(task, joined)) for task in tasks)
    page = f'<div style="{INK}">{line(heading)}<div style="{GRID}">{cards}</div></div>'
    texts = [f"{task.type.value}{_when(task, joined)}\n{_text(task)}" for task in tasks]
    return Card(page, printable("\n\n".join(filter(None, [heading, *texts]))))


def _when(task: Task, joined: Mapping[tuple, int] | None) -> str:
    if joined is None:
        return ""
    step = joined.get(task_key(task))
    return ", there from the start" if step is None else f", joined in step {step}"


def _text(task: Task) -> str:
    lines = [task.program]
    for place, (given, output) in enumerate(zip(task.inputs, task.outputs, strict=True)):
        hidden = " *" if task.num_visible and place >= task.num_visible else ""
        lines.append(f"f({given}) -> {output}{hidden}")
    lines += [f"message: {task.message}"] if task.message else []
    return "\n".join(lines + (["* hidden from the solver"] if task.num_visible else []))


def _card(task: Task, when: str) -> str:
    style = f"{FRAME} border-left: 5px solid {COLOURS[task.type]}; overflow: hidden;"
    return f'<div style="{style}">{said(f"<b>{task.type.value}</b>{when}", _text(task))}</div>'
