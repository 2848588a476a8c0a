"""Checks the exercises of notebook 01, "The interpreter as teacher".

Programs that a reader wrote run in the executor, like a model's.
"""

from collections.abc import Callable

from azr_mini.exercises.answer import Checked, ask
from azr_mini.sandbox import Executor, Job
from azr_mini.values import canonical

WORDS = (
    "ok", "syntax", "input", "unsafe", "error", "timeout", "memory", "output", "nondeterministic",
    "crash",
)  # fmt: skip

# Exercise 4: programs with the text of their input.
SIX = (
    ("def f(a):\n    return {'red', 'green', 'blue'}", "3"),
    ("def f(a):\n    return list({'red', 'green', 'blue'})", "3"),
    ("def f(a):\n    a.append(a[0])", "[1, 2]"),
    ("import time\n\n\ndef f(a):\n    return a + 1", "3"),
    ("def f(a):\n    return a + 1", "1 + 1"),
    ("def f(a):\n    return f(a + 1)", "3"),
)

# Exercise 1: what is equal for Python, for the canonical text, for both or for neither.
PAIRS = (
    (3, 3), (1, True), (1, 1.0), ("1", 1), (0.0, -0.0), ([1, 2], [1, 2]), ([1, 2], (1, 2)),
    ([1, [True]], [1, [1]]), ((1, (2.0,)), (1, (2,))), ({8, 0}, {0, 8}), ({1}, {True}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({"a": [1]}, {"a": [1.0]}), ({1: "x"}, {True: "x"}),
    ([0.0], [-0.0]), ([], ()), ({"a": 1}, {"a": 1, "b": 2}), ([1], [1, 2]),
)  # fmt: skip

TWICE = "\n\n\n_first = f\n\n\ndef f(a):\n    return [_first(a) == _first(a)]\n"


def check_predictions(answer: list[str], executor: Executor) -> Checked:
    """Exercise 4: the verdict of each of the six programs, in order."""
    return ask(lambda words: _predictions(words, executor), answer)


def check_same(answer: Callable[[object, object], bool]) -> Checked:
    """Exercise 1: a function that tells whether two nested values are the same, types included."""
    return ask(_same, answer)


def check_hangs(answer: str, executor: Executor) -> Checked:
    """Exercise 3: a program that answers f(0) and never answers f(1)."""
    return ask(lambda program: _hangs(program, executor), answer)


def check_liar(answer: str, executor: Executor) -> Checked:
    """Exercise 2: a program that agrees with itself, but not with a second interpreter."""
    return ask(lambda program: _liar(program, executor), answer)


def _predictions(words: list[str], executor: Executor) -> Checked:
    if not isinstance(words, list | tuple) or len(words) != len(SIX):
        return Checked(False, f"give a list of {len(SIX)} words")
    if all(word is ... for word in words):
        return Checked(None, "replace each ... above and run the cell again")
    strange = [word for word in words if word is not ... and word not in WORDS]
    if strange:
        return Checked(False, f"{strange[0]!r} is no verdict; these are: {', '.join(WORDS)}")
    results = executor.run([Job(program, [text]) for program, text in SIX])
    wrong = [
        number
        for number, (word, result) in enumerate(zip(words, results, strict=True), 1)
        if word != result.status
    ]
    if wrong:
        numbers = ", ".join(map(str, wrong))
        return Checked(False, f"{len(SIX) - len(wrong)} of {len(SIX)}; look again at {numbers}")
    return Checked(True, "all six, as the executor says")


def _same(same: Callable[[object, object], bool]) -> Checked:
    if not callable(same):
        return Checked(False, "give the function itself")
    if same(3, 3) is None:
        raise NotImplementedError
    for a, b in PAIRS:
        for left, right in ((a, b), (b, a)):
            said, truth = same(left, right), canonical(left) == canonical(right)
            if type(said) is not bool:
                return Checked(False, f"return True or False, not {said!r:.40}")
            if said is not truth:
                return Checked(False, f"same({left!r}, {right!r}) must be {truth}")
    return Checked(True, f"it agrees with the canonical text on {len(PAIRS)} pairs, both ways")


def _hangs(program: str, executor: Executor) -> Checked:
    if not isinstance(program, str):
        return Checked(False, "give the program as a text")
    answers, hangs = executor.run([Job(program, ["0"]), Job(program, ["1"])])
    if answers.status != "ok":
        return Checked(False, f"f(0) must answer, but its verdict is {_said(answers)}")
    if hangs.status != "timeout":
        return Checked(False, f"f(1) must never end, but its verdict is {_said(hangs)}")
    return Checked(True, f"f(0) is {answers.outputs[0][:50]}, and f(1) was stopped")


def _liar(program: str, executor: Executor) -> Checked:
    if not isinstance(program, str):
        return Checked(False, "give the program as a text")
    once, twice = executor.run([Job(program, ["3"]), Job(program + TWICE, ["3"])])
    if once.status != "nondeterministic":
        return Checked(False, f"the interpreters agree: the verdict of f(3) is {_said(once)}")
    if twice.outputs != ["[True]"]:
        return Checked(False, "two calls in one interpreter must agree with each other as well")
    return Checked(True, "it agrees with itself, and the other interpreters give it away")


def _said(result) -> str:
    detail = f" ({result.detail})" if result.detail else ""
    return f"{result.status}{detail}"
