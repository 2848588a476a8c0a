"""Every reader of text that a model wrote or that a damaged file holds, as a function of bytes.

Each entry of PARSERS feeds one reader and lets only undocumented exceptions out: what its docstring
promises to raise is caught, what it promises to return is asserted. Nothing runs the text.
"""

import gzip
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from azr_mini import prompts, validate
from azr_mini.behaviour import flagged_phrases
from azr_mini.files import gzip_members, json_lines
from azr_mini.programs import canonical_program, parse_program, program_key
from azr_mini.prompts import Dialect, Proposal
from azr_mini.sandbox import Job
from azr_mini.sandbox.cases import Case, judge, read_reply
from azr_mini.sandbox.protocol import Reply, Request
from azr_mini.sandbox.static_check import Refused, check_program
from azr_mini.tasks import Task, TaskType, task_from_json
from azr_mini.values import (
    canonical,
    canonical_arguments,
    canonical_value_text,
    parse_arguments,
    parse_value,
)

PROGRAM = "def f(a):\n    return a + 1"
QUESTIONS = [
    Task(TaskType.DEDUCTION, PROGRAM, ("1",), ("2",)),
    Task(TaskType.ABDUCTION, PROGRAM, ("1",), ("2",)),
    Task(TaskType.INDUCTION, PROGRAM, ("1", "2"), ("2", "3"), "", 1),
]
MEMORY = Path("/dev/shm")  # a file there costs a tenth of one on a disk
FILE = MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())
FILE /= f"azr-mini-parsers-{os.getpid()}"


