"""Claims about the executor as such: verdicts, order, surprises, self-test. Attacks stand apart.

Programs run twice: with the static check, which is policy, and without it.
"""

import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from attacks.cases import LINES
from attacks.harm import children_of
from attacks.writing import program

from azr_mini.sandbox import Executor, Job, SandboxError, cases, selftest, zygotes
from azr_mini.sandbox.protocol import Reply, Request
from azr_mini.sandbox.seccomp import TABLES, build_filter

confined_only = pytest.mark.skipif(
    sys.platform not in ("linux", "darwin"), reason="no confinement on this platform"
)
pytestmark = confined_only

TRIED = {attack.name: attack for line in LINES.values() for attack in line}


@pytest.fixture(scope="module", params=[True, False], ids=["static check", "confinement alone"])
def executor(request):
    with Executor(workers=1, static_check=request.param, cpu_seconds=0.15) as executor:
        yield executor


@pytest.fixture(scope="module")
def unchecked():
    with Executor(workers=1, static_check=False, cpu_seconds=0.15) as executor:
        yield executor


def run_one(executor, text: str, *inputs: str):
    (result,) = executor.run([Job(text, list(inputs) or ["1"])])
    assert len(result.outputs) == len(inputs or ["1"])
    assert len(result.detail) <= 200
    return result


# --- benign programs ---------------------------------------------------------------------------

