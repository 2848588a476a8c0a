"""Policy before the boundary: refuses programs early and says why. Nothing relies on it."""

import ast
import warnings
from typing import NamedTuple

from azr_mini.sandbox.contained import is_contained

MAX_PROGRAM = 20_000  # characters

ALLOWED_MODULES = (
    "math itertools collections functools operator string re heapq bisect dataclasses enum typing "
    "fractions decimal statistics copy abc numbers textwrap unicodedata"
).split()
FORBIDDEN_NAMES = frozenset(
    "open eval exec compile __import__ globals locals breakpoint exit quit help input memoryview "
    "__builtins__ __loader__ __spec__".split()
)
FORBIDDEN_ATTRIBUTES = frozenset(
    "__globals__ __builtins__ __subclasses__ __code__ __closure__ __import__ __loader__ __spec__ "
    "__mro__ __base__ __bases__ __getattribute__ __traceback__ __reduce__ __reduce_ex__ tb_frame "
    "tb_next f_back f_globals f_locals f_builtins f_code gi_frame gi_code cr_frame ag_frame".split()
)
HASH_NAMES = frozenset("set frozenset hash id".split())
PARSE_ERRORS = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError, OverflowError)


class Refused(Exception):
    """A program that is not run. `status` is "syntax" or "unsafe"; the text says why."""

    def __init__(self, status: str, detail: str):
        super().__init__(detail)
        self.status = status


class Traits(NamedTuple):
    """What the text of an allowed program says about how it must be run."""

    sensitive: bool = True  # it may show hashes or addresses, so it meets every hash seed
    contained: bool = False  # it can change nothing that another program sees


def check_length(program: str) -> None:
    """Raises Refused for text too long to be looked at."""
    if len(program) > MAX_PROGRAM:
        raise Refused("syntax", f"longer than {MAX_PROGRAM} characters")


def check_program(program: str) -> Traits:
    """The traits of an allowed program; raises Refused for any other."""
    check_length(program)
    tree = parse(program)
    if not any(isinstance(node, ast.FunctionDef) and node.name == "f" for node in tree.body):
        raise Refused("syntax", "no top-level def f")
    nodes = list(ast.walk(tree))
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    for name in used & FORBIDDEN_NAMES:
        if name not in _bound_names(nodes):  # a local variable may be called `open`
            raise Refused("unsafe", f"use of {name}")
    for node in nodes:
        for name in FORBIDDEN_ATTRIBUTES.intersection(_attributes(node)):
            raise Refused("unsafe", f"use of {name}")
        if isinstance(node, ast.Import | ast.ImportFrom):
            _check_import(node)
    sensitive = bool(used & HASH_NAMES) or any(map(_makes_set, nodes))
    return Traits(sensitive, is_contained(nodes))


def parse(program: str) -> ast.Module:
    """The syntax tree of a program; raises Refused, and nothing else, for any other text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" is only a SyntaxWarning
            return ast.parse(program)
    except PARSE_ERRORS as error:
        reason = str(getattr(error, "msg", None) or error)
        raise Refused("syntax", f"{type(error).__name__}: {reason[:150]}") from None


def _attributes(node: ast.AST) -> list[str]:
    """The names of attributes that a node looks up; a class pattern does so as well."""
    if isinstance(node, ast.MatchClass):
        return node.kwd_attrs
    return [node.attr] if isinstance(node, ast.Attribute) else []


def _bound_names(nodes: list[ast.AST]) -> set[str]:
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.id for node in nodes if isinstance(node, ast.Name) and _is_store(node)}
    return bound | {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}


def _is_store(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _check_import(node: ast.Import | ast.ImportFrom) -> None:
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    else:
        modules = ["." * node.level + (node.module or "")]
        for alias in node.names:
            if alias.name.startswith("_"):
                raise Refused("unsafe", f"import of {alias.name[:50]}")
    for module in modules:
        if module.partition(".")[0] not in ALLOWED_MODULES:
            raise Refused("unsafe", f"import of {module[:50]}")


def _makes_set(node: ast.AST) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.BinOp):  # a.keys() - b.keys() is a set as well
        return any(
            isinstance(side, ast.Call)
            and isinstance(side.func, ast.Attribute)
            and side.func.attr in ("keys", "items")
            for side in (node.left, node.right)
        )
    return isinstance(node, ast.Attribute) and node.attr == "__hash__"
