"""The arguments in an answer: of exactly one call, and what they can reach when they are evaluated.

An argument may be any expression, also one that would rather change the function than be its input.
"""

import ast

from azr_mini.sandbox.contained import SAFE_BUILTINS, is_contained
from azr_mini.sandbox.static_check import Refused, check_length, parse
from azr_mini.values import canonical


def statement(text: str) -> ast.stmt | None:
    """The only statement of a text."""
    try:
        check_length(text)
        body = parse(text).body
    except Refused:
        return None
    return body[0] if len(body) == 1 else None


def stated_arguments(answer: str, name: str) -> str | None:
    """The arguments in an answer: a call of `name`, an assertion about one, or bare arguments.

    None unless the answer is exactly one of these.
    """
    arguments = answer
    match statement(answer):
        case (
            ast.Assert(test=ast.Compare(left=ast.Call() as call, ops=[ast.Eq()]))
            | ast.Expr(value=ast.Compare(left=ast.Call() as call, ops=[ast.Eq()]))
            | ast.Expr(value=ast.Call() as call)
        ) if _calls(call, name):
            arguments = ast.get_source_segment(answer, call)[len(name) :].strip()[1:-1]
    # Whatever was cut out must be the arguments of one call. The line break keeps "3)#" from hiding
    # our own closing bracket in a comment.
    match statement(f"{name}({arguments}\n)"):
        case ast.Expr(value=ast.Call(func=ast.Name(), args=positional, keywords=named)):
            nodes = [node for part in (*positional, *named) for node in ast.walk(part)]
            # Bare arguments with a call of the function inside may be a call with something added.
            return None if any(_calls(node, name) for node in nodes) else arguments
    return None


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def are_contained(arguments: str) -> bool:
    """Whether arguments can reach nothing but their own objects and what is handed to them.

    Names of the program may only be whole arguments: its objects must not be changed.
    """
    call = parse(f"f({arguments}\n)").body[0].value
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    nodes = [node for part in given if not isinstance(part, ast.Name) for node in ast.walk(part)]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return is_contained(nodes) and all(
        node.id in bound or node.id in SAFE_BUILTINS for node in names
    )


def as_text(seen: object) -> str | None:
    """Argument text of the (positional, named) values that came out of a process.

    None where they are not plain, or not even a pair: a hostile process says what it likes.
    """
    match seen:
        case (tuple() as positional, dict() as named):
            try:
                canonical(as_built_in([[_range_as_list(value) for value in positional], named]))
            except ValueError:
                return None
            return f"*{positional!r}, **{named!r}"
    return None


def _range_as_list(value: object) -> object:
    return list(value) if isinstance(value, range) else value


def as_built_in(value: object) -> object:
    """The value with the built-in values that those of `collections` and numpy equal."""
    if isinstance(value, dict):
        return {as_built_in(key): as_built_in(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return set(map(_hashable, value))
    if isinstance(value, list | tuple):
        return type(value)(map(as_built_in, value))
    return value.item() if type(value).__module__ == "numpy" else value


def _hashable(value: object) -> object:
    return value if isinstance(value, frozenset) else as_built_in(value)