OUT = repr("    x|'q'|1,234")
BENIGN = {
    "identity": (program("return a"), "'Hello World'", "'Hello World'"),
    "two arguments": (program("return a * b", parameters="a, b"), "3, [1]", "[1, 1, 1]"),
    "no argument": (program("return 7", parameters=""), "", "7"),
    "default argument": (program("return a + b", parameters="a, b=2"), "1", "3"),
    "star arguments": (program("return sum(a)", parameters="*a"), "1, 2, 3", "6"),
    "helper function": (program("return g(a) + 1", before="def g(x):\n    return x * 2"), "4", "9"),
    "nested function": (program("def g(x):\n    return x + a\nreturn g(a)"), "4", "8"),
    "class": (
        program(
            "return repr(P(a)) + P(a).name()",
            before="""
            class P:
                def __init__(self, x):
                    self.x = x
                def __repr__(self):
                    return f"P({self.x})"
                def name(self):
                    return self.__class__.__name__
            """,
        ),
        "3",
        "'P(3)P'",
    ),
    "dataclass": (
        program(
            "return [asdict(P(a, 'z')), sorted([P(2), P(1)])[0].x, P(1) == P(1)]",
            before="""
            from dataclasses import asdict, dataclass, field
            @dataclass(order=True, frozen=True)
            class P:
                x: int
                y: str = field(default="y")
            """,
        ),
        "3",
        "[{'x': 3, 'y': 'z'}, 1, True]",
    ),
    "named tuple": (
        program(
            "p = P(a, 2)\nreturn [p.x, tuple(p), p._asdict()]",
            before="from collections import namedtuple\nP = namedtuple('P', 'x y')",
        ),
        "1",
        "[1, (1, 2), {'x': 1, 'y': 2}]",
    ),
    "typed named tuple": (
        program(
            "return P(a).x",
            before="""
            from typing import NamedTuple, Optional
            class P(NamedTuple):
                x: Optional[int] = None
            """,
        ),
        "1",
        "1",
    ),
    "enum": (
        program(
            "return [C.RED.name, C(2).value, len(C), str(C.RED), C.RED in (C.RED,)]",
            before="from enum import Enum\nclass C(Enum):\n    RED = 1\n    BLUE = 2",
        ),
        "1",
        "['RED', 2, 2, 'C.RED', True]",
    ),
    "decimal": (
        program(
            "return str(Decimal(a) / 3) + str(getcontext().prec)",
            before="from decimal import Decimal, getcontext",
        ),
        "'1'",
        "'0.333333333333333333333333333328'",
    ),
    "fractions": (
        program("return str(Fraction(a, 6) + 1)", before="from fractions import Fraction"),
        "3",
        "'3/2'",
    ),
    "statistics": (
        program(
            "return [mean(a), median(a), pstdev(a), round(stdev(a), 3), mode(a)]",
            before="from statistics import mean, median, mode, pstdev, stdev",
        ),
        "[1, 2, 3, 4]",
        "[2.5, 2.5, 1.118033988749895, 1.291, 1]",
    ),
    "regular expressions": (
        program(
            "return [re.sub(r'\\W+', '-', a), re.findall(r'(?i)[à-ü]+', a), re.split('b', a)]",
            before="import re",
        ),
        "'aÀb é!'",
        "['aÀb-é-', ['À', 'é'], ['aÀ', ' é!']]",
    ),
    "unicode": (
        program(
            "return [normalize('NFD', a), a.upper(), a[::-1], name(a[0]), a.encode('utf-16')]",
            before="from unicodedata import name, normalize",
        ),
        "'ß€😀'",
        "['ß€😀', 'SS€😀', '😀€ß', 'LATIN SMALL LETTER SHARP S', "
        "b'\\xff\\xfe\\xdf\\x00\\xac =\\xd8\\x00\\xde']",
    ),
    "collections": (
        program(
            "d = defaultdict(list)\nfor x in a:\n    d[x % 2].append(x)\n"
            "q = deque(a, 2)\nq.rotate(1)\n"
            "return [dict(d), Counter(a).most_common(1), list(q), list(OrderedDict.fromkeys(a)), "
            "isinstance(a, Sequence)]",
            before="from collections import Counter, OrderedDict, defaultdict, deque\n"
            "from collections.abc import Sequence",
        ),
        "[1, 2, 2]",
        "[{0: [2, 2], 1: [1]}, [(2, 2)], [2, 2], [1, 2], True]",
    ),
    "itertools": (
        program(
            "return [list(accumulate(a)), list(permutations(a, 2))[:2], list(islice(cycle(a), 4))]",
            before="from itertools import accumulate, cycle, islice, permutations",
        ),
        "[1, 2]",
        "[[1, 3], [(1, 2), (2, 1)], [1, 2, 1, 2]]",
    ),
    "functools": (
        program(
            "return [g(a), reduce(lambda x, y: x * y, range(1, a)), h('x'), "
            "sorted([3, 1], key=cmp_to_key(lambda x, y: y - x))]",
            before="""
            from functools import cmp_to_key, lru_cache, reduce, singledispatch
            @lru_cache(maxsize=None)
            def g(n):
                return n if n < 2 else g(n - 1) + g(n - 2)
            @singledispatch
            def h(x):
                return 'other'
            @h.register
            def _(x: str):
                return 'str'
            """,
        ),
        "20",
        "[6765, 121645100408832000, 'str', [3, 1]]",
    ),
    "heap, bisect, operator, string, copy": (
        program(
            "heapq.heapify(a)\nb = copy.deepcopy([a, [a]])\n"
            "return [heapq.heappop(a), bisect.bisect(a, 2), operator.itemgetter(0)(a), "
            "string.ascii_letters[:3], string.Template('$x').substitute(x=1), b, "
            "textwrap.fill('a b', 1), numbers.Number.__name__]",
            before="import bisect, copy, heapq, numbers, operator, string, textwrap",
        ),
        "[3, 1, 2]",
        "[1, 1, 2, 'abc', '1', [[1, 3, 2], [[1, 3, 2]]], 'a\\nb', 'Number']",
    ),
    "abstract class": (
        program(
            "return Q().area()",
            before="""
            from abc import ABC, abstractmethod
            class P(ABC):
                @abstractmethod
                def area(self): ...
            class Q(P):
                def area(self):
                    return 4
            """,
        ),
        "1",
        "4",
    ),
    "math": (
        program("return [math.gcd(a, 8), math.isqrt(a), math.comb(5, 2)]", before="import math"),
        "12",
        "[4, 3, 10]",
    ),
    "import inside": (program("import math\nreturn math.floor(a)"), "2.5", "2"),
    "generators inside": (program("g = (x * x for x in a)\nreturn list(g)"), "[1, 2]", "[1, 4]"),
    "yield inside": (
        program("return [*g(a)]", before="def g(n):\n  while n:\n    yield n\n    n -= 1"),
        "3",
        "[3, 2, 1]",
    ),
    "big int": (program("return 7 ** a"), "300", str(7**300)),
    "recursion": (program("return 1 if a < 2 else a * f(a - 1)"), "300", str(math.factorial(300))),
    "try and except": (
        program("try:\n    return 1 / a\nexcept ZeroDivisionError as e:\n    return str(e)"),
        "0",
        "'division by zero'",
    ),
    "raise and finally": (
        program(
            "out = []\ntry:\n    raise ValueError(a)\nexcept ValueError as e:\n"
            "    out.append(e.args)\nfinally:\n    out.append(1)\nreturn out"
        ),
        "2",
        "[(2,), 1]",
    ),
    "print is harmless": (program("print(a, a, sep='-', end='', flush=True)\nreturn a"), "1", "1"),
    "format": (
        program("return '{:>5}|{0[0]:02d}'.format('x', a) if 0 else f'{a[0]:04d}|{a!r:>5}'"),
        "[7]",
        "'0007|  [7]'",
    ),
    "str.format": (program("return '{0:>5}|{x!r}|{1:,}'.format('x', 1234, x=a)"), "'q'", OUT),
    "percent format": (program("return '%05.2f %s' % (a, a)"), "1.5", "'01.50 1.5'"),
    "match": (
        program("match a:\n    case [x, *_]:\n        return x\n    case _:\n        return 0"),
        "[5, 6]",
        "5",
    ),
    "walrus and lambda": (program("return (lambda x: x + (y := 2) * y)(a)"), "1", "5"),
    "sorted set": (program("return sorted({*a, 'c'}, key=len)[-1]"), "['bb', 'a']", "'bb'"),
    "set result": (program("return {x % 3 for x in a}"), "[1, 2, 3, 4]", "{0, 1, 2}"),
    "none inside": (program("return [a, None]"), "None", "[None, None]"),
    "bytes": (program("return a[::-1] + b'\\x00'"), "b'ab'", "b'ba\\x00'"),
    "names like built-ins": (
        program("open, close = input\nid = open\nreturn [id, close]", parameters="input"),
        "'()'",
        "['(', ')']",
    ),
    "mutates its argument": (program("a.append(1)\nreturn a"), "[0]", "[0, 1]"),
    "global constant": (program("return a * K", before="K = 3"), "2", "6"),
    "main guard": (program("return a") + "if __name__ == '__main__':\n    f(1)()\n", "2", "2"),
    "docstring and comments": ('"""Doc."""\n# c\n' + program('"""F."""\nreturn a  # r'), "2", "2"),
    "star import": (program("return sqrt(a)", before="from math import *"), "4", "2.0"),
    "odd escape": (program("return '\\d' + a"), "'x'", "'\\\\dx'"),
}


