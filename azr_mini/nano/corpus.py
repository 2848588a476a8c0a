"""The nano pre-training corpus: true documents for the six (role, task type) formats.

A document is a prompt and a completion, worded by the same functions that self-play uses. Some of
the solver's documents think before they answer: deduction writes the value of every variable as it
is assigned, abduction writes these values from the last to the first, or tries inputs, induction
traces the first visible pair.
"""

import random
from dataclasses import dataclass

from azr_mini.nano.drawing import nearby_arguments, random_arguments, random_program
from azr_mini.nano.grammar import FAILURES, Program
from azr_mini.programs import program_key
from azr_mini.prompts import (
    ANSWER_CLOSE,
    ANSWER_OPEN,
    INPUT,
    OUTPUT,
    THINK_CLOSE,
    THINK_OPEN,
    Dialect,
    Proposal,
    nano_proposal,
    propose_prompt,
    solve_prompt,
)
from azr_mini.tasks import Role, Task, TaskType, Triple
from azr_mini.values import canonical, parse_arguments

NUM_INDUCTION_INPUTS = 6
FORMATS = tuple((role, type) for role in (Role.SOLVE, Role.PROPOSE) for type in TaskType)
# The share of abduction's thoughts that work backward; the others try inputs. Tries alone did not
# pay: a base of this size stopped as often after a try that matched as after one that did not.
BACKWARD = 0.8
MAX_TRIES, RIGHT_TRY = 3, 0.7  # tried inputs; the chance of a right one
IDENTITY = Triple("def f(a):\n    return a", "'Hello World'", "'Hello World'")


@dataclass(frozen=True)
class Document:
    """One true training text, split where the model starts to write."""

    role: Role
    type: TaskType
    prompt: str
    completion: str


@dataclass(frozen=True)
class Recipe:
    """How hard the programs are, how often a solver thinks, and the share of each format."""

    operations: tuple[float, ...] = (0.25, 0.25, 0.25, 0.15, 0.10)  # weights of 1, 2, 3, ...
    think: float = 0.5
    mix: tuple[float, ...] = (0.30, 0.30, 0.20, 0.07, 0.07, 0.06)  # weights of FORMATS


def draw_program(rng: random.Random, recipe: Recipe, excluded: frozenset[str]) -> Program:
    """A random program whose key is not excluded (the held-out programs)."""
    while True:
        sizes = range(1, len(recipe.operations) + 1)
        program = random_program(rng, rng.choices(sizes, recipe.operations)[0])
        if not excluded or program_key(program.source) not in excluded:
            return program


def draw_run(rng: random.Random, program: Program) -> tuple[tuple, object, list[str]] | None:
    """(arguments, output, trace) of a run that succeeds, or None after a few failures."""
    for _ in range(6):
        arguments = random_arguments(rng, program)
        try:
            return (arguments, *program.run(arguments))
        except FAILURES:
            continue
    return None


def argument_text(arguments: tuple) -> str:
    """The canonical text between the parentheses of f(...)."""
    return ", ".join(map(canonical, arguments))


def completion(thought: str, answer: str) -> str:
    """A well-formed completion; an empty thought leaves the think part out."""
    think = f"{THINK_OPEN}{thought}{THINK_CLOSE}" if thought else ""
    return f"{think}{ANSWER_OPEN}{answer}{ANSWER_CLOSE}"


def deduction_document(rng: random.Random, recipe: Recipe, program: Program) -> Document | None:
    """Say the output, after the value of every assigned variable or at once."""
    run = draw_run(rng, program)
    if run is None:
        return None
    arguments, output, trace = run
    task = _task(TaskType.DEDUCTION, program, [arguments], [output])
    thought = "\n".join(trace) if rng.random() < recipe.think else ""
    return _solved(task, thought, canonical(output))


def abduction_document(rng: random.Random, recipe: Recipe, program: Program) -> Document | None:
    """Find an input, after working backward from the output, after tried inputs, or at once."""
    run = draw_run(rng, program)
    if run is None:
        return None
    arguments, output, trace = run
    thought = ""
    if rng.random() < recipe.think:
        if rng.random() < BACKWARD:
            thought = "\n".join(reversed(trace))
        else:
            thought = _tries(rng, program, arguments, output)
    task = _task(TaskType.ABDUCTION, program, [arguments], [output])
    return _solved(task, thought, argument_text(arguments))


