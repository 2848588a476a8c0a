"""How close the proposals of a run came to the held-out set that judges it."""

import ast
from collections.abc import Iterable, Sequence

import pandas as pd

from azr_mini.distance import ast_distance
from azr_mini.programs import normalized_tree, program_key, walk_in_order


def skeleton(program: str) -> str:
    """The program without chosen names and with every number and text replaced: its shape.

    `return a + 3` and `return x + 7` have one skeleton. ValueError if the text is not a program.
    """
    tree = normalized_tree(program)
    for node in walk_in_order(tree):
        if isinstance(node, ast.Constant):
            node.value = type(node.value).__name__
    return ast.dump(tree)


def overlap(proposed: Iterable[str], heldout: Sequence[str]) -> pd.Series:
    """How many different proposed programs are in the held-out set, exactly and in shape.

    "programs": different ones proposed; "the same": those equal to a held-out program but for
    chosen names; "the same shape": equal but for names and constants.
    """
    programs = {program_key(program): program for program in proposed}
    keys = {program_key(program) for program in heldout}
    shapes = {skeleton(program) for program in heldout}
    return pd.Series(
        {
            "programs": len(programs),
            "the same": len(programs.keys() & keys),
            "the same shape": sum(skeleton(program) in shapes for program in programs.values()),
        }
    )


def nearest(proposed: Iterable[str], heldout: Sequence[str]) -> list[float]:
    """The `ast_distance` of each proposed program to the closest held-out one, 0 if it is equal."""
    pool = {program_key(program): program for program in heldout}.values()
    return [min(ast_distance(program, other) for other in pool) for program in proposed]
