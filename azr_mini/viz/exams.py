"""A diagram of the three task types: one triple, and which part of it each exam hides."""

from azr_mini.tasks import TaskType
from azr_mini.viz.colours import COLOURS
from azr_mini.viz.svg import box, document, words

PROGRAM = ("def f(a):", "    return sorted(a)")
PAIRS = (("[3, 1, 2]", "[1, 2, 3]"), ("[9, 7]", "[7, 9]"))  # the input and what Python returns
ALSO_RIGHT = "[2, 3, 1]"  # another input with the first output
WIDTH, GAP, LEFT, TOP, HEIGHT = 276, 18, 18, 54, 258  # of a card
LABELS, TILE, TILE_GAP = 62, 48, 8  # width of the labels, height of a tile

HIDDEN = {
    TaskType.DEDUCTION: "output",
    TaskType.ABDUCTION: "input",
    TaskType.INDUCTION: "program",
}
QUESTIONS = {
    TaskType.DEDUCTION: ("What does the program return?", "right if value and type are equal"),
    TaskType.ABDUCTION: (
        "Which input gives this output?",
        f"every input that does is right, {ALSO_RIGHT} too",
    ),
    TaskType.INDUCTION: (
        "Which program does all this?",
        "right if it fits the pairs that were kept back",
    ),
}


def three_exams_svg() -> str:
    """One triple as three questions, as SVG text; a question mark stands for what is hidden."""
    description = (
        "Three cards about the same program, input and output. Deduction hides the output, "
        "abduction the input, induction the program."
    )
    cards = [card(type, LEFT + k * (WIDTH + GAP)) for k, type in enumerate(TaskType)]
    title = "One triple (program, input, output), three exams"
    heading = words(LEFT, 34, title, size=14, weight=600, anchor="start")
    return document(900, TOP + HEIGHT + 18, title, description, [heading, *cards])


def card(type: TaskType, x: float) -> str:
    """The exam of one type: what is shown, what is hidden, the question, and how it is graded."""
    pairs = PAIRS if type is TaskType.INDUCTION else PAIRS[:1]
    shown = {
        "program": PROGRAM,
        "input": tuple(input for input, _ in pairs),
        "output": tuple(output for _, output in pairs),
    }
    question, grading = QUESTIONS[type]
    foot = TOP + 42 + 3 * (TILE + TILE_GAP)
    return "".join([
        box(x, TOP, WIDTH, HEIGHT, COLOURS[type], tint=0.07),
        words(x + 16, TOP + 26, type.value.capitalize(), size=14, weight=700, anchor="start"),
        words(x + WIDTH - 16, TOP + 26, f"hides the {HIDDEN[type]}", anchor="end", tone="soft"),
        *(tile(x, TOP + 40 + k * (TILE + TILE_GAP), name, lines, type)
          for k, (name, lines) in enumerate(shown.items())),
        words(x + 16, foot + 16, question, weight=600, anchor="start"),
        words(x + 16, foot + 33, grading, size=11, anchor="start", tone="soft"),
    ])  # fmt: skip


def tile(x: float, y: float, name: str, lines: tuple[str, ...], type: TaskType) -> str:
    """One part of the triple: its lines of code, or a question mark where the exam hides it."""
    left, width, centre = x + 16 + LABELS, WIDTH - 32 - LABELS, y + TILE / 2
    label = words(x + 16, centre + 4, name, anchor="start", tone="soft")
    if HIDDEN[type] == name:
        frame = box(left, y, width, TILE, COLOURS[type], tint=0.2, line=2, dashed=True, radius=7)
        return label + frame + words(left + width / 2, centre + 8, "?", size=22, weight=700)
    frame = box(left, y, width, TILE, tint=0, line=1, radius=7)
    top = centre + 4 - 8 * (len(lines) - 1)
    code = [
        words(left + 12, top + 16 * k, line, anchor="start", mono=True)
        for k, line in enumerate(lines)
    ]
    return "".join([label, frame, *code])