def _tries(rng: random.Random, program: Program, arguments: tuple, output: object) -> str:
    """One to three tried inputs, each with its trace and output, until one matches.

    Each try is right with the same chance, so that neither the last try nor any other is known to
    match before it has been worked out. A wrong one differs a little from a right one.
    """
    tries = []
    for _ in range(MAX_TRIES):
        is_right = rng.random() < RIGHT_TRY
        guess = arguments if is_right else _wrong_guess(rng, program, arguments, output)
        guessed_output, trace = program.run(guess)
        steps = "".join("\n" + line for line in trace)
        tries.append(f"{INPUT}{argument_text(guess)}{steps}{OUTPUT}{canonical(guessed_output)}")
        if guess == arguments:
            break
    return "".join(tries)


def _wrong_guess(rng: random.Random, program: Program, right: tuple, output: object) -> tuple:
    """Arguments near the right ones that give another output; the right ones if none is found."""
    guess = right
    for _ in range(4):
        guess = nearby_arguments(rng, guess if rng.random() < 0.5 else right)
        try:
            if canonical(program.run(guess)[0]) != canonical(output):
                return guess
        except FAILURES:
            continue
    return right


def draw_induction_task(rng: random.Random, program: Program) -> Task | None:
    """A task of six distinct inputs, half of them visible; None if the program has too few."""
    runs: dict[str, tuple] = {}
    for _ in range(3 * NUM_INDUCTION_INPUTS):
        run = draw_run(rng, program)
        if run is None:
            return None
        runs.setdefault(argument_text(run[0]), run)
        if len(runs) == NUM_INDUCTION_INPUTS:
            break
    else:
        return None
    inputs, outputs = [r[0] for r in runs.values()], [r[1] for r in runs.values()]
    if len({canonical(output) for output in outputs}) == 1:
        return None
    return _task(TaskType.INDUCTION, program, inputs, outputs, message_for(rng, program))


def message_for(rng: random.Random, program: Program) -> str:
    """A hint: the program's operation words, some left out, without constants."""
    words = program.words
    kept = [word for word in words if rng.random() < 0.75]
    return " ".join(kept or words[:1] or ["same"])


def induction_document(rng: random.Random, recipe: Recipe, program: Program) -> Document | None:
    """Write the program, after the values it goes through on the first pair or at once."""
    task = draw_induction_task(rng, program)
    if task is None:
        return None
    thought = ""
    if rng.random() < recipe.think:
        arguments = parse_arguments(task.inputs[0])
        thought = "\n".join(program.run(arguments)[1])
    return _solved(task, thought, program.source)


def draw_triple(rng: random.Random, recipe: Recipe, excluded: frozenset[str]) -> Triple:
    """A reference for a proposer: a random triple, sometimes the identity."""
    while rng.random() > 0.06:
        program = draw_program(rng, recipe, excluded)
        run = draw_run(rng, program)
        if run is not None:
            return Triple(program.source, argument_text(run[0]), canonical(run[1]))
    return IDENTITY


def proposal_document(
    rng: random.Random, recipe: Recipe, type: TaskType, program: Program, excluded: frozenset[str]
) -> Document | None:
    """Propose a task: a new program with an input, or inputs and a message for a given program."""
    if type is TaskType.INDUCTION:
        task = draw_induction_task(rng, program)
        if task is None:
            return None
        references = [Triple(program.source, task.inputs[0], task.outputs[0])]
        proposal = Proposal(type, program.source, task.inputs, task.message)
    else:
        run = draw_run(rng, program)
        if run is None:
            return None
        references = [draw_triple(rng, recipe, excluded) for _ in range(rng.choice((1, 2, 2, 2)))]
        proposal = Proposal(type, program.source, (argument_text(run[0]),))
    prompt = propose_prompt(type, references, Dialect.NANO, NUM_INDUCTION_INPUTS)
    return Document(Role.PROPOSE, type, prompt, completion("", nano_proposal(proposal)))


def random_document(
    rng: random.Random, recipe: Recipe, excluded: frozenset[str] = frozenset()
) -> Document:
    """One document of a random format."""
    writers = {
        TaskType.DEDUCTION: deduction_document,
        TaskType.ABDUCTION: abduction_document,
        TaskType.INDUCTION: induction_document,
    }
    while True:
        role, type = rng.choices(FORMATS, recipe.mix)[0]
        program = draw_program(rng, recipe, excluded)
        if role is Role.PROPOSE:
            document = proposal_document(rng, recipe, type, program, excluded)
        else:
            document = writers[type](rng, recipe, program)
        if document is not None:
            return document


def _task(type: TaskType, program: Program, inputs, outputs, message: str | None = None) -> Task:
    return Task(
        type,
        program.source,
        tuple(map(argument_text, inputs)),
        tuple(map(canonical, outputs)),
        message,
        num_visible=len(inputs) // 2 if type is TaskType.INDUCTION else 0,
    )


def _solved(task: Task, thought: str, answer: str) -> Document:
    prompt = solve_prompt(task, Dialect.NANO)
    return Document(Role.SOLVE, task.type, prompt, completion(thought, answer))
