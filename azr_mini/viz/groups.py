"""A diagram of the six baselines: each reward against the mean of its own (role, type) group."""

from collections import Counter
from statistics import mean

from azr_mini.tasks import Role, TaskType
from azr_mini.viz.colours import COLOURS
from azr_mini.viz.svg import box, document, dot, stroke, words

# Rewards of one imagined step: eight rollouts a group, deduction easy and induction hard.
REWARDS = {
    (Role.PROPOSE, TaskType.DEDUCTION): (0.375, 0.375, 0.25, 0.25, 0, 0, 0, 0),
    (Role.PROPOSE, TaskType.ABDUCTION): (0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0, -1),
    (Role.PROPOSE, TaskType.INDUCTION): (0.875, 0, 0, 0, 0, -1, -1, -1),
    (Role.SOLVE, TaskType.DEDUCTION): (1, 1, 1, 1, 1, 1, -0.5, -1),
    (Role.SOLVE, TaskType.ABDUCTION): (1, 1, 1, 1, -0.5, -0.5, -0.5, -1),
    (Role.SOLVE, TaskType.INDUCTION): (1, 1, -0.5, -0.5, -0.5, -1, -1, -1),
}
ROLES = {Role.PROPOSE: ("proposer", "learnability"), Role.SOLVE: ("solver", "right or wrong")}
LEFT, TOP, LABELS, WIDTH, HEIGHT, GAP = 18, 78, 102, 242, 98, 14
MARGIN, DOT = 22, 9  # around the axis of a cell; from one dot to the next above it


def six_groups_svg() -> str:
    """Two roles and three task types as six groups, each with its baseline, as SVG text."""
    everything = mean(reward for rewards in REWARDS.values() for reward in rewards)
    title = "Two roles, three task types: six baselines"
    description = (
        "Six cells, each with the rewards of eight rollouts between -1 and 1 and a line at their "
        "mean. What lies right of the line of its own cell becomes more likely, what lies left of "
        "it less likely. A dashed line shows the one mean of all cells, which almost all attempts "
        "at an easy type would pass and few at a hard one."
    )
    drawn = [
        words(LEFT, 34, title, size=14, weight=600, anchor="start"),
        words(882, 34, "rewards of one imagined step", anchor="end", tone="soft"),
    ]
    for column, type in enumerate(TaskType):
        x = LEFT + LABELS + column * (WIDTH + GAP)
        drawn.append(words(x + WIDTH / 2, TOP - 12, type.value, size=13, weight=600))
    for row, (role, (name, reward)) in enumerate(ROLES.items()):
        y = TOP + row * (HEIGHT + GAP)
        drawn += [
            words(LEFT, y + HEIGHT / 2 - 2, name, size=13, weight=600, anchor="start"),
            words(LEFT, y + HEIGHT / 2 + 15, reward, anchor="start", tone="soft"),
        ]
        for column, type in enumerate(TaskType):
            drawn.append(cell(LEFT + LABELS + column * (WIDTH + GAP), y, role, type, everything))
    foot = TOP + 2 * (HEIGHT + GAP)
    return document(900, foot + 34, title, description, [*drawn, *key(foot + 12)])


def cell(x: float, y: float, role: Role, type: TaskType, everything: float) -> str:
    """One group: a dot for each reward, the baseline of the group, and the mean of everything."""
    rewards, floor = REWARDS[role, type], y + HEIGHT - 24

    def across(reward: float) -> float:
        return x + MARGIN + (reward + 1) / 2 * (WIDTH - 2 * MARGIN)

    def upright(reward: float, tone: str, width: float, *, dashed: bool = False) -> str:
        return stroke((across(reward), y + 8), (across(reward), floor), tone, width, dashed=dashed)

    colour, own = COLOURS[type], mean(rewards)
    better = box(across(own), y + 8, x + WIDTH - 8 - across(own), floor - y - 8, colour,
                 tint=0.16, line=0, radius=0)  # fmt: skip
    dots = [
        dot(across(reward), floor - 7 - DOT * above, colour, full=role is Role.SOLVE)
        for reward, count in Counter(rewards).items()
        for above in range(count)
    ]
    return "".join([
        box(x, y, WIDTH, HEIGHT, tint=0, line=1),
        better,
        stroke((across(-1), floor), (across(1), floor), "soft"),
        upright(everything, "soft", 1.5, dashed=True),
        upright(own, colour, 3),
        *dots,
        *(words(across(tick), floor + 15, f"{tick}", size=11, tone="soft") for tick in (-1, 0, 1)),
    ])  # fmt: skip


def key(y: float) -> list[str]:
    """What lines and shading mean."""
    x = LEFT + LABELS
    lines = {10: "baseline: the group's own mean", 266: "becomes more likely",
             440: "one mean over everything, for comparison"}  # fmt: skip
    return [
        stroke((x, y - 9), (x, y + 5), "ink", 3),
        box(x + 236, y - 9, 22, 14, "ink", tint=0.14, line=0, radius=0),
        stroke((x + 430, y - 9), (x + 430, y + 5), "soft", 1.5, dashed=True),
        *(words(x + right, y + 2, text, anchor="start", tone="soft")
          for right, text in lines.items()),
    ]  # fmt: skip
