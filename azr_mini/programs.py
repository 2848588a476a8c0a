"""Program text compared as syntax trees: layout, comments and chosen names do not matter."""

import ast
import hashlib
import warnings
from collections.abc import Iterator

from azr_mini.values import PARSE_ERRORS

MAX_PROGRAM_LENGTH = 20_000  # characters; the parser's time and stack must stay bounded
ENTRY = "f"

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Module)


def parse_program(program: str) -> ast.Module:
    """The syntax tree of a program; ValueError, and nothing else, for any other text."""
    if len(program) > MAX_PROGRAM_LENGTH:
        raise ValueError(f"a program may have {MAX_PROGRAM_LENGTH} characters, not {len(program)}")
    try:
        with warnings.catch_warnings():  # model code such as "\d" warns, and warnings may be errors
            warnings.simplefilter("ignore")
            return ast.parse(program)
    except PARSE_ERRORS as error:
        raise ValueError(f"not a Python program ({type(error).__name__})") from None


def canonical_program(program: str) -> str:
    """The program's text with one layout and no comments; ValueError if it does not parse."""
    return source_of(parse_program(program))


def source_of(tree: ast.AST) -> str:
    """The text of a syntax tree; ValueError if it is nested too deep to be written down."""
    try:
        return ast.unparse(tree)
    except PARSE_ERRORS as error:
        raise ValueError(f"a program too large to write down ({type(error).__name__})") from None


def program_key(program: str) -> str:
    """The sha256 of the syntax tree with its own names numbered in order of appearance.

    Docstrings are left out and the entry name `f`, built-in names and attributes are kept, so two
    programs share a key exactly when they differ in layout, comments, docstrings or the names that
    they chose for variables, arguments and helpers. ValueError if the text is not a program.
    """
    tree = normalized_tree(program)
    try:
        text = ast.dump(tree)
    except PARSE_ERRORS as error:
        raise ValueError(f"a program too large to compare ({type(error).__name__})") from None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def normalized_tree(program: str) -> ast.Module:
    """The syntax tree that `program_key` compares; ValueError if the text is not a program."""
    tree = parse_program(program)
    _number_names(tree)
    return tree


def _number_names(tree: ast.Module) -> None:
    nodes = list(walk_in_order(tree))
    own = _bound_names(nodes)
    numbers: dict[str, str] = {}

    def number(name: str | None) -> str | None:
        if name not in own:
            return name
        return numbers.setdefault(name, f"#{len(numbers)}")  # "#" occurs in no other name

    for node in nodes:
        if isinstance(node, _SCOPES) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        match node:
            case ast.Name():
                node.id = number(node.id)
            case ast.arg():
                node.arg = number(node.arg)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                node.name = number(node.name)
            case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar():
                node.name = number(node.name)
            case ast.MatchMapping():
                node.rest = number(node.rest)
            case ast.alias():
                node.asname = number(node.asname)
            case ast.Global() | ast.Nonlocal():
                node.names = [number(name) for name in node.names]
            case ast.Call(func=ast.Name()):
                if node.func.id in own:  # a keyword of our own function is one of its arguments
                    for keyword in node.keywords:
                        keyword.arg = number(keyword.arg)
            case ast.Constant():
                node.kind = None  # u"" is ""


def walk_in_order(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node of a tree as the source has them, parents first, however deep it is."""
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(list(ast.iter_child_nodes(node))))


def _bound_names(nodes: list[ast.AST]) -> set[str]:
    names, members = set(), set()
    for node in nodes:
        match node:
            case ast.Name(ctx=ast.Store() | ast.Del()):
                names.add(node.id)
            case ast.arg():
                names.add(node.arg)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar():
                names.add(node.name)
            case ast.MatchMapping():
                names.add(node.rest)
            case ast.alias():
                names.add(node.asname)
        if isinstance(node, ast.ClassDef):  # members are used as attributes, which keep their names
            for statement in node.body:
                if isinstance(statement, _FUNCTIONS):
                    members.add(statement.name)
                elif isinstance(statement, ast.Assign):
                    members.update(t.id for t in statement.targets if isinstance(t, ast.Name))
    return names - members - {ENTRY, None}
