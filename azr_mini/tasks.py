"""The nouns of self-play: roles, task types, triples, tasks and rollouts."""

import json
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path


class Role(Enum):
    """Who wrote a completion: the proposer of tasks or their solver."""

    PROPOSE = "propose"
    SOLVE = "solve"


class TaskType(Enum):
    """Which part of (program, input, output) is hidden from the solver (paper, section 3.2)."""

    DEDUCTION = "deduction"  # given program and input, say the output
    ABDUCTION = "abduction"  # given program and output, find an input
    INDUCTION = "induction"  # given input-output pairs and a message, write the program


@dataclass(frozen=True)
class Triple:
    """A program with one input and the output that Python gave for it, all canonical texts."""

    program: str
    input: str  # what stands between the parentheses of f(...)
    output: str


@dataclass(frozen=True)
class Task:
    """A validated question. Outputs always come from the executor, never from a model.

    Deduction and abduction have exactly one input and one output. Induction has several pairs; the
    solver is shown the first `num_visible` and judged on the rest.
    """

    type: TaskType
    program: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    message: str | None = None
    num_visible: int = 0

    def __post_init__(self):
        assert len(self.inputs) == len(self.outputs) > 0, (self.inputs, self.outputs)
        if self.type is TaskType.INDUCTION:
            assert 0 < self.num_visible < len(self.inputs), (self.num_visible, len(self.inputs))
        else:
            assert len(self.inputs) == 1, self.inputs

    @property
    def triple(self) -> Triple:
        """The program with its first pair."""
        return Triple(self.program, self.inputs[0], self.outputs[0])

    def to_json(self) -> dict:
        """A dict of plain JSON values; `task_from_json` reads it back."""
        return {
            "type": self.type.value,
            "program": self.program,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "message": self.message,
            "num_visible": self.num_visible,
        }


def task_from_json(record: dict) -> Task:
    """The task that `Task.to_json` wrote; ValueError for any other JSON value."""
    try:
        inputs, outputs = record["inputs"], record["outputs"]
        message, num_visible = record.get("message"), record.get("num_visible", 0)
        texts = [record["program"], *inputs, *outputs, *([] if message is None else [message])]
        if not (type(inputs) is type(outputs) is list and type(num_visible) is int):
            raise ValueError("not a task (inputs, outputs or num_visible)")
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("not a task (a field that is no text)")
        return Task(
            type=TaskType(record["type"]),
            program=record["program"],
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            message=message,
            num_visible=num_visible,
        )
    except (KeyError, TypeError, AttributeError, AssertionError) as error:
        raise ValueError(f"not a task ({type(error).__name__})") from error


@dataclass(frozen=True)
class Rollout:
    """One completion with everything that was decided about it; fields never change."""

    role: Role
    type: TaskType
    prompt: str
    completion: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]  # includes the end-of-sequence token unless truncated
    logprobs: tuple[float, ...]  # the sampler's, one per completion token
    truncated: bool
    verdict: str  # "correct", "wrong", "format" (solver); "valid" or a rejection's name (proposer)
    reward: float
    task: Task | None = None  # the task proposed or attempted; None for an invalid proposal
    solve_rate: float | None = None  # proposer: share of attempts at its task that were right
    task_index: int = -1  # solver: position of the task in this step's batch of its type
    thinks: bool = False  # the completion has a think part that is not empty
    detail: str = ""  # the executor's short reason
    advantage: float = 0.0  # what the update used; 0 if it trained nothing

    @property
    def group(self) -> tuple[Role, TaskType]:
        """The key by which TRR++ standardises rewards (paper, equation 8)."""
        return (self.role, self.type)

    def with_reward(self, reward: float, solve_rate: float | None = None) -> "Rollout":
        """A copy with its reward (proposals learn theirs only after the attempts)."""
        return replace(self, reward=reward, solve_rate=solve_rate)


def load_seed_tasks(path: Path) -> list[Task]:
    """The tasks in a seed file; ValueError, saying what to do, if it is missing or damaged."""
    advice = (
        "restore data/seed_triples.json from the repository or name another file with --seed-path"
    )
    try:
        records = json.loads(Path(path).read_text(encoding="utf-8"))
        tasks = [task_from_json(record) for record in records["tasks"]]
    except FileNotFoundError:
        raise ValueError(f"seed file {path} does not exist: {advice}") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"seed file {path} is damaged ({type(error).__name__}): {advice}"
        ) from error
    missing = [t.value for t in TaskType if all(task.type is not t for task in tasks)]
    if missing:
        raise ValueError(f"seed file {path} has no {' and no '.join(missing)} task: {advice}")
    return tasks
