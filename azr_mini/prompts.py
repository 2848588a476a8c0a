"""The six prompts of self-play, each beside the parser of its answer, in two dialects.

`nano` is compact: every tag is one token of the nano tokenizer. `chat` is plain language with
fenced blocks for real models. Both ask for the same completion: an optional `<think>...</think>`,
then `<answer>...</answer>`. The wording is ours; it says nothing about test subjects or I.Q.
"""

import re
from dataclasses import dataclass
from enum import Enum

from azr_mini import chat_wording
from azr_mini.chat_wording import fence, fences
from azr_mini.tasks import Task, TaskType, Triple

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
ANSWER_OPEN, ANSWER_CLOSE = "<answer>", "</answer>"
PROPOSE, SOLVE = "<propose>", "<solve>"
PROGRAM, INPUT, OUTPUT, MESSAGE = "<program>", "<input>", "<output>", "<message>"
NANO_TAGS = (
    PROPOSE, SOLVE, *(f"<{t.value}>" for t in TaskType), PROGRAM, INPUT, OUTPUT, MESSAGE,
    THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE,
)  # fmt: skip


class Dialect(Enum):
    """How prompts are worded: compact tags for the nano model, plain language for real ones."""

    NANO = "nano"
    CHAT = "chat"


@dataclass(frozen=True)
class Proposal:
    """What a proposer wrote, parsed but not yet run. Induction keeps the program it was given."""

    type: TaskType
    program: str
    inputs: tuple[str, ...]
    message: str | None = None


# ---- the frame every completion has -------------------------------------------------------------


def split_completion(completion: str) -> tuple[str, str] | None:
    """(thought, answer) of a well-formed completion, as written; None if it is malformed."""
    text = completion.strip()
    thought = ""
    if text.startswith(THINK_OPEN):
        end = text.find(THINK_CLOSE)
        if end < 0:
            return None
        thought = text[len(THINK_OPEN) : end]
        text = text[end + len(THINK_CLOSE) :].lstrip()
    if not (text.startswith(ANSWER_OPEN) and text.endswith(ANSWER_CLOSE)):
        return None
    answer = text[len(ANSWER_OPEN) : len(text) - len(ANSWER_CLOSE)]
    frame = (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE)
    if len(text) < len(ANSWER_OPEN) + len(ANSWER_CLOSE) or any(tag in answer for tag in frame):
        return None
    return thought, answer


def thought(completion: str) -> str:
    """The text of the think part, closed or not; empty if there is none."""
    _, opened, rest = completion.partition(THINK_OPEN)
    return rest.partition(THINK_CLOSE)[0] if opened else ""


def has_thought(completion: str) -> bool:
    """Whether the completion has a think part with something in it."""
    return bool(thought(completion).strip())


# ---- propose ------------------------------------------------------------------------------------


def propose_prompt(
    type: TaskType, references: list[Triple], dialect: Dialect, num_inputs: int = 0
) -> str:
    """The prompt that asks for a new task of this type (paper, section 3.3.1).

    Deduction and abduction show all references and ask for a program with one input. Induction
    shows the program of the first reference and asks for `num_inputs` inputs and a message.
    """
    assert references, "a proposer needs at least one reference"
    if dialect is Dialect.NANO:
        return _nano_propose_prompt(type, references)
    if type is TaskType.INDUCTION:
        return chat_wording.PROPOSE_INDUCTION.format(
            n=num_inputs, program=fence("python", references[0].program), frame=chat_wording.FRAME
        )
    blocks = "\n\n".join(
        f"Example {i}:\n"
        + fence("python", r.program)
        + "\n"
        + fence("input", r.input)
        + "\n"
        + fence("output", r.output)
        for i, r in enumerate(references, 1)
    )
    hidden = "output" if type is TaskType.DEDUCTION else "input"
    given = "input" if type is TaskType.DEDUCTION else "output"
    return chat_wording.PROPOSE.format(
        hidden=hidden, given=given, references=blocks, frame=chat_wording.FRAME
    )


def _nano_propose_prompt(type: TaskType, references: list[Triple]) -> str:
    head = f"{PROPOSE}<{type.value}>"
    if type is TaskType.INDUCTION:
        return head + PROGRAM + references[0].program
    return head + "".join(
        f"{PROGRAM}{r.program}{INPUT}{r.input}{OUTPUT}{r.output}" for r in references
    )


def shown_programs(prompt: str) -> list[str]:
    """The programs of the references in a propose prompt of either dialect, in order."""
    if prompt.startswith(PROPOSE):
        return [part.partition(INPUT)[0] for part in prompt.split(PROGRAM)[1:]]
    return [text for name, text in fences(prompt) if name == "python"]