@pytest.fixture(scope="module")
def verdicts(executor):
    """The results of all simple programs, from one call, by name."""
    jobs = {name: Job(text, [inputs]) for name, (text, inputs, _) in BENIGN.items()}
    jobs |= {name: Job(text, ["1"]) for name, (text, _) in FAILING.items()}
    return dict(zip(jobs, executor.run(jobs.values()), strict=True))


@pytest.mark.parametrize("name", BENIGN)
def test_benign_python_passes(verdicts, name):
    assert verdicts[name].status == "ok", verdicts[name]
    assert verdicts[name].outputs == [BENIGN[name][2]]


def test_the_first_failing_input_names_the_verdict(executor):
    text = program("return 1 // a if a != 5 else None")
    (result,) = executor.run([Job(text, ["1", "0", "5", "x", "2"])])
    assert (result.status, result.outputs) == ("error", ["1", None, None, None, "0"])
    (result,) = executor.run([Job(text, ["0)(1", "0", "1"])])
    assert (result.status, result.outputs) == ("input", [None, None, "1"])


def test_without_inputs_a_program_is_still_run(executor):
    results = executor.run([Job(program("return a"), []), Job(program("return a") + "1/0", [])])
    assert [(r.status, r.outputs) for r in results] == [("ok", []), ("error", [])]
    assert executor.run([]) == []


def test_one_text_is_not_a_list_of_inputs():
    with pytest.raises(AssertionError):
        Job(program("return a"), "12")


def test_results_keep_the_order_of_hundreds_of_jobs(executor):
    jobs = [Job(program(f"return a + {i}" if i % 5 else "return a ["), ["1"]) for i in range(300)]
    for i, result in enumerate(executor.run(iter(jobs))):
        assert result.outputs == [str(i + 1) if i % 5 else None]


