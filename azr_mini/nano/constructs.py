"""What programs are made of, so that two grammars can be compared and a program found in reach."""

import ast
import copy
import random
from functools import cache

from azr_mini.nano.drawing import ACCUMULATE
from azr_mini.nano.grammar import Assign, Branch, Expression, Loop, Program
from azr_mini.nano.operations import CONDITIONS, OPERATIONS, Operation
from azr_mini.programs import parse_program

_SILENT = (  # nodes that are part of another or that every program has
    ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop, ast.arguments, ast.arg,
    ast.Module, ast.Name, ast.Slice, ast.comprehension, ast.Return, ast.Assign,
)  # fmt: skip


def statement_shapes(source: str) -> frozenset[str]:
    """Every statement of a program as text, with one name for all and one constant of each type.

    A compound statement is its first line and the kinds of statement below it, so that a branch
    inside a branch is another shape. ValueError if the source is no program.
    """
    statements = [node for node in ast.walk(parse_program(source)) if isinstance(node, ast.stmt)]
    return frozenset(map(_shape, statements)) - {"def"}


def _shape(statement: ast.stmt) -> str:
    match statement:
        case ast.FunctionDef(name="f"):
            return "def"
        case ast.If(test=test, body=body, orelse=orelse):
            below = f": {_kinds(body)}" + (f" else: {_kinds(orelse)}" if orelse else "")
            return f"if {_plain(test)}{below}"
        case ast.For(target=target, iter=iterated, body=body, orelse=orelse):
            end = " else" if orelse else ""
            return f"for {_plain(target)} in {_plain(iterated)}: {_kinds(body)}{end}"
        case ast.While(test=test, body=body):
            return f"while {_plain(test)}: {_kinds(body)}"
    return _plain(statement)


def _kinds(body: list[ast.stmt]) -> str:
    return " ".join(type(statement).__name__ for statement in body)


class _Plain(ast.NodeTransformer):
    """Gives every variable one name and every constant of a type one value."""

    def visit_Call(self, node: ast.Call) -> ast.Call:
        function = node.func if isinstance(node.func, ast.Name) else self.visit(node.func)
        return ast.Call(function, [self.visit(a) for a in node.args], node.keywords)

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name("x", node.ctx)

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(type(node.value)() if node.value is not None else None)


def _plain(node: ast.AST) -> str:
    return ast.unparse(_Plain().visit(copy.deepcopy(node)))


def constructs(source: str) -> frozenset[str]:
    """What a program uses: operators, functions, methods, indices, kinds of statement.

    ValueError if the source is no program.
    """
    return frozenset(name for node in ast.walk(parse_program(source)) for name in _names(node))


def _names(node: ast.AST) -> list[str]:
    match node:
        case ast.Call(func=ast.Name(id=name)):
            return [f"{name}()", *(["keyword"] if node.keywords else [])]
        case ast.Call(func=ast.Attribute(attr=name)):
            return [f".{name}()", *(["keyword"] if node.keywords else [])]
        case ast.Attribute() | ast.FunctionDef(name="f") | ast.Constant(value=bool() | int()):
            return []
        case ast.Constant(value=value):
            return [] if isinstance(value, str) else [type(value).__name__]
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.UnaryOp(op=op):
            return [type(op).__name__]
        case ast.Compare(ops=ops):
            return [*(type(op).__name__ for op in ops), *(["chained"] if len(ops) > 1 else [])]
        case ast.Subscript(slice=ast.Slice() as part):
            upper = _bound(part.upper)
            upper = "n" if upper.isdigit() else upper  # the grammar takes the first 1, 2 or 3
            return [f"[{_bound(part.lower)}:{upper}:{_bound(part.step)}]"]
        case ast.Subscript(slice=index):
            return [f"[{_bound(index)}]"]
    return [] if isinstance(node, _SILENT) else [type(node).__name__]


def _bound(node: ast.expr | None) -> str:
    """An index or a bound of a slice: itself if it is a whole number, else x."""
    text = ast.unparse(node) if node is not None else ""
    return text if not text or text.lstrip("-").isdigit() else "x"


# ---- the first grammar, whole --------------------------------------------------------------------


@cache
def first_grammar() -> frozenset[str]:
    """Programs that between them hold every statement the first grammar can write, in shape."""
    whole = [Program((("a", "int"), ("b", "int")), (), _use(o)) for o in OPERATIONS]
    for operation in (*OPERATIONS, *ACCUMULATE):
        assign = Assign("c", _use(operation))
        whole.append(Program((("a", "int"),), (assign, *_branches(assign)), "c"))
        over_list = [Loop("v", "a", "t", body) for body in (assign, *_branches(assign)[::2])]
        whole.append(Program((("a", "int"),), (*over_list, Loop("i", "2", None, assign)), "c"))
    return frozenset(program.source for program in whole)


def _branches(assign: Assign) -> list[Branch]:
    tests = [_use(condition) for condition in CONDITIONS]
    return [Branch(test, assign, other) for test in tests for other in (None, assign)]


def _use(operation: Operation) -> Expression:
    """The operation on variables, with a constant of the type that it takes."""
    constant = operation.constant(random.Random(0)) if operation.constant else None
    return Expression(operation, ("a", "b")[: len(operation.arguments)], constant)


@cache
def first_shapes() -> frozenset[str]:
    """The shape of every statement that the first grammar can write."""
    return frozenset[str]().union(*map(statement_shapes, first_grammar()))


@cache
def first_constructs() -> frozenset[str]:
    """Everything that programs of the first grammar use."""
    return frozenset[str]().union(*map(constructs, first_grammar()))
