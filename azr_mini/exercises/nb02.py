"""Checks of notebook 02: answers that try to cheat, a grader of abduction, a program by rote."""

from collections.abc import Callable
from dataclasses import dataclass

from azr_mini.exercises.answer import Checked
from azr_mini.sandbox import Executor, Job
from azr_mini.tasks import Task, TaskType
from azr_mini.validate import grade

SQUARE, SORT = "def f(a):\n    return a * a", "def f(a):\n    return sorted(a)"
SEVEN = Task(TaskType.DEDUCTION, SQUARE, ("7",), ("49",))
ONE = Task(TaskType.DEDUCTION, SQUARE, ("1",), ("1",))
ROOT_OF_49 = Task(TaskType.ABDUCTION, SQUARE, ("7",), ("49",))
ROOT_OF_1 = Task(TaskType.ABDUCTION, SQUARE, ("1",), ("1",))
UNSORTED = Task(TaskType.ABDUCTION, SORT, ("[3, 1, 2]",), ("[1, 2, 3]",))
SORTING = Task(
    TaskType.INDUCTION,
    SORT,
    ("[3, 1, 2]", "[9, 7]", "[2, 2, 1]", "[1, 2]", "[5, 4, 6, 0]", "[]"),
    ("[1, 2, 3]", "[7, 9]", "[1, 2, 2]", "[1, 2]", "[0, 4, 5, 6]", "[]"),
    message="sort",
    num_visible=3,
)
ALWAYS_EQUAL = "type('Yes', (), {'__eq__': lambda self, other: True})()"


@dataclass(frozen=True)
class Suspect:
    """An answer to a task, whether it passes, and why."""

    task: Task
    answer: str
    passes: bool
    why: str


SUSPECTS = (
    Suspect(SEVEN, "7*7", False, "a calculation is not a literal, and nothing evaluates it"),
    Suspect(SEVEN, "0x31", True, "it is a literal of the same int; spelling does not count"),
    Suspect(SEVEN, "49.0", False, "a float is not the int that Python returned"),
    Suspect(ONE, "True", False, "a bool is not the int that Python returned"),
    Suspect(ONE, ALWAYS_EQUAL, False, "it is no literal, so the object is never made"),
    Suspect(ROOT_OF_49, "-7", True, "it was run, and the program returns 49 for it"),
    Suspect(ROOT_OF_49, "7.0", False, "it was run, and the program returns the float 49.0"),
    Suspect(ROOT_OF_49, "0) or (49", False, "it is not the arguments of one call"),
    Suspect(ROOT_OF_1, "True", True, "it was run, and True * True is the int 1"),
    Suspect(ROOT_OF_1, "", False, "it was run, and f() lacks an argument"),
    Suspect(
        SORTING,
        f"def f(a):\n    return {ALWAYS_EQUAL}",
        False,
        "only plain values count as outputs, and text is compared, not objects",
    ),
    Suspect(SORTING, "def f(x):\n    x.sort()\n    return x", True, "it is right on hidden pairs"),
)

GRADED = (  # what a grader of abduction has to say
    (UNSORTED, "[3, 1, 2]", True),
    (UNSORTED, "[2, 3, 1]", True),
    (UNSORTED, " (3,1,2)", True),
    (ROOT_OF_49, "-7", True),
    (ROOT_OF_1, "True", True),
    (UNSORTED, "[3, 3, 1]", False),
    (UNSORTED, "[3, True, 2]", False),
    (UNSORTED, "['a', 1, 2]", False),
    (ROOT_OF_49, "7.0", False),
    (ROOT_OF_49, "5 + 2", False),
    (ROOT_OF_49, "0) or (49", False),
    (ROOT_OF_49, f"0) or ({ALWAYS_EQUAL}", False),
    (ROOT_OF_1, "", False),
)


def check_suspects(answer: object) -> Checked:
    """Whether a set of numbers names exactly the suspects, counted from 1, that pass."""
    if not isinstance(answer, set | frozenset | list | tuple):
        return Checked(False, "answer with a set of numbers, such as {1, 2}")
    for number, suspect in enumerate(SUSPECTS, start=1):
        if (number in answer) != suspect.passes:
            verdict = "passes" if suspect.passes else "does not pass"
            return Checked(False, f"number {number} {verdict}: {suspect.why}")
    if strangers := set(answer) - set(range(1, len(SUSPECTS) + 1)):
        return Checked(False, f"there is no number {strangers.pop()!r}")
    return Checked(True, "only what is right when it is run, or is the same value, gets through")


def check_abduction_grader(answer: Callable[[Task, str], bool]) -> Checked:
    """Whether a function of a task and an answer's text is True for the right ones and no other."""
    if not callable(answer):
        return Checked(False, "answer with a function of a task and a text")
    said = [answer(task, text) for task, text, _ in GRADED]
    if all(verdict is None or verdict is ... for verdict in said):
        return Checked(None, "write the body of the function and run the cell again")
    for (task, text, right), verdict in zip(GRADED, said, strict=True):
        given = f"{text!r} for the output {task.outputs[0]} of {task.program!r}"
        if not isinstance(verdict, bool):
            return Checked(False, f"return True or False, not {verdict!r:.60}, for {given}")
        if verdict != right:
            return Checked(False, f"{given} is {'right' if right else 'not right'}")
    return Checked(True, f"all {len(GRADED)} answers get the verdict that they deserve")


def check_rote(answer: object, executor: Executor) -> Checked:
    """Whether a program's text is right on all visible pairs of `SORTING` and fails it even so."""
    if not isinstance(answer, str):
        return Checked(False, "answer with the text of a program, in quotes")
    shown = SORTING.num_visible
    (result,) = executor.run([Job(answer, list(SORTING.inputs[:shown]))])
    if result.status != "ok":
        return Checked(False, f"on the visible pairs it ends with {result.status}: {result.detail}")
    for text, output, expected in zip(
        SORTING.inputs[:shown], result.outputs, SORTING.outputs[:shown], strict=True
    ):
        if output != expected:
            return Checked(False, f"f({text}) gives {output}, and the visible pair says {expected}")
    (verdict,) = grade([SORTING], [answer], executor)
    if verdict.correct:
        return Checked(False, "it is right on the hidden pairs too, so it earns its reward")
    return Checked(True, f"it knows every pair it saw, and the hidden ones say: {verdict.status}")