def test_large_requests_and_answers_fit_through(unchecked):
    text = program("return a[::-1]") + "#" * 15_000
    inputs = [repr(letter * 9_000 + "\N{SNOWMAN}" * 9_000) for letter in "abcdefgh"]
    for result in unchecked.run([Job(text, inputs)] * 4):
        assert result.outputs == [repr(eval(value)[::-1]) for value in inputs]


# --- programs that fail ------------------------------------------------------------------------

FAILING = {
    # errors
    "exception": (program("return a.b"), "error"),
    "outside f": ("1 / 0\n" + program("return a"), "error"),
    "wrong number of arguments": (program("return a", parameters="a, b"), "error"),
    "endless recursion": (program("return f(a)"), "error"),
    "group of exceptions": (program("raise ExceptionGroup('g', [ValueError(1)])"), "error"),
    # texts that are no programs
    "empty": ("", "syntax"),
    "no f": ("def g(a):\n    return a", "syntax"),
    "prose": ("Sure! Here is the function:", "syntax"),
    "fence": ("```python\ndef f(a):\n    return a\n```", "syntax"),
    "bad indent": ("def f(a):\nreturn a", "syntax"),
    "return outside": (program("return a") + "return 3", "syntax"),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_program_gets_its_verdict(verdicts, name):
    result = verdicts[name]
    assert result.status in FAILING[name][1].split(" or ") and result.outputs == [None], result


# --- attacks: what confinement alone must stop ---------------------------------------------------


def test_the_static_check_refuses_by_policy():
    with Executor(workers=1) as executor:
        for body in [
            "import os\nreturn 1", "from os import path\nreturn 1", "from . import x\nreturn 1",
            "return open('x')", "return eval('1')", "return a.__class__.__subclasses__()",
            "return __import__('os')", "from collections import _sys\nreturn 1",
            "return (lambda: 0).__globals__", "return globals()", "import random\nreturn 1",
            "match f:\n    case object(__globals__=g):\n        return 1",
        ]:  # fmt: skip
            result = run_one(executor, program(body))
            assert result.status == "unsafe" and result.detail, (body, result)


def test_the_trainer_never_evaluates_what_programs_return():
    for text in ["__import__('os').getpid()", "(1).__class__", "open('/etc/passwd')", "[].pop()"]:
        payload = f"ok {text}\n\n"
        case = cases.open_case(Job(program("return a"), ["1"]), True)
        request = Request(1, [case.runnable], 1.0, 1.0, cases=[case])
        ((outcome,),) = cases.read_reply(request, Reply("", 0, 0.0, payload))
        assert outcome[0] == "output"


ODD_ANSWERS = ["", "ok 1", "ok 1\n", "\n", "ok 1\nok 1\n\n", "ok 1\n\n\n", "ok 1\n\nok 1\n\n"]
ODD_ANSWERS += ["yes 1\n\n", "\0\n\n", "ok", "nondeterministic x\n\n", "timeout x\n\n", "ok 1\n\nx"]


@pytest.mark.parametrize("payload", ODD_ANSWERS)
def test_an_answer_of_the_wrong_shape_is_no_answer(payload):
    case = cases.open_case(Job(program("return a"), ["1"]), True)
    request = Request(1, [case.runnable], 1.0, 1.0, cases=[case])
    ((outcome,),) = cases.read_reply(request, Reply("", 0, 0.0, payload))
    assert outcome == ("error", "ended without an answer")


def test_answers_of_too_many_lines_are_not_looked_at(monkeypatch):
    looked = []
    monkeypatch.setattr(cases, "canonical_value_text", looked.append)
    case = cases.open_case(Job(program("return a"), ["1", "x", "2"]), True)
    request = Request(1, [case.runnable], 1.0, 1.0, cases=[case])
    ((outcome, _),) = cases.read_reply(request, Reply("", 0, 0.0, "ok 1\n" * 3 + "\n"))
    assert outcome == ("error", "ended without an answer") and not looked


def test_any_signal_is_a_verdict():
    case = cases.open_case(Job(program("return a"), ["1"]), True)
    request = Request(1, [case.runnable], 1.0, 1.0, cases=[case])
    for number in range(1, 65):
        (((status, _),),) = cases.read_reply(request, Reply("", number, 0.0, "ok 1\n\n"))
        assert status != "ok" or number == signal.SIGKILL


def test_sharing_second_runs_changes_no_verdict():
    texts = [text for text, _, _ in BENIGN.values()] + [
        attack.program for attack in LINES["contamination between programs"]
    ]
    texts += [text for text, status in FAILING.values() if status in ("output", "error")]
    texts += ["n = 0\n" + program("global n\nn += 1\nreturn n")]
    jobs = [Job(text, ["1", "2"]) for text in texts]
    with (
        Executor(workers=1, cpu_seconds=0.3) as shared,
        Executor(workers=1, cpu_seconds=0.3, share=1) as alone,
    ):
        together = shared.run(jobs)
        for job, one, other in zip(jobs, together, alone.run(jobs), strict=True):
            assert (one.status, one.outputs) == (other.status, other.outputs), job.program


def test_outputs_are_canonical_and_typed(executor):
    values = ["True", "1.0", "-0.0", "{3, 1, 2}", "{'b': 1, 'a': 2}", "(1,)", "[]", "set()", "' '"]
    outputs = run_one(executor, program("return a"), *values).outputs
    assert outputs == ["True", "1.0", "0.0", "{1, 2, 3}", "{'a': 2, 'b': 1}", *values[5:]]


# --- verdicts under load -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first, alone, status",
    [
        (Reply("", 0, 0.14, "ok 1\n\n"), None, "ok"),
        (Reply("", 0, 0.29, "ok 1\n\n"), 0.29, "ok"),
        (Reply("", 0, 0.59, "ok 1\n\n"), 0.29, "ok"),
        (Reply("", 0, 0.29, "ok 1\n\n"), 0.31, "timeout"),
        (Reply("wall"), 0.01, "ok"),
        (Reply("", signal.SIGPROF, 0.6), None, "timeout"),
    ],
)
def test_a_verdict_close_to_the_limit_is_decided_alone(monkeypatch, first, alone, status):
    with Executor(workers=1, cpu_seconds=0.3) as executor:
        asked = []

        def run(requests, receive):
            for request in requests:
                asked.append(request.seed)
                assert request.cpu_seconds == 0.6
                answer = Reply("", 0, alone or 0.01, "ok 1\n\n")
                receive(request, first if len(asked) == 1 else answer)

        monkeypatch.setattr(executor._runner, "run", run)
        (result,) = executor.run([Job(program("return a"), ["1"])])
        assert result.status == status
        assert asked.count(1) == (1 if alone is None else 2)


