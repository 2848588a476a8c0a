"""Runs one program of a benchmark on its inputs. Only ever executed inside a confined process.

Loaded by file path in the place of program.py, with a wider idea of what a program is: a function
of any name, a method of a class, or a whole script that reads stdin. The process has no descriptor
but the result pipe, so stdin and stdout are buffers in memory.
"""

import builtins
import importlib.util
import io
import json
import sys
import threading
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from math import inf, nan
from pathlib import Path
from types import ModuleType

NAMES = {  # that the text of an argument may use although no program defines them
    "inf": inf, "nan": nan, "deque": deque, "Counter": Counter, "OrderedDict": OrderedDict,
    "defaultdict": defaultdict,
}  # fmt: skip

_spec = importlib.util.spec_from_file_location("azr_run", Path(__file__).with_name("program.py"))
plain = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(plain)
Outcome = plain.Outcome


def run_programs(programs: list, _reverse: bool, canonical) -> Iterator[bytes]:
    """The answer for some (source, inputs, entry) in pieces: a line for each input.

    The first line that does not begin with "ok" is the last of its program. Each line is sent as
    soon as it is known: where a process is stopped, the trainer sees which input it was at.
    """
    sys.set_int_max_str_digits(0)
    for source, inputs, *entry in programs:
        name = entry[0] if entry else "f"
        for status, text in run_program(source, inputs, name, canonical):
            yield f"{status} {text}\n".encode("utf-8", "backslashreplace")
            if status != "ok":
                break


def run_program(source: str, inputs: list[str], entry: str | None, canonical) -> Iterator[Outcome]:
    """One outcome per input; when the program itself fails, one outcome.

    entry: a function, "Class.method" of a fresh object, or None for a script that reads an input
    as its stdin and whose stdout is the value.
    """
    module = ModuleType("program" if entry else "__main__")
    sys.modules[module.__name__] = module
    try:
        code = compile(source, "<program>", "exec", dont_inherit=True)
    except Exception as error:  # the parser raises at least six kinds
        yield "syntax", plain.describe(error)
        return
    if entry is None:
        for text in inputs:
            yield run_script(code, module, text)
        return
    give_streams("")
    try:
        exec(code, module.__dict__)
    except BaseException as error:
        yield plain.failure(error)
        return
    for text in inputs:
        yield call(module.__dict__, entry, text, canonical)


def run_script(code, module: ModuleType, stdin: str) -> Outcome:
    """What a script wrote to stdout; to leave by `sys.exit` is no failure."""
    written = give_streams(stdin)
    try:
        exec(code, module.__dict__)
    except SystemExit:
        pass
    except BaseException as error:
        return plain.failure(error)
    # As one text, however long: lines are compared one by one.
    return encoded(lambda: written.getvalue().decode("utf-8", "replace"), json.dumps)


def call(namespace: dict, entry: str, text: str, canonical) -> Outcome:
    """The outcome of one call; the arguments are made afresh from their text every time."""
    try:
        function = find(namespace, entry)
        # The trainer has checked that the text is the arguments of one call, or has written it.
        make = "(lambda *arguments, **keywords: (arguments, keywords))"
        arguments, keywords = eval(f"{make}({text}\n)", NAMES | namespace)
    except BaseException as error:
        return plain.failure(error)
    return encoded(lambda: function(*arguments, **keywords), canonical)


def find(namespace: dict, entry: str) -> Callable:
    """The function, or the method of a fresh object, that an entry names."""
    owner, _, method = entry.partition(".")
    found = namespace[owner]
    return getattr(found(), method) if method else found


def encoded(make: Callable, canonical) -> Outcome:
    """The outcome of making a value and its text."""
    try:
        value = make()
    except BaseException as error:
        return plain.failure(error)
    try:
        return "ok", canonical(value)
    except (ValueError, RecursionError) as error:
        return "output", plain.one_line(str(error))
    except BaseException as error:
        return plain.failure(error)


class Kept(io.BytesIO):
    """Bytes that a program cannot throw away by closing its stdout."""

    def close(self) -> None:
        pass


def give_streams(stdin: str) -> Kept:
    """Replaces the standard streams, and opening stdin as a file; where stdout arrives."""
    written = Kept()
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8", "replace")), "utf-8")
    sys.stdout = io.TextIOWrapper(written, "utf-8", "replace", write_through=True)
    sys.stderr = io.TextIOWrapper(io.BytesIO(), "utf-8", "replace")
    open_file, source = io.open, sys.stdin

    def open_stdin(file, mode="r", *arguments, **keywords):
        if file in (0, "/dev/stdin"):
            return source.buffer if "b" in mode else source
        return open_file(file, mode, *arguments, **keywords)

    builtins.open = open_stdin
    return written


def run_in_place(thread: threading.Thread) -> None:
    """Instead of starting a thread: contest programs use one only to have a larger stack."""
    try:
        thread.run()
    except SystemExit:
        pass


threading.Thread.start = run_in_place
threading.Thread.join = lambda thread, timeout=None: None
threading.stack_size = lambda size=0: 0
time.sleep = lambda seconds: None  # to sleep is forbidden, and no answer depends on it
