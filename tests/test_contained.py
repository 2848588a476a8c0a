"""Claims about sharing a process: only programs share that can change nothing others see."""

import ast
import importlib
import subprocess
import sys

import pytest

from azr_mini.sandbox import Executor, Job
from azr_mini.sandbox.contained import IMMUTABLE, is_contained


def contained(text: str) -> bool:
    return is_contained(list(ast.walk(ast.parse(text))))


ORDINARY = [
    "import math\ndef f(a):\n    return math.gcd(a, 6) + len(str(a))",
    "from itertools import chain, product\ndef f(a):\n    return list(chain(a, a))",
    "from math import *\ndef f(a):\n    return sqrt(a)",
    "import heapq as h, string\ndef f(a):\n    h.heapify(a)\n    return [a, string.digits]",
    "from collections import deque\ndef f(a):\n    d = deque(a)\n    d.rotate(1)\n    return [*d]",
    "class P:\n    def __init__(self, x):\n        self.x = x\ndef f(a):\n    return P(a).x",
    "def f(a):\n    try:\n        return 1 / a\n    except Exception as e:\n        return str(e)",
    "def f(a):\n    match a:\n        case [x, *_]:\n            return x",
]
REACHING = [
    "import math\ndef f(a):\n    math.pi = 3",
    "import math\ndef f(a):\n    m = math\n    m.pi = 3",
    "import math as m\ndef f(a):\n    return [m]",
    "import math\ndef f(a):\n    for math.pi in a: pass",
    "import math\ndef f(a):\n    del math.pi",
    "import math\ndef f(a):\n    return math.__dict__",
    "import collections\ndef f(a):\n    return collections._sys",
    "import collections\ndef f(a):\n    return collections.Counter(a)",
    "from collections import Counter",
    "from collections import *",
    "import collections.abc",
    "from functools import update_wrapper",
    "import re",
    "from typing import List",
    "import decimal",
    "def f(a):\n    return getattr(f, a)",
    "def f(a, setattr):\n    return setattr",
    "def f(a):\n    return vars()",
    "def f(a):\n    return exec",
    "def f(a):\n    return f.__globals__",
    "def f(a):\n    return __builtins__",
    "def f(a):\n    match f:\n        case object(__globals__=g):\n            return g",
    "def f(a):\n    g = (x for x in a)\n    return g.gi_frame",
    "class C:\n    def __exit__(self, kind, error, trace):\n        return trace.tb_frame.f_back",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_programs_may_share(text):
    assert contained(text)


@pytest.mark.parametrize("text", REACHING)
def test_whoever_reaches_beyond_its_own_objects_runs_alone(text):
    assert not contained(text)


def test_what_programs_may_take_from_modules_cannot_be_changed():
    for module, names in IMMUTABLE.items():
        found = vars(importlib.import_module(module))
        for name in names or [name for name in found if not name.startswith("_")]:
            with pytest.raises((AttributeError, TypeError)):
                found[name].azr = 1


def hash_of_x(seed: int) -> int:
    """hash("x") in an interpreter with this hash seed."""
    command = [sys.executable, "-c", "print(hash('x'))"]
    done = subprocess.run(command, env={"PYTHONHASHSEED": str(seed)}, capture_output=True)
    return int(done.stdout)


FORGER = """
import collections

def f(a):
    hash
    get = lambda thing, *words: getattr(thing, "_".join(words))
    frame = get(collections._sys, "", "getframe")()
    while "canonical" not in get(frame, "f", "locals"):
        frame = get(frame, "f", "back")
    runner = get(frame, "f", "globals")
    honest = runner["run_program"]
    runner["run_program"] = lambda source, *rest: (
        [("ok", "0")] if "hash('x')" in source else honest(source, *rest)
    )
    return 1
"""


@pytest.mark.parametrize("static_check", [True, False])
def test_no_program_answers_for_its_neighbour(static_check):
    victim = f"def f(a):\n    return int(hash('x') != {hash_of_x(1)})"
    jobs = [Job(FORGER, ["1"]), Job(victim, ["1"])] * 3
    with Executor(workers=1, static_check=static_check) as executor:
        statuses = [result.status for result in executor.run(jobs)]
    assert statuses == ["ok", "nondeterministic"] * 3
