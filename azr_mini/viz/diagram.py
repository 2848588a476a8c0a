"""The self-play loop as a diagram with one of its parts lit."""

from typing import NamedTuple

from azr_mini.tasks import Role, TaskType
from azr_mini.viz.colours import COLOURS, OTHER_COLOURS
from azr_mini.viz.svg import arrow, box, document, group, words

PYTHON, POLICY = OTHER_COLOURS[:2]  # who does the work of a stage
NOBODY = "soft"  # arithmetic alone
WIDTH, GAP, LEFT, TOP, HEIGHT = 108, 18, 18, 92, 82  # of the stages
ABOVE, BELOW, BAR = 22, 206, 28  # the bars of the executor and of the policy
PROPOSALS, ATTEMPTS = (Role.PROPOSE,), (Role.SOLVE,)
BOTH = PROPOSALS + ATTEMPTS


class Stage(NamedTuple):
    """A box of the loop."""

    name: str
    part: str  # what lights it
    who: str  # the colour of who does the work
    lines: tuple[str, str]
    roles: tuple[Role, ...]  # whose groups pass here


STAGES = [
    Stage("TripleBuffer", "propose", NOBODY, ("program, input,", "output"), PROPOSALS),
    Stage("PROPOSE", "propose", POLICY, ("references in,", "a new task out"), PROPOSALS),
    Stage("VALIDATE", "validate", PYTHON, ("run it; Python", "gives the output"), PROPOSALS),
    Stage("SOLVE", "solve", POLICY, ("n attempts", "at each task"), ATTEMPTS),
    Stage("REWARDS", "rewards", PYTHON, ("was it right,", "was it hard?"), BOTH),
    Stage("TRR++", "update", NOBODY, ("advantages", "in six groups"), BOTH),
    Stage("UPDATE", "update", POLICY, ("one clipped step", "for all six"), BOTH),
]
OUTSIDE = "evaluate"  # the same policy and executor, on tasks that nobody learns from
PARTS = ("all", *dict.fromkeys(stage.part for stage in STAGES), OUTSIDE)


def loop_svg(lit: str = "all") -> str:
    """The self-play loop as SVG text with one part lit; ValueError for a part not in `PARTS`."""
    if lit not in PARTS:
        raise ValueError(f"no part {lit!r} of the loop; the parts are {', '.join(PARTS)}")
    here = "" if lit == "all" else f": {lit.upper()}"
    description = (
        "References from the buffer of triples go to PROPOSE, proposed tasks to VALIDATE, valid "
        "tasks to SOLVE and back into the buffer. REWARDS become TRR++ advantages, and UPDATE "
        "changes the policy. One policy proposes, solves and learns; one executor of Python "
        "programs validates and grades."
    )

    def shown(parts: tuple[str, ...], *drawn: str) -> str:
        return group(drawn, lit=lit == "all" or lit in parts)

    drawn = [
        words(LEFT, 36, f"The Absolute Zero loop{here}", size=14, weight=600, anchor="start"),
        shown(("validate",), *way_back()),
        shown(("validate", "rewards", OUTSIDE), executor()),
        shown(("propose", "solve", "update", OUTSIDE), policy()),
        legend(),
    ]
    for column, stage in enumerate(STAGES):
        arrows = [*step_right(column), *help_arrow(column)]
        drawn.append(shown((stage.part,), stage_box(column, strong=stage.part == lit), *arrows))
    if lit == OUTSIDE:
        description += " EVALUATE, outside, asks the policy held-out tasks and updates nothing."
        drawn += evaluation()
    return document(900, 252, f"The Absolute Zero loop{here}", description, drawn)


def middle(column: int) -> float:
    """The x of the middle of a stage."""
    return LEFT + column * (WIDTH + GAP) + WIDTH / 2