# --- surprises -----------------------------------------------------------------------------------


@pytest.fixture
def interruptible():
    """Ctrl-C raises, also where the shell that started the tests ignores it (background jobs)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_leaves_a_working_executor(interruptible):
    with Executor(workers=1) as executor:
        timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            executor.run([Job(program("while True: pass"), ["1"])] * 50)
        timer.join()
        results = executor.run([Job(program(f"return a + {i}"), ["1"]) for i in range(20)])
        assert [result.outputs for result in results] == [[str(i + 1)] for i in range(20)]


def test_an_exception_between_jobs_leaves_a_working_executor():
    def jobs():
        for _ in range(5):
            yield Job(program("return 'late'"), ["1"])
        raise RuntimeError("from the caller")

    with Executor(workers=1) as executor:
        with pytest.raises(RuntimeError, match="caller"):
            executor.run(jobs())
        assert run_one(executor, program("return a")).outputs == ["1"]


def test_killed_zygotes_are_replaced_and_cost_nothing():
    with Executor(workers=1) as executor:
        done = threading.Event()

        def assassin():
            for turn in range(12):
                if done.wait(0.1):
                    return
                os.kill(executor._runner.zygotes[turn % 4].process.pid, signal.SIGKILL)

        thread = threading.Thread(target=assassin)
        thread.start()
        try:
            results = []
            for i in range(12):
                results += executor.run([Job(program(f"return a + {i}"), ["1"])] * 20)
        finally:
            done.set()
            thread.join()
        assert sum(result.status != "ok" for result in results) <= 3  # killed twice in a row
        assert {r.outputs[0] for r in results if r.status == "ok"} <= set(map(str, range(1, 13)))


def test_a_hanging_zygote_is_replaced(monkeypatch):
    with Executor(workers=1) as executor:
        zygote = executor._runner.zygotes[0]
        os.kill(zygote.process.pid, signal.SIGSTOP)
        zygote.send(Request(1, [], 1.0, 5.0))
        assert not zygote.overdue()
        zygote.waiting.clear()
        # As if its last word were an hour ago whenever it owes an answer.
        monkeypatch.setattr(zygote, "overdue", lambda: bool(zygote.waiting))
        assert run_one(executor, program("return a")).outputs == ["1"]
        assert executor._runner.zygotes[0] is not zygote


def test_a_silent_zygote_is_overdue_after_its_deadlines():
    with Executor(workers=1) as executor:
        zygote = executor._runner.zygotes[0]
        zygote.since = time.monotonic() - zygotes.START_SECONDS - 6.0
        assert not zygote.overdue()  # it owes nothing
        zygote.waiting.append(Request(1, [], 1.0, 5.0))
        assert zygote.overdue()
        zygote.waiting[0].wall_seconds = 9.0
        assert not zygote.overdue()


def test_a_late_answer_never_meets_another_question():
    with Executor(workers=1) as executor:
        zygote = executor._runner.zygotes[0]
        zygote.send(Request(1, [(program("return 'stale'"), ["1"])], 1.0, 5.0))
        zygote.pump()
        assert run_one(executor, program("return 'fresh'")).outputs == ["'fresh'"]


def mixture() -> list[tuple[str, tuple[str, ...]]]:
    """Programs with inputs: good ones, failing ones, and the attacks with exactly one verdict."""
    mixed = [(text, (inputs,)) for text, inputs, _ in BENIGN.values()]
    mixed += [(text, ("1",)) for text, _ in FAILING.values()]
    for attack in TRIED.values():
        if attack.right in ("ok", "error", "output", "syntax", "unsafe", "nondeterministic"):
            if len(attack.program) < 10_000 and "@" not in attack.program:
                mixed.append((attack.program, attack.inputs))
    return mixed


def footprint(pids: set[int]) -> tuple[list[int], list[int]]:
    """Of this process and those below it: counts that may not grow, and bytes that hardly may."""
    tasks = [Path("/proc", str(pid)) for pid in (os.getpid(), *sorted(pids))]
    counts = [len(pids), threading.active_count()]
    counts += [len(list((task / folder).iterdir())) for task in tasks for folder in ("task", "fd")]
    memory = [int((task / "statm").read_text().split()[1]) * 4096 for task in tasks]
    return counts, memory


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("count", [400, pytest.param(5_000, marks=pytest.mark.slow)])
def test_nothing_is_left_behind_and_a_busy_machine_changes_no_verdict(count):
    """Mixed programs, so many twice: on the machine as it is, then with every core kept busy."""
    mixed, others, burners = mixture(), children_of(os.getpid()), []
    with Executor(workers=2, static_check=False) as executor:

        def run() -> list[tuple]:
            found = []
            for start in range(0, count, 200):
                chosen = [mixed[i % len(mixed)] for i in range(start, min(start + 200, count))]
                jobs = [Job(f"{t}\n# {start + i}", given) for i, (t, given) in enumerate(chosen)]
                found += [(result.status, result.outputs) for result in executor.run(jobs)]
            return found

        executor.run(Job(*entry) for entry in mixed[:200])  # what is made once is made
        pids = children_of(os.getpid()) - others
        counts, memory = footprint(pids)
        quiet = run()
        try:
            burn = [sys.executable, "-c", "while True: pass"]
            burners += [subprocess.Popen(burn) for _ in range(os.cpu_count() or 1)]
            busy = run()
        finally:
            for burner in burners:
                burner.kill()
                burner.wait()
        assert len(quiet) == count and busy == quiet
        assert children_of(os.getpid()) - others == pids
        counts_after, memory_after = footprint(pids)
        assert counts_after == counts
        growth = [after - before for before, after in zip(memory, memory_after, strict=True)]
        assert max(growth) < 20e6, growth
    assert children_of(os.getpid()) == others


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_zygotes_do_not_outlive_a_killed_trainer():
    script = (
        "import os, sys, threading\nfrom azr_mini.sandbox import Executor, Job\n"
        "e = Executor(workers=1, cpu_seconds=30)\n"
        "print(*[z.process.pid for z in e._runner.zygotes], flush=True)\n"
        "e.run([Job('def f(a):\\n    while True: pass', ['1'])])"
    )
    trainer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in trainer.stdout.readline().split()]
    assert pids
    time.sleep(0.3)
    trainer.kill()
    trainer.wait()
    trainer.stdout.close()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


# --- self-test and refusal -----------------------------------------------------------------------


def test_layers_are_reported(unchecked):
    rows = {row.name: row for row in unchecked.layers()}
    assert set(selftest.CHECKS) <= set(rows)
    assert all(row.active for row in rows.values()), rows
    if sys.platform == "linux":
        assert {"descriptors", "memory", "cpu", "parent", "privileges", "files"} <= set(rows)


def test_layers_are_listed_in_the_same_order_every_time(unchecked):
    names = [row.name for row in unchecked.layers()]
    order = [*selftest.LAYERS, *selftest.CHECKS]
    assert names == [name for name in order if name in names]


BROKEN = {
    "seccomp": "open a file",
    "cpu": "burn CPU",
    "memory": "take memory",
    "descriptors": "descriptors",
    "files": "files",
    "parent": "parent",
    "privileges": "privileges",
    "write": "write elsewhere",
    "executable": "executable memory",
    "wait": "wait",
}


@pytest.mark.skipif(sys.platform != "linux", reason="the layers of Linux")
@pytest.mark.parametrize("layer", BROKEN)
def test_the_self_test_notices_a_missing_layer(layer):
    before = children_of(os.getpid())
    with pytest.raises(SandboxError, match=BROKEN[layer]) as caught:
        Executor(workers=1, memory_mb=64, _skip=(layer,))
    assert "unsafe=True" in str(caught.value)
    assert children_of(os.getpid()) == before


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="we are not root")
def test_staying_root_is_reported():
    for skip, active in (((), True), (("user",), False)):
        with Executor(workers=1, _skip=skip) as executor:
            rows = {row.name: row.active for row in executor.layers()}
            assert rows.pop("user") is active
            assert all(rows.values())


@pytest.mark.skipif(sys.platform != "linux", reason="the system calls of Linux")
def test_without_seccomp_each_forbidden_call_is_noticed():
    with pytest.raises(SandboxError, match="(?=.*a file)(?=.*a socket)(?=.*a process)"):
        Executor(workers=1, _skip=("seccomp",))


def test_a_python_that_does_not_start_is_one_clear_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SandboxError, match="unsafe=True"):
        Executor(workers=1)


def test_an_unknown_platform_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SandboxError, match="win32"):
        Executor(workers=1)


@pytest.mark.parametrize("limit", ["workers", "cpu_seconds", "memory_mb", "share"])
def test_impossible_limits_are_refused(limit):
    with pytest.raises(ValueError, match=f"{limit}=0"):
        Executor(**{limit: 0})


def test_unsafe_is_loud_and_works_without_fork(monkeypatch):
    monkeypatch.setattr(os, "fork", None)
    with pytest.warns(RuntimeWarning, match="WITHOUT confinement"):
        executor = Executor(unsafe=True, workers=2, cpu_seconds=0.3, wall_seconds=5.0)
    with executor:
        assert [row.active for row in executor.layers()] == [False]
        names = ["identity", "dataclass", "regular expressions", "print is harmless", "decimal"]
        jobs = [Job(BENIGN[name][0], [BENIGN[name][1]]) for name in names]
        for name, result in zip(names, executor.run(jobs), strict=True):
            assert result.outputs == [BENIGN[name][2]], (name, result)
        statuses = [
            run_one(executor, TRIED[name].program).status == TRIED[name].right
            for name in ("endless loop", "big list", "None", "f is nested", "huge int", "hash")
        ]
        assert all(statuses)
        assert run_one(executor, program("import os\nreturn 1")).status == "unsafe"


@pytest.mark.parametrize("machine", TABLES)
def test_every_jump_of_the_filter_stays_inside_it(machine):
    import struct

    code = list(struct.iter_unpack("HBBI", build_filter(3, machine)))
    assert 20 < len(code) < 4096
    for position, (operation, yes, no, value) in enumerate(code):
        if operation in (0x15, 0x45):
            assert position + 1 + max(yes, no) < len(code)
        if operation == 0x06:
            assert value in (0x7FFF0000, 0x80000000, 0x00050001)
    assert code[-1] == (0x06, 0, 0, 0x80000000)


def test_an_unknown_machine_has_no_filter():
    with pytest.raises(OSError, match="riscv64"):
        build_filter(3, "riscv64")


def test_limits_of_the_trainer_are_untouched(unchecked):
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0
    assert sys.stdout is not None
