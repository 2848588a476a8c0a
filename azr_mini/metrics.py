"""What proposed tasks are like: how complex, how different, how often repeated. Nothing is run.

The paper follows complexity, distance to the references and answer diversity over training (its
figure 27). These are the same ideas with exact definitions; each says where the official code
differs. The program of an induction task was given to its proposer, not written by it.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from azr_mini.complexity import cyclomatic, halstead
from azr_mini.distance import (
    CLUSTER_DISTANCE,
    ast_distance,
    clusters,
    program_nodes,
    tree_nodes,
)
from azr_mini.programs import parse_program
from azr_mini.prompts import shown_programs
from azr_mini.tasks import Role, Task, TaskType, task_from_json

COMPLEXITY = (
    "lines", "nodes", "cyclomatic", "halstead_volume", "halstead_difficulty", "halstead_effort",
)  # fmt: skip
COLUMNS = (
    "type", "program", "answer", *COMPLEXITY,
    "ast_distance", "answer_diversity", "repeats_exact", "repeats_renamed", "repeats_similar",
    "cluster",
)  # fmt: skip


def answer(task: Task) -> str:
    """What the solver must give, as one text; for induction, where that is a program, all outputs.

    As in the official code it is the output in deduction and the proposed input in abduction.
    """
    match task.type:
        case TaskType.DEDUCTION:
            return task.outputs[0]
        case TaskType.ABDUCTION:
            return task.inputs[0]
        case TaskType.INDUCTION:
            return "\n".join(task.outputs)


def task_rows(
    tasks: Sequence[Task],
    references: Sequence[Sequence[str]] | None = None,
    threshold: float = CLUSTER_DISTANCE,
) -> list[dict]:
    """One dict of COLUMNS for each task, in order; it is compared with the others of its type.

    references: for each task the programs from which to measure the mean `ast_distance`, such as
    those its proposer was shown; nan without any and for induction. `answer_diversity` is 1 - p, p
    the share of the other tasks that have this answer (in the official code: of all answers so
    far); nan for a lone task. A program repeats an earlier one if it is the same exactly (layout
    and comments aside), the same renamed, or similar (in its cluster). ValueError if one does not
    parse.
    """
    references = [()] * len(tasks) if references is None else references
    rows = [_row(task, shown) for task, shown in zip(tasks, references, strict=True)]
    for type in TaskType:
        _compare([row for row in rows if row["type"] == type.value], threshold)
    return rows


def _row(task: Task, shown: Sequence[str]) -> dict:
    program = task.program
    apart = [] if task.type is TaskType.INDUCTION else [ast_distance(program, r) for r in shown]
    return {
        "type": task.type.value,
        "program": program,
        "answer": answer(task),
        "lines": sum(bool(line.strip()) for line in program.split("\n")),
        "nodes": len(program_nodes(program)),
        "cyclomatic": cyclomatic(program),
        **{f"halstead_{name}": value for name, value in halstead(program)._asdict().items()},
        "ast_distance": sum(apart) / len(apart) if apart else math.nan,
    }


def _compare(rows: list[dict], threshold: float) -> None:
    answers = Counter(row["answer"] for row in rows)
    numbers = clusters([row["program"] for row in rows], threshold)
    exact, renamed, similar = set(), set(), set()
    for row, cluster in zip(rows, numbers, strict=True):
        equals, others = answers[row["answer"]] - 1, len(rows) - 1
        row["answer_diversity"] = 1 - equals / others if others else math.nan
        written = tree_nodes(parse_program(row["program"]))
        nameless = program_nodes(row["program"])
        row["repeats_exact"] = written in exact
        row["repeats_renamed"] = nameless in renamed
        row["repeats_similar"] = cluster in similar
        row["cluster"] = cluster
        exact.add(written)
        renamed.add(nameless)
        similar.add(cluster)


def task_table(
    tasks: Sequence[Task],
    references: Sequence[Sequence[str]] | None = None,
    threshold: float = CLUSTER_DISTANCE,
):
    """`task_rows` as a pandas DataFrame, ready to plot."""
    import pandas as pd

    return pd.DataFrame(task_rows(tasks, references, threshold), columns=COLUMNS)


def step_tables(rollouts: Iterable[dict], threshold: float = CLUSTER_DISTANCE) -> list:
    """The task tables of a run's `rollouts`, one for each step from 0, each with what was shown.

    Only valid proposals are tasks; a step without any has an empty table.
    """
    proposed = defaultdict(list)
    for record in rollouts:
        if record["role"] == Role.PROPOSE.value and record["task"] is not None:
            proposed[record["step"]].append(record)
    return [
        task_table(
            [task_from_json(record["task"]) for record in proposed[step]],
            [shown_programs(record["prompt"]) for record in proposed[step]],
            threshold,
        )
        for step in range(max(proposed, default=-1) + 1)
    ]


def task_metrics(
    tasks: Sequence[Task],
    references: Sequence[Sequence[str]] | None = None,
    threshold: float = CLUSTER_DISTANCE,
) -> dict[str, float]:
    """The numbers of a set of tasks by type: means over `task_rows`, shares and an entropy.

    A key whose value does not exist (no references, say) is left out.
    """
    rows = task_rows(tasks, references, threshold)
    metrics: dict[str, float] = {}
    for type in TaskType:
        mine = [row for row in rows if row["type"] == type.value]
        if mine:
            metrics |= {f"{key}/{type.value}": value for key, value in _numbers(mine).items()}
    return {key: value for key, value in metrics.items() if not math.isnan(value)}


def _numbers(rows: list[dict]) -> dict[str, float]:
    shares = [count / len(rows) for count in Counter(row["answer"] for row in rows).values()]
    largest = max(Counter(row["cluster"] for row in rows).values())
    return {
        **{f"complexity/{name}": _mean(rows, name) for name in COMPLEXITY},
        "diversity/ast": _mean(rows, "ast_distance"),
        "diversity/answer": _mean(rows, "answer_diversity"),
        "diversity/answer_distinct": len(shares) / len(rows),
        "diversity/answer_entropy": sum(share * -math.log2(share) for share in shares),  # bits
        "duplicates/exact": _mean(rows, "repeats_exact"),
        "duplicates/renamed": _mean(rows, "repeats_renamed"),
        "duplicates/similar": _mean(rows, "repeats_similar"),
        "cluster_share": largest / len(rows),
    }


def _mean(rows: list[dict], name: str) -> float:
    values = [row[name] for row in rows if not math.isnan(row[name])]
    return sum(values) / len(values) if values else math.nan
