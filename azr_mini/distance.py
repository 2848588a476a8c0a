"""How far apart programs are, as syntax trees: an edit distance that is a metric, and clusters."""

import ast
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

from azr_mini.programs import normalized_tree, walk_in_order

CLUSTER_DISTANCE = 0.2  # of 25 nodes at most 5 differ

_MERGED = (ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context)


def tree_nodes(tree: ast.AST) -> tuple[str, ...]:
    """The nodes of a syntax tree in the order of the source, each as a text.

    It says the node's kind, operator, names and constants, and "_" for each child: `a + 3` is
    BinOp(_, Add, _), Name('a', Load), Constant(0x3, None). Equal trees are those with equal nodes.
    """
    return tuple(
        f"{type(node).__name__}({', '.join(_text(value) for _, value in ast.iter_fields(node))})"
        for node in walk_in_order(tree)
        if not isinstance(node, _MERGED)  # they stand in their parent's text
    )


def _text(value: object) -> str:
    match value:
        case list():
            return f"[{', '.join(map(_text, value))}]"
        case ast.AST():
            return type(value).__name__ if isinstance(value, _MERGED) else "_"
    return hex(value) if type(value) is int else repr(value)  # repr refuses ints of 4,301 digits


@lru_cache(maxsize=4096)
def program_nodes(program: str) -> tuple[str, ...]:
    """The nodes of a program without the names it chose, equal for those of one `program_key`.

    ValueError if the text is not a program.
    """
    return tree_nodes(normalized_tree(program))


def edit_distance(one: Sequence, other: Sequence) -> int:
    """The least number of items to insert, delete or replace that turns one list into the other.

    Of the usual table it holds one column as two integers (Myers 1999, in the form of Hyyrö 2003):
    bit i of `more` (`less`) says that entry i + 1 is one more (less) than entry i.
    """
    if not one:
        return len(other)
    places: dict[object, int] = {}
    for place, item in enumerate(one):
        places[item] = places.get(item, 0) | 1 << place
    column, bottom = (1 << len(one)) - 1, 1 << (len(one) - 1)
    more, less, distance = column, 0, len(one)
    for item in other:
        equal = places.get(item, 0)
        diagonal = (((equal & more) + more) ^ more) | equal | less  # as cheap as one step back
        right_more, right_less = less | ~(diagonal | more), more & diagonal
        distance += bool(right_more & bottom) - bool(right_less & bottom)
        right_more, right_less = right_more << 1 | 1, right_less << 1
        equal |= less
        more = (right_less | ~(equal | right_more)) & column
        less = right_more & equal & column
    return distance


def ast_distance(one: str, other: str) -> float:
    """2 d / (n + m + d), where d edits of nodes turn the n nodes of one program into the other's m.

    An edit inserts, deletes or replaces one of the `program_nodes`. From 0 (the same but for chosen
    names) to below 1, and a metric (Li and Liu 2007), which d / max(n, m) is not. The official code
    takes one minus difflib's similarity of the trees as JSON text: that counts characters, sees
    every name, depends on the order of the two, and is no least number of edits.
    """
    first, second = program_nodes(one), program_nodes(other)
    distance = edit_distance(first, second)
    return 2 * distance / (len(first) + len(second) + distance)


def clusters(programs: Sequence[str], threshold: float = CLUSTER_DISTANCE) -> list[int]:
    """The number of each program's cluster, from 0 in order of appearance.

    Single linkage: two programs are in one cluster if a chain of programs leads from one to the
    other in which neighbours have an `ast_distance` of at most `threshold`.
    """
    cluster = list(range(len(programs)))
    for i, j in combinations(range(len(programs)), 2):
        if cluster[i] != cluster[j] and ast_distance(programs[i], programs[j]) <= threshold:
            cluster = [cluster[i] if number == cluster[j] else number for number in cluster]
    numbers = {number: place for place, number in enumerate(dict.fromkeys(cluster))}
    return [numbers[number] for number in cluster]