def nano_proposal(proposal: Proposal) -> str:
    """The answer text from which `parse_proposal` reads this proposal in the nano dialect."""
    inputs = "".join(INPUT + text for text in proposal.inputs)
    if proposal.type is TaskType.INDUCTION:
        return f"{inputs}{MESSAGE}{proposal.message}"
    return f"{PROGRAM}{proposal.program}{inputs}"


def parse_proposal(
    type: TaskType,
    completion: str,
    dialect: Dialect,
    program: str | None = None,
    num_inputs: int = 0,
) -> Proposal | None:
    """The proposal in a completion, or None if it is not exactly in the form asked for.

    For induction `program` is the one shown and `num_inputs` the number asked for.
    """
    parts = split_completion(completion)
    if parts is None:
        return None
    read = _nano_fields if dialect is Dialect.NANO else _chat_fields
    fields = read(parts[1])
    if fields is None:
        return None
    programs, inputs, messages = fields
    if type is TaskType.INDUCTION:
        assert program is not None and num_inputs > 0, (program, num_inputs)
        if programs or len(inputs) != num_inputs or len(messages) != 1:
            return None
        return Proposal(type, program, tuple(inputs), messages[0])
    if len(programs) != 1 or len(inputs) != 1 or messages:
        return None
    return Proposal(type, programs[0], tuple(inputs))


def _nano_fields(answer: str) -> tuple[list[str], list[str], list[str]] | None:
    pieces = re.split(f"({PROGRAM}|{INPUT}|{MESSAGE})", answer)
    if pieces[0] or any(tag in answer for tag in NANO_TAGS if tag not in (PROGRAM, INPUT, MESSAGE)):
        return None
    found = {PROGRAM: [], INPUT: [], MESSAGE: []}
    for tag, text in zip(pieces[1::2], pieces[2::2], strict=True):
        found[tag].append(text)
    return found[PROGRAM], found[INPUT], found[MESSAGE]


def _chat_fields(answer: str) -> tuple[list[str], list[str], list[str]] | None:
    blocks = fences(answer)
    by_name = {"python": [], "input": [], "message": []}
    for name, text in blocks:
        if name not in by_name:
            return None
        by_name[name].append(text)
    return by_name["python"], by_name["input"], by_name["message"]


# ---- solve --------------------------------------------------------------------------------------


def solve_prompt(task: Task, dialect: Dialect) -> str:
    """The prompt that poses a task. Hidden parts (gold answer, hidden pairs) never enter it."""
    nano = dialect is Dialect.NANO
    match task.type:
        case TaskType.DEDUCTION if nano:
            return f"{SOLVE}<deduction>{PROGRAM}{task.program}{INPUT}{task.inputs[0]}"
        case TaskType.ABDUCTION if nano:
            return f"{SOLVE}<abduction>{PROGRAM}{task.program}{OUTPUT}{task.outputs[0]}"
        case TaskType.INDUCTION if nano:
            pairs = "".join(f"{INPUT}{i}{OUTPUT}{o}" for i, o in visible_pairs(task))
            return f"{SOLVE}<induction>{pairs}{MESSAGE}{task.message}"
        case TaskType.DEDUCTION:
            return chat_wording.SOLVE_DEDUCTION.format(
                program=fence("python", task.program),
                input=fence("input", task.inputs[0]),
                frame=chat_wording.FRAME,
            )
        case TaskType.ABDUCTION:
            return chat_wording.SOLVE_ABDUCTION.format(
                program=fence("python", task.program),
                output=fence("output", task.outputs[0]),
                frame=chat_wording.FRAME,
            )
        case TaskType.INDUCTION:
            pairs = "\n".join(
                fence("input", i) + "\n" + fence("output", o) for i, o in visible_pairs(task)
            )
            return chat_wording.SOLVE_INDUCTION.format(
                pairs=pairs, message=fence("message", task.message or ""), frame=chat_wording.FRAME
            )


def visible_pairs(task: Task) -> list[tuple[str, str]]:
    """The input-output pairs an induction solver is shown."""
    return list(zip(task.inputs, task.outputs, strict=True))[: task.num_visible]


def parse_answer(type: TaskType, completion: str, dialect: Dialect) -> str | None:
    """The answer text of an attempt, stripped, or None if the completion is not well-formed."""
    parts = split_completion(completion)
    if parts is None:
        return None
    answer = parts[1]
    if dialect is Dialect.CHAT:
        name = {
            TaskType.DEDUCTION: "output",
            TaskType.ABDUCTION: "input",
            TaskType.INDUCTION: "python",
        }[type]
        blocks = [text for block, text in fences(answer) if block == name]
        answer = blocks[-1] if blocks else answer
    return answer.strip() or None
