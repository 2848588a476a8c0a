"""Checks of notebook 00: what improves, who wrote the exam, what a question was worth."""

import math

from azr_mini.exercises.answer import Checked, ask
from azr_mini.tasks import Role, Task, TaskType


def check_prediction(answer, gains: dict[str, float]) -> Checked:
    """Whether the reader named the task type with the largest gain; gains: by type, in points."""

    def check(answer) -> Checked:
        names = [type.value for type in TaskType]
        if answer not in names:
            return Checked(False, f"write one of {', '.join(map(repr, names))}")
        best = max(gains, key=gains.get)
        found = ", ".join(f"{name} {gains[name]:+.1f}" for name in gains)
        return Checked(answer == best, f"{best} gained most in this run ({found} points)")

    return ask(check, answer)


def check_first_tasks(answer, buffer: list[Task], seed: list[Task]) -> Checked:
    """Whether the reader's number is that of the tasks in the buffer that people wrote."""

    def check(answer) -> Checked:
        if isinstance(answer, bool) or not isinstance(answer, int):
            return Checked(False, "give a whole number")
        written = sum(task in seed for task in buffer)
        if answer == len(buffer) - written:
            return Checked(False, "that is how many the model made; how many did it not make?")
        if answer != written:
            return Checked(False, f"the buffer holds {len(buffer)} tasks; compare it with the seed")
        return Checked(True, f"{written} of {len(buffer)}: the model wrote all the others")

    return ask(check, answer)


def check_worth(answer, rollouts: list[dict]) -> Checked:
    """Whether the reader's function gives the reward of a valid proposal from its solve rate."""
    valid = [r for r in rollouts if r["role"] == Role.PROPOSE.value and r["solve_rate"] is not None]

    def check(answer) -> Checked:
        for rollout in valid:
            rate, reward = rollout["solve_rate"], rollout["reward"]
            given = answer(rate)
            if given is ... or given is None:
                raise NotImplementedError
            if not math.isclose(given, reward, abs_tol=1e-9):
                return Checked(
                    False, f"a task with solve rate {rate:g} earned {reward:g}, you say {given:g}"
                )
        return Checked(True, f"it gives the reward of each of the {len(valid)} valid proposals")

    return ask(check, answer)
