"""Runs one model-written program on its inputs. Only ever executed inside a confined process.

Loaded by file path. Outcomes are pairs (status, text): ("ok", canonical text) or (why not, detail).
"""

import sys
from types import ModuleType

MAX_DETAIL = 200


Outcome = tuple[str, str]


def run_programs(programs: list, reverse: bool, canonical) -> list[bytes]:
    """The answer for some (source, inputs): a line for each outcome, an empty line after each.

    It comes in one piece, because every write costs microseconds.
    """
    # Not JSON: every page of the encoder that a child touches is copied, and costs microseconds.
    text = "".join(
        "".join(
            f"{status} {text}\n" for status, text in run_program(source, inputs, reverse, canonical)
        )
        + "\n"
        for source, inputs in programs
    )
    return [text.encode("utf-8", "backslashreplace")]  # lone surrogates, in details only


def run_program(source: str, inputs: list[str], reverse: bool, canonical) -> list[Outcome]:
    """One outcome per input; when the program itself fails, one outcome that stands for all.

    `inputs` are canonical argument texts, `canonical` is `values.canonical`.
    """
    module = ModuleType("program")
    sys.modules["program"] = module  # dataclasses and enum look their module up
    try:
        code = compile(source, "<program>", "exec", dont_inherit=True)
    except Exception as error:  # the parser raises at least six kinds
        return [("syntax", describe(error))]
    try:
        exec(code, module.__dict__)
    except BaseException as error:
        return [failure(error)]
    function = module.__dict__.get("f")
    if not callable(function):
        return [("syntax", "no top-level def f")]
    # The second interpreter takes the inputs backwards: a program that counts its calls is caught.
    order = reversed(inputs) if reverse else inputs
    outcomes = [call(function, text, canonical) for text in order]
    return outcomes[::-1] if reverse else outcomes


def call(function, text: str, canonical) -> Outcome:
    """The outcome of one call; the arguments are made afresh from their text every time."""
    try:
        # eval is harmless here: the text is canonical, written by the trainer, never by a model.
        arguments = eval(f"({text},)") if text else ()
        value = function(*arguments)
    except BaseException as error:
        return failure(error)
    if value is None:
        return "output", "None"
    try:
        return "ok", canonical(value)
    except ValueError as error:
        return "output", one_line(str(error))
    except BaseException as error:
        return failure(error)


def failure(error: BaseException) -> Outcome:
    """The outcome of an exception that left the program."""
    if isinstance(error, MemoryError):
        return "memory", "MemoryError"
    return "error", describe(error)


def describe(error: BaseException) -> str:
    """The exception's name and message, bounded, whatever its __str__ does."""
    try:
        message = str(error)
    except BaseException:
        message = "?"
    return one_line(f"{type(error).__name__}: {message[:MAX_DETAIL]}")


def one_line(text: str) -> str:
    """Bounded text without line breaks, which would end an outcome."""
    return text[:MAX_DETAIL].replace("\n", " ")
