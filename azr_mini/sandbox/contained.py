"""Which programs may share a process: those that can change nothing that another program sees.

Second runs share a process for speed, and there one program could answer for the next: make a
nondeterministic one look deterministic. So only programs share that stay within a part of Python
without reach beyond their own objects: built-ins that neither look up names nor touch frames, and
functions and types of C that cannot be changed and keep no table of what they were given. (Counter,
re and typing do: their tables call a key's __eq__, which may lie.) Everything else runs alone.
"""

import ast
import builtins

SAFE_BUILTINS = frozenset(
    "abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod "
    "enumerate filter float format frozenset hash hex int isinstance issubclass iter len list map "
    "max min next object oct ord pow print property range repr reversed round set slice sorted "
    "staticmethod str sum super tuple type zip Ellipsis NotImplemented __name__".split()
) | {
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}
UNSAFE_BUILTINS = frozenset(vars(builtins)) - SAFE_BUILTINS

IMMUTABLE = {  # module -> the names that may be taken from it, None for every public one
    "math": None,
    "itertools": None,
    "collections": frozenset("deque defaultdict OrderedDict".split()),
    "functools": frozenset("reduce cmp_to_key".split()),
    "heapq": frozenset("heapify heappop heappush heappushpop heapreplace".split()),
    "bisect": frozenset("bisect bisect_left bisect_right insort insort_left insort_right".split()),
    "string": frozenset(
        "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits printable "
        "punctuation whitespace".split()
    ),
}
FRAME_PREFIXES = ("__", "ag_", "co_", "cr_", "f_", "gi_", "tb_")


def is_contained(nodes: list[ast.AST]) -> bool:
    """Whether all nodes of a program's syntax tree stay within that part of Python."""
    modules: dict[str, str] = {}  # local name -> module
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name not in IMMUTABLE:
                    return False
                modules[alias.asname or alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom):
            if not all(_allowed(node.module or "", alias.name) for alias in node.names):
                return False
    # A module may only be asked for a name; it must not get anywhere as an object.
    asked = [node for node in nodes if isinstance(node, ast.Attribute) and _of(node, modules)]
    bases = {id(node.value) for node in asked}
    return all(_allowed(modules[node.value.id], node.attr) for node in asked) and all(
        _harmless(node, modules, bases) for node in nodes
    )


def _of(node: ast.Attribute, modules: dict[str, str]) -> bool:
    """Whether the attribute is looked up on an imported module."""
    return (
        isinstance(node.ctx, ast.Load)
        and isinstance(node.value, ast.Name)
        and node.value.id in modules
    )


def _allowed(module: str, name: str) -> bool:
    if module not in IMMUTABLE or name.startswith("_"):
        return False
    names = IMMUTABLE[module]
    return names is None or name in names


def _harmless(node: ast.AST, modules: dict[str, str], bases: set[int]) -> bool:
    match node:
        case ast.Name(id=name):
            if name in modules and id(node) not in bases:
                return False
            return name not in UNSAFE_BUILTINS and (name == "__name__" or name[:2] != "__")
        case ast.Attribute(attr=name):
            return not name.startswith(FRAME_PREFIXES)
        case ast.MatchClass(kwd_attrs=names):
            return not any(name.startswith(FRAME_PREFIXES) for name in names)
        case _:
            return True
