"""Plain Python values as text: parsing, canonical text, typed equality.

Two values are equal exactly when their canonical texts are equal. That is stricter than Python's
`==`: True, 1 and 1.0 differ, a list differs from a tuple; the order of sets and dicts does not
matter and -0.0 equals 0.0. Arguments are not compared but handed to a program, which may go
through a dict in its order, so their text keeps that order. Standard library only: the confined
process loads this same file.
"""

import ast
import math
import warnings

MAX_TEXT = 20_000  # characters of one value, or of all arguments of one call
MAX_DEPTH = 50  # nested containers
MAX_INT_BITS = 14_280  # just below the 4,300 digits that Python converts to and from text

# Everything that parsing hostile text has been seen to raise.
PARSE_ERRORS = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError, OverflowError)


def canonical(value: object) -> str:
    """The one text of a plain value; ValueError, naming the type, for anything else."""
    return _Writer().text(value, MAX_DEPTH)


def parse_value(text: str) -> object:
    """The plain value that a literal text denotes; ValueError for any other text."""
    value = _literal(text)
    canonical(value)  # refuses literals that are not plain values: 1j, ..., 1e999
    return value


def canonical_value_text(text: str) -> str:
    """The canonical text of a literal text; ValueError for any other text."""
    return canonical(_literal(text))


def parse_arguments(text: str) -> tuple:
    """The arguments of `f(<text>)`; ValueError unless that is one call with plain literals."""
    arguments = _literal_arguments(text)
    _join(arguments)
    return arguments


def canonical_arguments(text: str) -> str:
    """Canonical argument text such as "3, [1, 2]", dicts in the order in which they were written.

    ValueError where `parse_arguments` raises it.
    """
    return _join(_literal_arguments(text))


def equal_values(a: str, b: str) -> bool:
    """Whether two canonical texts denote the same value, types included."""
    return a == b


class _Writer:
    """Writes one canonical text and stops as soon as it grows beyond MAX_TEXT.

    The running budget matters: fifty lists that each hold the previous one twice are a small
    object with a text of 2**50 characters.
    """

    def __init__(self, sort_dicts: bool = True):
        self.budget = MAX_TEXT
        self.sort_dicts = sort_dicts

    def text(self, value: object, depth: int) -> str:
        if depth < 0:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        kind = type(value)  # exact types: a subclass may lie about itself
        if kind is list:
            return self.spend("[" + ", ".join(self.each(value, depth)) + "]", 2)
        if kind is tuple:
            comma = "," if len(value) == 1 else ""
            return self.spend("(" + ", ".join(self.each(value, depth)) + comma + ")", 3)
        if kind is set:
            if not value:
                return self.spend("set()")
            return self.spend("{" + ", ".join(sorted(self.each(value, depth))) + "}", 2)
        if kind is dict:
            keys, values = self.each(value, depth), self.each(value.values(), depth)
            items = list(map(": ".join, zip(keys, values, strict=True)))
            if self.sort_dicts:
                items.sort()
            return self.spend("{" + ", ".join(items) + "}", 2)
        return self.spend(_leaf(value))

    def each(self, values, depth: int) -> list[str]:
        texts = []
        for value in values:
            self.spend("", 2)  # the separator
            texts.append(self.text(value, depth - 1))
        return texts

    def spend(self, text: str, cost: int | None = None) -> str:
        self.budget -= len(text) if cost is None else cost
        if self.budget < 0:
            raise ValueError(f"text longer than {MAX_TEXT} characters")
        return text


def _leaf(value: object) -> str:
    kind = type(value)
    if value is None or kind is bool:
        return repr(value)
    if kind is int:
        if value.bit_length() > MAX_INT_BITS:
            raise ValueError(f"int of more than {MAX_INT_BITS} bits")
        return repr(value)
    if kind is float:
        if not math.isfinite(value):
            raise ValueError(f"float {value!r} is not finite")
        return repr(value + 0.0)  # -0.0 + 0.0 is 0.0
    if kind is str or kind is bytes:
        if len(value) > MAX_TEXT:
            raise ValueError(f"text longer than {MAX_TEXT} characters")
        return repr(value)
    raise ValueError(f"{kind.__name__[:80]} is not a plain value")


def _join(arguments: tuple) -> str:
    text = ", ".join(_Writer(sort_dicts=False).text(value, MAX_DEPTH) for value in arguments)
    if len(text) > MAX_TEXT:
        raise ValueError(f"arguments longer than {MAX_TEXT} characters")
    return text


def _parse(source: str, length: int) -> ast.expr:
    # The cap also keeps the parser's own recursion far from the end of the C stack.
    if length > MAX_TEXT:
        raise ValueError(f"text longer than {MAX_TEXT} characters")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\d" is only a SyntaxWarning
        return ast.parse(source, mode="eval").body


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(_parse(text.strip(), len(text)))
    except PARSE_ERRORS as error:
        raise ValueError(f"not a literal: {_reason(error)}") from None


def _literal_arguments(text: str) -> tuple:
    try:
        # The line break keeps "3)#" from hiding our own closing bracket in a comment.
        call = _parse(f"f({text}\n)", len(text))
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            raise ValueError("not the arguments of one call")
        if call.keywords:
            raise ValueError("keyword arguments")
        return tuple(map(ast.literal_eval, call.args))
    except PARSE_ERRORS as error:
        raise ValueError(f"not literal arguments: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    message = str(getattr(error, "msg", None) or error).split(" <ast.")[0]
    return (message or type(error).__name__).rstrip(": ")[:150]