def stage_box(column: int, *, strong: bool) -> str:
    """The box of a stage: name, two lines, a mark for each group; heavier where the reader is."""
    stage, x, y = STAGES[column], middle(column), TOP + 22
    groups = [(role, type) for role in stage.roles for type in TaskType]
    look = {"tint": 0.28, "line": 3} if strong else {"tint": 0.14, "line": 1.5}
    return "".join([
        box(x - WIDTH / 2, TOP, WIDTH, HEIGHT, stage.who, **look),
        words(x, y, stage.name, size=13, weight=700),
        words(x, y + 20, stage.lines[0], tone="soft"),
        words(x, y + 35, stage.lines[1], tone="soft"),
        *(mark(x + 13 * (k - (len(groups) - 1) / 2), y + 48, role, type)
          for k, (role, type) in enumerate(groups)),
    ])  # fmt: skip


def mark(x: float, y: float, role: Role, type: TaskType) -> str:
    """A small square in the colour of its task type: hollow for proposals, full for attempts."""
    return box(x - 4, y - 4, 8, 8, COLOURS[type], tint=float(role is Role.SOLVE), radius=2)


def step_right(column: int) -> list[str]:
    """The arrow into a stage from the one before, if there is one."""
    end, y = middle(column) - WIDTH / 2, TOP + HEIGHT / 2
    return [arrow([(end - GAP + 2, y), (end - 2, y)])] if column else []


def help_arrow(column: int) -> list[str]:
    """The arrow between a stage and the executor above or the policy below, if it has one."""
    stage, x, below = STAGES[column], middle(column), TOP + HEIGHT
    if stage.name == "UPDATE":
        return [arrow([(x, below), (x, BELOW - 2)])]
    if stage.who == POLICY:
        return [arrow([(x, BELOW), (x, below + 2)])]
    return [arrow([(x + 14, ABOVE + BAR), (x + 14, TOP - 2)])] if stage.who == PYTHON else []


def way_back() -> list[str]:
    """Every valid task joins the buffer."""
    start, end, y = middle(2) - 34, middle(0), 58
    return [
        arrow([(start, TOP), (start, y), (end, y), (end, TOP - 2)]),
        words((start + end) / 2, y + 18, "every valid task joins", tone="soft"),
    ]


def executor() -> str:
    """The bar of the executor, above what it decides."""
    start, end = middle(2) - 12, middle(4) + WIDTH / 2
    return box(start, ABOVE, end - start, BAR, PYTHON, radius=BAR / 2) + words(
        (start + end) / 2, ABOVE + 19, "one executor: confined Python, the only teacher"
    )


def evaluation() -> list[str]:
    """What stands outside the loop: the policy answers, the executor grades, nothing is learned."""
    left, right, y = middle(5) - WIDTH / 2 + 6, middle(6) + WIDTH / 2, ABOVE + BAR / 2
    between = middle(5) + WIDTH / 2 + GAP / 2
    return [
        box(left, ABOVE, right - left, BAR, POLICY, tint=0.28, line=3),
        words((left + right) / 2, ABOVE + 19, "EVALUATE: held-out, no update", weight=600),
        arrow([(between, BELOW), (between, ABOVE + BAR + 2)]),
        arrow([(left, y), (middle(4) + WIDTH / 2 + 2, y)]),
    ]


def policy() -> str:
    """The bar of the policy, below what it writes and what changes it."""
    start, end = middle(1) - WIDTH / 2, middle(6) + WIDTH / 2
    return box(start, BELOW, end - start, BAR, POLICY, radius=BAR / 2) + words(
        (start + end) / 2, BELOW + 19, "one policy: it asks, it answers, it learns"
    )


def legend() -> str:
    """What the colours of the marks mean, and that hollow ones are proposals."""
    return "".join(
        mark(LEFT + 8, 194 + 18 * row, Role.PROPOSE, type)
        + mark(LEFT + 21, 194 + 18 * row, Role.SOLVE, type)
        + words(LEFT + 33, 198 + 18 * row, type.value, anchor="start", tone="soft")
        for row, type in enumerate(TaskType)
    )
