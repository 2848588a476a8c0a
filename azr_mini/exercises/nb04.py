"""Checks of notebook 04: which task pays most, a disguise, how many attempts, an own price."""

import itertools
import math
from collections.abc import Callable, Sequence

from azr_mini.buffer import task_key
from azr_mini.exercises.answer import Checked, ask
from azr_mini.programs import program_key
from azr_mini.rewards import learnability_reward
from azr_mini.sandbox import Executor, Job
from azr_mini.tasks import Task, TaskType

# Exercise 1: one of them is hard for the nano model and possible.
SIX = (
    Task(TaskType.DEDUCTION, "def f(a):\n    return a[0]", ("[3, 8, 3]",), ("3",)),
    Task(TaskType.DEDUCTION, "def f(a):\n    b = a * 3\n    return b + 1", ("4",), ("13",)),
    Task(
        TaskType.DEDUCTION,
        "def f(a):\n    b = a * 3\n    c = b - 4\n    return c * 2",
        ("7",),
        ("34",),
    ),
    Task(TaskType.DEDUCTION, "def f(a):\n    return a * a * a * a", ("37",), ("1874161",)),
    Task(TaskType.ABDUCTION, "def f(a):\n    return len(a)", ("'abc'",), ("3",)),
    Task(TaskType.ABDUCTION, "def f(a):\n    return sorted(a)", ("[3, 1, 2]",), ("[1, 2, 3]",)),
)

# Exercise 2: seconds, seconds an attempt, tasks, largest standard error.
BUDGETS = (
    (10.0, 0.004, 48, 0.125),
    (10.0, 0.004, 48, 0.15),
    (1.0, 0.004, 48, 0.125),
    (8.0, 0.004, 96, 0.1),
    (60.0, 0.02, 96, 0.1),
    (0.5, 0.1, 1, 0.25),
)

# Exercise 3: the task to disguise, and inputs on which the disguise must agree with it.
TIMES_THREE = Task(
    TaskType.DEDUCTION, "def f(a):\n    b = a * 3\n    return b + 1", ("4",), ("13",)
)
PROBES = ("4", "0", "-7", "10", "123", "-1", "2", "50")

# Exercise 4: 33 solve rates, as 32 attempts give them, and the one that must pay most.
RATES = tuple(k / 32 for k in range(33))
SUMMIT = 0.25


def check_pays_most(answer: int, solve_rates: Sequence[float]) -> Checked:
    """Exercise 1: the number, from 1, of the task in SIX that earns its proposer most."""
    return ask(lambda number: _pays_most(number, solve_rates), answer)


def check_choose_n(answer: Callable[[float, float, int, float], int | None]) -> Checked:
    """Exercise 2: the fewest attempts whose error at p = 1/2 is small enough, None if too dear."""
    return ask(_choose_n, answer)


def check_disguise(answer: str, executor: Executor) -> Checked:
    """Exercise 3: a program that computes the same as TIMES_THREE and is no duplicate of it."""
    return ask(lambda program: _disguise(program, executor), answer)


def check_shape(answer: Callable[[float], float]) -> Checked:
    """Exercise 4: a price of the solve rate, 0 at both ends, 1 at a quarter, straight between."""
    return ask(_shape, answer)


def _pays_most(number: int, solve_rates: Sequence[float]) -> Checked:
    if type(number) is not int or not 1 <= number <= len(SIX):
        return Checked(False, f"answer with a whole number from 1 to {len(SIX)}")
    pays = [learnability_reward(rate) for rate in solve_rates]
    rate, pay = solve_rates[number - 1], pays[number - 1]
    said = f"number {number} was solved in {rate:.0%} of the attempts and pays {pay:.2f}"
    if pay < max(pays):
        return Checked(False, f"{said}; another one pays more")
    return Checked(True, f"{said}: the hardest one that can be done")


def _choose_n(choose: Callable) -> Checked:
    if not callable(choose):
        return Checked(False, "give the function itself")
    if choose(*BUDGETS[0]) in (None, ...):
        raise NotImplementedError
    for budget in BUDGETS:
        said, right = choose(*budget), fewest_attempts(*budget)
        if said is not None and type(said) is not int:
            return Checked(False, f"return a whole number or None, not {said!r:.40}")
        if said != right:
            arguments = ", ".join(map(str, budget))
            return Checked(False, f"choose_n({arguments}) must be {right}, not {said}")
    return Checked(True, f"right for {len(BUDGETS)} budgets, and None where the time is too short")


def fewest_attempts(
    seconds: float, seconds_per_attempt: float, num_tasks: int, max_error: float
) -> int | None:
    """The answer of exercise 2."""
    n = next(n for n in itertools.count(1) if 0.5 / math.sqrt(n) <= max_error + 1e-9)
    return n if n * num_tasks * seconds_per_attempt <= seconds else None


def _disguise(program: str, executor: Executor) -> Checked:
    if not isinstance(program, str):
        return Checked(False, "give the program as a text, in quotes")
    original, disguised = executor.run(
        [Job(TIMES_THREE.program, list(PROBES)), Job(program, list(PROBES))]
    )
    if disguised.status != "ok":
        return Checked(False, f"it is no valid task: {disguised.status} ({disguised.detail})")
    for probe, expected, output in zip(PROBES, original.outputs, disguised.outputs, strict=True):
        if output != expected:
            return Checked(False, f"f({probe}) gives {output}, the original gives {expected}")
    task = Task(TaskType.DEDUCTION, program, TIMES_THREE.inputs, TIMES_THREE.outputs)
    if task_key(task) == task_key(TIMES_THREE):
        return Checked(False, "layout and comments do not count: it is rejected as a duplicate")
    renamed = program_key(program) == program_key(TIMES_THREE.program)
    noticed = "program_key, which numbers the names, would notice" if renamed else (
        "not even program_key, which numbers the names, would notice"
    )  # fmt: skip
    return Checked(True, f"it is paid as if it were new; {noticed}")


def _shape(shape: Callable[[float], float]) -> Checked:
    if not callable(shape):
        return Checked(False, "give the function itself")
    if shape(0.5) in (None, ...):
        raise NotImplementedError
    for rate in RATES:
        said = shape(rate)
        if isinstance(said, bool) or not isinstance(said, int | float):
            return Checked(False, f"return a number, not {said!r:.40}, for solve rate {rate}")
        right = rate / SUMMIT if rate <= SUMMIT else (1 - rate) / (1 - SUMMIT)
        if not abs(said - right) <= 1e-6:
            return Checked(False, f"solve rate {rate} must pay {right:.4f}, not {said:.4f}")
    return Checked(True, f"it pays as asked at all {len(RATES)} solve rates")