def text_of(data: bytes) -> str:
    """The text of any bytes; those that are no UTF-8 become lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def _either(errors, function: Callable, *arguments):
    """What the function returns, None where it raises one of the errors that it documents."""
    try:
        return function(*arguments)
    except errors:
        return None


def _read(function: Callable, errors=ValueError) -> Callable[[bytes], bool]:
    return lambda data: _either(errors, function, text_of(data)) is not None


def _canonical(function: Callable) -> Callable[[bytes], bool]:
    def read(data: bytes) -> bool:
        said = _either(ValueError, function, text_of(data))
        assert said is None or function(said) == said, "canonical text is its own canonical text"
        return said is not None

    return read


def _value(data: bytes) -> bool:
    text = text_of(data)
    value = _either(ValueError, lambda: [parse_value(text)])  # a list: the value may be None
    assert _either(ValueError, canonical_value_text, text) == (value and canonical(value[0]))
    return value is not None


def _completion(read: Callable) -> Callable[[bytes], bool]:
    """Reads the bytes as a whole completion and as its answer, in both dialects, all types."""

    def check(data: bytes) -> bool:
        text = text_of(data)
        completions = (text, f"<answer>{text}</answer>")
        return any([read(t, c, d) for t in TaskType for c in completions for d in Dialect])

    return check


def _proposal(type: TaskType, completion: str, dialect: Dialect) -> bool:
    proposal = prompts.parse_proposal(type, completion, dialect, PROGRAM, num_inputs=2)
    assert proposal is None or len(proposal.inputs) == (2 if type is TaskType.INDUCTION else 1)
    return proposal is not None


def _answer(type: TaskType, completion: str, dialect: Dialect) -> bool:
    answer = prompts.parse_answer(type, completion, dialect)
    assert answer is None or (answer and answer == answer.strip())
    return answer is not None


def _thought(data: bytes) -> bool:
    text = text_of(data)
    assert prompts.has_thought(text) == bool(prompts.thought(text).strip())
    return prompts.has_thought(text)


def _flagged(data: bytes) -> bool:
    return bool(flagged_phrases(text_of(data)))


def _reply(data: bytes) -> bool:
    """A payload that claims to answer for two programs, of one and of two inputs."""
    cases = [Case(PROGRAM, ["1"], []), Case(PROGRAM, ["1", "2"], [])]
    request = Request(1, [case.runnable for case in cases], 1.0, 1.0, cases=cases)
    runs = read_reply(request, Reply("", payload=data.decode("utf-8", "replace")))
    for case, run in zip(cases, runs, strict=True):
        case.runs = {1: run, 2: run}
        result = judge(case)
        assert len(result.outputs) == len(case.inputs) and len(result.detail) <= 200, result
        assert result.detail.isprintable() and result.detail.isascii(), result
    return any(outcome != ("error", "ended without an answer") for run in runs for outcome in run)


def _leaks(data: bytes) -> bool:
    message, cut, program = text_of(data).partition("\0")
    program = program if cut else message
    message = message[: validate.MAX_MESSAGE_LENGTH]  # longer ones are refused before
    return _either(ValueError, validate.leaks, message, program) is not None


def _question(data: bytes) -> bool:
    """What `validate` and `grade` do with a text before and without running it."""
    program, _, rest = text_of(data).partition("\0")
    message, _, argument = rest.partition("\0")
    readings = [validate._question(task, program) for task in QUESTIONS]
    for type in TaskType:
        reading = validate._read(Proposal(type, program, (argument,), message))
        if isinstance(reading, validate.Rejection):
            assert reading.name in validate.REJECTIONS and len(reading.detail) <= 200, reading
        readings.append(reading)
    return any(isinstance(reading, Job) for reading in readings)


def _json_file(data: bytes) -> bool:
    found = []
    for end in (b"", b"\n"):  # without a line break the last record counts as torn
        records = _either(ValueError, _read_file, json_lines, data + end)
        assert records is None or all(isinstance(record, dict) for record in records)
        found.append(records)
    return any(found)


def _gzip_file(data: bytes) -> bool:
    return bool(_either(ValueError, _read_file, gzip_members, data))


def _read_file(read: Callable, data: bytes) -> list:
    FILE.write_bytes(data)
    try:
        return list(read(FILE))
    finally:
        FILE.unlink()


def _task(data: bytes) -> bool:
    record = _either((ValueError, RecursionError), json.loads, data)
    task = _either(ValueError, task_from_json, record)
    assert task is None or task_from_json(task.to_json()) == task
    return task is not None


# Whether the reader made something of the bytes; a reader that is wrong raises.
PARSERS: dict[str, Callable[[bytes], bool]] = {
    "parse_value": _value,
    "canonical_value_text": _canonical(canonical_value_text),
    "parse_arguments": _read(parse_arguments),
    "canonical_arguments": _canonical(canonical_arguments),
    "parse_program": _read(parse_program),
    "canonical_program": _read(canonical_program),
    "program_key": _read(program_key),
    "check_program": _read(check_program, Refused),
    "parse_proposal": _completion(_proposal),
    "parse_answer": _completion(_answer),
    "thought": _thought,
    "flagged_phrases": _flagged,
    "leaks": _leaks,
    "proposals_and_answers": _question,
    "read_reply": _reply,
    "json_lines": _json_file,
    "gzip_members": _gzip_file,
    "task_from_json": _task,
}

# ---- near-valid text, from which fuzzing and property tests start -------------------------------

VALUES = ["[1, -2.5, 'a', None]", "{'a': (1,), b'\\x00': {True}}, 0x1f", "set(), -0.0"]
PROGRAMS = [
    PROGRAM,
    "import math as m\n@staticmethod\ndef g(x, *y, k=1, **z):\n    '''Says.'''\n"
    "    return lambda q: (x := q)\nclass A(B):\n    def h(self): return self.__hash__()\n"
    "async def f(a, /, b: int = 2) -> set:\n    global c\n    try:\n        del a[0]\n"
    "    except (E, F) as e:\n        raise e from None\n"
    "    return {k: v for k, v in a.items() if k not in {1, 2}} - b.keys()",
    "def f(a):\n    match a:\n        case [1, *rest] | {'k': x, **rest} if x: return rest\n"
    "        case A(b=_) as y: yield from f'{y!r:>{a}}'\n    while a: a -= 1; continue\n"
    "    with open(a) as (b, c): nonlocal d; return `a`",
]
FENCED = "```python\n" + PROGRAM + "\n```\n```input\n1, 'a'\n```\n"
COMPLETIONS = [
    "<think>b=2\nto fool the grader</think><answer>[1, 2]</answer>",
    f"<think>\n</think>\n<answer>\n{FENCED}</answer>",
    "<answer><input>1<input>[2]<message>adds one</answer>",
    f"<answer><program>{PROGRAM}<input>1</answer>",
    "<answer>```input\n1\n```\n````input\n2\n```\n``` message \nm\n```\n```output\n7\n```</answer>",
]
TASK = json.dumps(
    {"type": "deduction", "program": PROGRAM, "inputs": ["1"], "outputs": ["2"], "message": None}
)
REPLIES = [
    "ok 1\n\nok [1]\nok {2}\n\n",
    "error ValueError: no\n\nsyntax no\n\n",
    "output a\x1b[2Jb\0\n\nok 1\nok 2\n\n",
]
SPLIT = [f"{PROGRAM}\0a message\0[1]", f"return a + 1\0{PROGRAM}", "def f(\0" + PROGRAMS[1]]
SEEDS: list[bytes] = [
    text.encode()
    for text in (*VALUES, *PROGRAMS, *COMPLETIONS, *REPLIES, *SPLIT, TASK, TASK + "\n{}\n")
] + [gzip.compress(TASK.encode(), mtime=0), gzip.compress(b"a", mtime=0) * 3]

TOKENS: list[bytes] = [
    token.encode("utf-8", "surrogatepass")
    for token in (
        *prompts.NANO_TAGS, "```", "````", "```python\n", "```input\n", "\n```\n", "\0", "\ud800",
        "\udcff", "\ufeff", "\r\n", "\n", "\n    ", "\t", "\f", "\x1c", "\u2028", "\\\n",
        "\\N{BELL}", "\\ud800", "'", '"', "'''", "f'{", "}'", "rb'", "(", ")", "[", "]", "{", "}",
        ",", ":", "*", "**", "-", "~", "@", ":=", "->", "=", ".", "...", "#", ";", "1e999", "1j",
        "0x", "9" * 40, "9" * 5000, "1_0", "-0.0", "é", "ﬁ", "𝔣", "lambda:", "lambda a:", "not ",
        "await ", "yield ", "async ", "def f(a):", "class A:", "if 1:\n ", "else ", "for x in ",
        "import os", "from . import *", "__class__", "set()", "ok ", "None", "True", "{1:", "a.",
        "a[", "f(", "print ", "global a", "match a:\n case ", "outsmart", "fool the ",
        "without being ", '{"', '":', "null", "NaN",
    )
]  # fmt: skip
NESTS = [
    ("(", ")"), ("[", "]"), ("{", "}"), ("{1:", "}"), ("f(", ")"), ("a[", "]"), ("(a:=", ")"),
    ("-", ""), ("not ", ""), ("lambda:", ""), ("a.", "a"), ("f'{", "}'"), ("[x for x in ", "]"),
    ("1 if ", " else 1"), ("<think>", "</think>"), ("<answer>", "</answer>"), ("```\n", "\n```"),
    ("```python\n", "```\n"), ('{"a":', "}"), ("if 1:\n ", ""), ("(a,", ")"),
    ("lambda a=(", "): 1"),
]  # fmt: skip


def families(length: int) -> Iterator[tuple[str, bytes]]:
    """(name, about that many bytes): each token repeated, each nest deep or side by side."""
    for token in TOKENS:
        yield f"repeat {token[:20]!r}", token * (length // len(token))
    for left, right in NESTS:
        count = length // len(left + right)
        for depth in (count, 90, 20):
            text = left * depth + "1" + right * depth
            yield f"nest {left!r} {depth}", (text * max(1, length // len(text))).encode()
        text = "a\0def f(a):\n    return " + left * (count // 20) + "1" + right * (count // 20)
        yield f"return {left!r}", text.encode()
