"""A browser of the tasks in a buffer."""

from collections.abc import Iterable, Mapping

import ipywidgets

from azr_mini.tasks import Task, TaskType
from azr_mini.viz.task_cards import newest_first, task_cards
from azr_mini.viz.widgets.redrawn import WIDE, redrawn, stepping


def buffer_browser(
    tasks: Iterable[Task], joined: Mapping[tuple, int] | None = None, per_page: int = 6
) -> ipywidgets.VBox:
    """The cards of a buffer's tasks, newest first, by type and by a text that they contain.

    joined: what `task_cards.joined_steps` says about the run.
    """
    tasks = list(tasks)
    if strange := [task for task in tasks if not isinstance(task, Task)]:
        raise ValueError(f"{strange[0].__class__.__name__} is no task: give run.buffer")
    tasks = newest_first(tasks)
    type = ipywidgets.Dropdown(
        options=[("all", ""), *((t.value, t) for t in TaskType)], description="type"
    )
    contains = ipywidgets.Text(description="program contains", style=WIDE)
    place = ipywidgets.BoundedIntText(1, 1, 1, description="page number", style=WIDE)

    def chosen() -> list[Task]:
        return [
            task
            for task in tasks
            if type.value in ("", task.type) and contains.value in task.program
        ]

    def page() -> str:
        found, start = chosen(), per_page * (place.value - 1)
        heading = f"page {place.value} of {place.max}: {len(found)} of {len(tasks)} tasks"
        return task_cards(found[start : start + per_page], joined, heading).html

    def start_over(change) -> None:
        place.value, place.max = 1, max(1, -(-len(chosen()) // per_page))

    start_over(None)
    for control in (type, contains):
        control.observe(start_over, names="value")
    rows = [ipywidgets.HBox([type, contains]), stepping(place)]
    return redrawn([type, contains, place], page, rows)
