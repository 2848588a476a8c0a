"""How complex a program is, from its syntax tree: McCabe's decisions and Halstead's counts."""

import ast
import math
from typing import NamedTuple

from azr_mini.programs import parse_program


def cyclomatic(program: str) -> int:
    """One plus the decisions in the whole program (McCabe 1976), counted as radon counts them.

    radon leaves out functions inside functions and what stands in an `assert`; here they count.
    The official code takes the largest function. It also follows cognitive complexity, which
    weighs the same decisions by their depth.
    """
    return 1 + sum(map(_decisions, ast.walk(parse_program(program))))


def _decisions(node: ast.AST) -> int:
    match node:
        case ast.If() | ast.IfExp() | ast.Assert():
            return 1
        case ast.For() | ast.AsyncFor() | ast.While():
            return 1 + bool(node.orelse)
        case ast.comprehension():
            return 1 + len(node.ifs)
        case ast.BoolOp():
            return len(node.values) - 1
        case ast.Try() | ast.TryStar():
            return len(node.handlers) + bool(node.orelse)
        case ast.Match():
            patterns = [case.pattern for case in node.cases]
            return len(patterns) - any(
                isinstance(pattern, ast.MatchAs) and pattern.pattern is None for pattern in patterns
            )
    return 0


class Halstead(NamedTuple):
    """Halstead's measures: bits to write the program, how hard that is, and their product."""

    volume: float
    difficulty: float
    effort: float


def halstead(program: str) -> Halstead:
    """Halstead's measures as radon and the official code count them; nan if nested too deep.

    They count arithmetic, comparisons, `and`, `or` and `not` alone. Calls, methods, subscripts and
    assignments are no operators, so `return sorted(a)[0]` has volume 0: trust the nodes first.
    """
    from radon.metrics import h_visit_ast

    try:
        total = h_visit_ast(parse_program(program)).total
    except RecursionError:
        return Halstead(math.nan, math.nan, math.nan)
    return Halstead(float(total.volume), float(total.difficulty), float(total.effort))
