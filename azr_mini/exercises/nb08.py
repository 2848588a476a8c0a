"""Checks of notebook 08: unbiased pass@k, learned or sharpened, a held-out set of one's own."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from azr_mini.evaluate.contamination import skeleton
from azr_mini.evaluate.sharpening import gain_at_k
from azr_mini.exercises.answer import Checked, ask

WORDS = LEARNED, SHARPENED, CANNOT_TELL = "learned", "sharpened", "cannot tell"
ROOM = 0.02  # a gain at 64 that may still be there does not count below this

# Exercise 1: samples, right ones among them, k.
CASES = [(n, c, k) for n in (1, 4, 6) for c in range(n + 1) for k in range(1, n + 1)]


def _part(counts: Sequence[int]) -> dict:
    return {"num_samples": 64, "correct": {"deduction": list(counts)}}


# Exercise 2: right samples of 64 at each task before and after training, invented.
MODELS = {
    "A": (_part([0] * 20 + [1] * 2 + [12] * 38), _part([0] * 22 + [48] * 38)),
    "B": (_part([0] * 20 + [12] * 40), _part([3] * 12 + [0] * 8 + [14] * 40)),
    "C": (_part([0] * 3 + [1] + [12] * 8), _part([0] * 2 + [4] + [0] + [48] * 8)),
}

# Exercise 3: what the buffer holds, what it has in another form, what it has nothing of.
BUFFER = (
    "def f(a):\n    b = sorted(a)\n    return b[:2]",
    "def f(a, b):\n    c = a + b\n    return c * 3",
    "def f(a):\n    return [x for x in a if x > 4]",
)
TWINS = {
    "word for word": BUFFER[0],
    "with other names": "def f(items):\n    result = sorted(items)\n    return result[:2]",
    "in another layout": "def f(a,b):\n\n  c = (a+b)  # add\n  return c*3\n",
    "with a docstring": 'def f(a):\n    """Large ones."""\n    return [x for x in a if x > 4]',
}
NEAR = "def f(a, b):\n    c = a + b\n    return c * 5"  # other constants only
STRANGERS = (
    "def f(a):\n    if len(a) > 3:\n        return 'long'\n    return a.upper()",
    "def f(a):\n    total = 0\n    for x in a:\n        total = total + x * x\n    return total",
    "def f(a, b):\n    d = {}\n    d[a] = b\n    return list(d.items())",
)
CANDIDATES = (STRANGERS[0], *TWINS.values(), STRANGERS[1], NEAR, STRANGERS[2])


def check_pass_at_k(answer: Callable[[int, int, int], float]) -> Checked:
    """Exercise 1: pass@k of one task from its samples, the right ones among them, and k."""
    return ask(_pass_at_k, answer)


def check_words(answer: Mapping[str, str]) -> Checked:
    """Exercise 2: for each of MODELS one of WORDS."""
    return ask(_words, answer)


def check_heldout(answer: Callable[[list[str], list[str]], list[str]]) -> Checked:
    """Exercise 3: those of the candidate programs that the programs of a buffer do not repeat."""
    return ask(_heldout, answer)


def verdict(before: Mapping, after: Mapping) -> str:
    """One of WORDS for two parts of `load_sharpening`, or of their form.

    learned: the interval of the gain at 64 samples is above 0. sharpened: that at one sample is,
    and that at 64 leaves no room for two points. Anything else is no answer.
    """
    first, last = (gain_at_k(before, [after], k) for k in (1, 64))
    if last.low > 0:
        return LEARNED
    return SHARPENED if first.low > 0 and last.high < ROOM else CANNOT_TELL


def _pass_at_k(answer) -> Checked:
    if not callable(answer):
        return Checked(False, "give the function itself, without calling it")
    for n, c, k in CASES:
        found = answer(n, c, k)
        if found is None or found is ...:
            return Checked(None, "write the body of the function and run the cell again")
        subsets = [*combinations([i < c for i in range(n)], k)]
        expected = sum(map(any, subsets)) / len(subsets)
        if abs(float(found) - expected) > 1e-9:
            said = f"of {n} samples {c} are right: pass@{k} is {expected:.4g}, yours is {found:.4g}"
            return Checked(False, said)
    return Checked(True, f"the same as all subsets, counted, in {len(CASES)} cases")


def _words(answer) -> Checked:
    if not isinstance(answer, Mapping) or answer.keys() != MODELS.keys():
        return Checked(False, f"give a dict with the keys {', '.join(MODELS)}")
    if any(word is ... for word in answer.values()):
        return Checked(None, "replace each ... above and run the cell again")
    for name, word in answer.items():
        if word not in WORDS:
            return Checked(False, f"{name}: choose one of {', '.join(WORDS)}")
    wrong = [name for name, parts in MODELS.items() if answer[name] != verdict(*parts)]
    if wrong:
        return Checked(False, f"look again at {', '.join(wrong)}: both gains, and both ends")
    return Checked(True, "and no look at pass@1 alone could have told them apart")


def _heldout(answer) -> Checked:
    if not callable(answer):
        return Checked(False, "give the function itself, without calling it")
    kept = answer(list(CANDIDATES), list(BUFFER))
    if kept is None or kept is ...:
        return Checked(None, "write the body of the function and run the cell again")
    if isinstance(kept, str) or not set(kept) <= set(CANDIDATES):
        return Checked(False, "return a list of candidates, as they were given")
    if missing := [program for program in STRANGERS if program not in kept]:
        return Checked(False, f"it drops what the buffer has nothing of:\n{missing[0]}")
    for how, program in TWINS.items():
        if program in kept:
            return Checked(False, f"it keeps a program that the buffer has, {how}:\n{program}")
    alone = answer(list(CANDIDATES), [])
    if {*map(skeleton, alone)} != {*map(skeleton, CANDIDATES)}:
        return Checked(False, "with an empty buffer it drops programs that nobody proposed")
    near = "kept" if NEAR in kept else "dropped"
    return Checked(True, f"all disguises are found; the same shape with other constants is {near}")
