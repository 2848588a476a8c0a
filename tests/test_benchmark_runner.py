"""Claims about the runner of benchmark programs: what it can run, and what no program can do."""

import os

import pytest
from attacks.cases import LINES
from attacks.harm import children_of
from test_sandbox import confined_only

from azr_mini.sandbox import Executor, SandboxError, benchmark, selftest
from azr_mini.sandbox.benchmark import BenchmarkRunner, Call
from azr_mini.sandbox.wide_values import Opaque, same

pytestmark = confined_only
BENIGN = "def f(x):\n    return [x]\n"


@pytest.fixture(scope="module")
def runner():
    with BenchmarkRunner(workers=1, memory_mb=256) as runner:
        yield runner


def run(runner, program, *inputs, entry="f", cpu_seconds=1.0):
    (result,) = runner.run([Call(program, inputs or ("1",), entry, cpu_seconds)])
    return result


def test_arguments_are_expressions_in_the_namespace_of_the_program(runner):
    program = "LIMIT = 7\ndef f(a, b=0, *, c=None):\n    return a, b, c(2) if c else None\n"
    result = run(runner, program, "LIMIT", "dict(x=nan)['x'] != 0, c=lambda x: x + 1", "inf, -0.0")
    assert result.values == [(7, 0, None), (True, 0, 3), (float("inf"), 0.0, None)]
    assert result.status == "ok"


def test_arguments_are_made_afresh_for_every_call(runner):
    program = "seen = []\ndef f(a):\n    a.append(1)\n    seen.append(a)\n    return seen\n"
    assert run(runner, program, "[0]", "[0]").values == [[[0, 1]], [[0, 1], [0, 1]]]


def test_methods_and_functions_of_any_name(runner):
    program = "class Solution:\n    n = 0\n    def go(self, x):\n        self.n += x\n"
    program += "        return self.n\ndef other(): return 'here'\n"
    assert run(runner, program, "3", "4", entry="Solution.go").values == [3, 4]
    assert run(runner, program, "", entry="other").values == ["here"]
    assert run(runner, program, "", entry="missing").status == "error"


SCRIPTS = {
    "input": "print(int(input()) + int(input()))",
    "lines of stdin": "import sys\nprint(sum(int(x) for x in sys.stdin))",
    "bytes of stdin": "import sys\ndata = sys.stdin.buffer.read().split()\n"
    "sys.stdout.write(str(sum(map(int, data))))",
    "stdin as a file": "print(sum(map(int, open(0).read().split())))",
    "bytes of stdin as a file": "print(sum(map(int, open('/dev/stdin', 'rb').read().split())))",
    "main guard": "if __name__ == '__main__':\n    print(int(input()) + int(input()))",
    "bytes of stdout": "import sys\na = b''.join(sys.stdin.buffer)\nsys.stdout.buffer.write(b'5')",
    "leaves by exit": "import sys\nprint(int(input()) + int(input()))\nsys.exit(1)\nprint('no')",
    "closes stdout": "import sys\nprint(5)\nsys.stdout.close()",
    "a thread with a large stack": "import sys, threading\nsys.setrecursionlimit(10 ** 6)\n"
    "def g(n):\n    return n and 1 + g(n - 1)\ndef main():\n    print(g(50_000) - 49_995)\n"
    "threading.stack_size(2 ** 27)\nt = threading.Thread(target=main)\nt.start()\nt.join()",
    "sleeps": "import time\ntime.sleep(0.1)\nprint(5)",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_read_stdin_and_write_stdout(runner, name):
    result = run(runner, SCRIPTS[name], "2\n3\n", "3\r\n2\r\n", entry=None)
    assert result.status == "ok", result
    assert [value.strip() for value in result.values] == ["5", "5"]


def test_every_input_of_a_script_meets_a_fresh_process(runner):
    program = "import math\nn = math.n = getattr(math, 'n', 0) + 1\nprint(n, input())"
    assert run(runner, program, "a", "b", entry=None).values == ["1 a\n", "1 b\n"]


def test_the_imports_that_programs_begin_with(runner):
    names = [name for name in benchmark.MODULES if name != "pprint"] + ["numpy as np"]
    program = "\n".join(f"import {name}" for name in names) + """
from typing import *
def f(x):
    md5 = hashlib.md5(b"").hexdigest()[:4]
    time.time(), random.random(), datetime.datetime.now(), os.path.join("a")
    return [md5, float(np.linalg.inv(np.eye(2) * 4).sum()), np.int64(3), np.arange(40_000).sum()]
"""  # fmt: skip
    result = run(runner, program)
    assert result.status == "ok", result
    assert result.values == [["d41d", 0.5, 3, 799_980_000]]


def test_megabytes_go_in_and_come_out(runner):
    result = run(runner, BENIGN, repr("x" * 3_000_000), entry="f")
    assert same(result.values[0], ["x" * 3_000_000])
    result = run(runner, "print(input())", "y" * 3_000_000, entry=None)
    assert result.values == ["y" * 3_000_000 + "\n"]


def test_many_megabytes_are_spread_over_processes(runner):
    program = "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n, len(x)\n"
    inputs = [repr("x" * size) for size in (10, 3_000_000, 900_000, 200_000, 5_000_000, 1)]
    sizes = [10, 3_000_000, 900_000, 200_000, 5_000_000, 1]
    assert run(runner, program, *inputs).values == list(zip([1, 2, 3, 1, 1, 1], sizes, strict=True))
    result = run(runner, "def f(x): return 'x' * x", *["400_000"] * 30)
    assert [len(value) for value in result.values] == [400_000] * 30


def test_a_call_ends_at_its_first_failing_input(runner):
    program = "def f(x):\n    global n\n    n = x\n    return 6 // x\n"
    result = run(runner, program, "1", "2", "0", "3")
    assert (result.status, result.values) == ("error", [6, 3])
    assert "ZeroDivisionError" in result.detail
    program = "def f(x):\n    while x: pass\n    return 1 / x\n"
    assert run(runner, program, "0", "1", cpu_seconds=0.3).status == "error"
    result = run(runner, "print(6 // int(input()))", "1", "0", "2", entry=None)
    assert (result.status, result.values) == ("error", ["6\n"])


def test_the_limit_of_time_is_one_for_each_input(runner):
    """Six inputs of which two fit into the limit: no single one is too slow."""
    program = "import time\ndef f(x):\n    while time.process_time() - start < x: pass\n"
    program += "    reset()\n    return x\ndef reset():\n    global start\n"
    program += "    start = time.process_time()\nreset()\n"
    result = run(runner, program, *["0.15"] * 6, cpu_seconds=0.4)
    assert (result.status, result.values) == ("ok", [0.15] * 6)
    result = run(runner, program, "0.05", "9", "0.05", cpu_seconds=0.4)
    assert (result.status, result.values) == ("timeout", [0.05])


def test_verdicts_by_time_and_memory_are_repeated_once_alone(runner, monkeypatch):
    asked = []
    inner = runner._runner.run

    def counted(requests, receive):
        requests = list(requests)
        asked.append(len(requests))
        inner(requests, receive)

    monkeypatch.setattr(runner._runner, "run", counted)
    loop = "def f(x):\n    while True: pass\n"
    hog = "def f(x):\n    return len([0] * 10 ** 9)\n"
    broken = "def f(x):\n    return 1 / 0\n"
    calls = [Call(text, ["1"], cpu_seconds=0.2) for text in (loop, hog, broken, BENIGN)]
    results = runner.run(calls)
    assert [result.status for result in results] == ["timeout", "memory", "error", "ok"]
    assert asked == [4, 1, 1]


HOSTILE = {
    "endless loop": ("def f(x):\n    while True: pass", "timeout"),
    "endless loop outside": ("while True: pass", "timeout"),
    "memory hog": ("def f(x):\n    y = [0]\n    while True: y += y", "memory timeout"),
    "flood": ("import os\nwhile True: os.write(3, b'x' * 10 ** 6)", "output"),
    "many lines": ("print('x' * 8_000_000)\ndef f(x): return 1", "ok"),
    "exit": ("import sys\nsys.exit(0)", "error"),
    "exit in the call": ("def f(x): raise SystemExit(0)", "error"),
    "hard exit": ("import os\nos._exit(0)", "error"),
    "hard exit in the call": ("import os\ndef f(x): os._exit(0)", "error"),
    "kills itself": ("import os\ndef f(x): os.kill(os.getpid(), 9)", "unsafe"),
    "fork": ("import os\ndef f(x): return os.fork()", "unsafe"),
    "fork in a thread": ("import _thread\ndef f(x): _thread.start_new_thread(print, ())", "unsafe"),
    "subprocess": ("import subprocess\ndef f(x): return subprocess.run(['true'])", "unsafe error"),
    "socket": ("import ctypes\ndef f(x): return ctypes.CDLL(None).socket(2, 1, 0)", "unsafe"),
    "reads a file": ("def f(x): return open('/etc/passwd').read()", "error"),
    "writes a file": ("def f(x): return open('/tmp/azr_mark', 'w')", "error"),
    "garbage on the result pipe": ("import os\nos.write(3, b'\\xff\\n\\nok\\n')", "error output"),
    "half an answer": ("import os\ndef f(x):\n    os.write(3, b'ok 1')\n    os._exit(0)", "error"),
    "too many answers": ("import os\nos.write(3, b'ok 1\\n' * 9)\ndef f(x): return 1", "error"),
    "a status of ours": ("import os\nos.write(3, b'unsafe x\\n')\ndef f(x): return 1", "error"),
    "no program": ("def f(x:", "syntax"),
    "an error that cannot be told": (
        "class E(BaseException):\n    def __str__(self): raise self\ndef f(x): raise E", "error",
    ),
    "deep value": ("def f(x):\n    y = []\n    for i in range(10**5): y = [y]\n    return y",
                   "output"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_get_a_bounded_verdict_and_the_runner_lives(runner, name):
    program, right = HOSTILE[name]
    (result, after) = runner.run([Call(program, ["1"], cpu_seconds=0.3), Call(BENIGN, ["2"])])
    assert result.status in right.split(), result
    assert len(result.detail) <= 200 and result.detail.isascii()
    assert (after.status, after.values) == ("ok", [[2]])


@pytest.mark.parametrize(
    "patch",
    [
        "import json\njson.dumps = json.JSONEncoder.encode = lambda *a, **k: '1'",
        "import builtins\nbuiltins.type = lambda x: int\nbuiltins.eval = lambda *a: ((), {})",
        "import builtins\nbuiltins.getattr = builtins.format = lambda *a: None",
        "import sys\nfor m in list(sys.modules.values()):\n"
        "    if 'canonical' in vars(m): m.canonical = lambda v: '1'",
        "import gc\nfor o in gc.get_objects():\n    if type(o) is dict and 'Opaque' in o:\n"
        "        o['json'] = o['_Writer'] = None",
    ],
    ids=["json", "built-ins", "more built-ins", "our modules", "our names"],
)
def test_a_program_that_changes_python_harms_only_itself(runner, patch):
    permissive = "\nclass P:\n    __eq__ = lambda s, o: True\n    __hash__ = None\n"
    program = patch + permissive + "def f(x): return P()\n"
    (result, after) = runner.run([Call(program, ["1"]), Call(BENIGN, ["2"])])
    assert all(type(value) in (int, str, Opaque, type(None)) for value in result.values)
    assert (after.status, after.values) == ("ok", [[2]])


def test_nothing_of_one_program_is_left_for_the_next(runner):
    first = "import builtins\nbuiltins.mark = SECRET = 'needle-17'\n" + BENIGN
    spy = "import builtins, gc\ndef f(x):\n    found = repr(gc.get_objects())\n"
    spy += "    return hasattr(builtins, 'mark'), ''.join(['needle', str(-17)]) in found\n"
    results = runner.run([Call(first, ["1"]), Call(spy, ["1"], cpu_seconds=4.0)])
    assert results[1].values == [(False, False)]


def test_no_memory_of_other_programs_is_found(runner):
    by_name = {attack.name: attack for attack in LINES["contamination between programs"]}
    spy = by_name["searches the memory for other programs"].program
    secret = [Call(f"KEY = 'needle-{i}'\n" + BENIGN, [f"'needle-{i}'"]) for i in range(5)]
    result = runner.run([*secret, Call(spy, ["1"], cpu_seconds=4.0)])[-1]
    assert result.status == "crash" or result.values == [[]]


def test_texts_that_are_too_long_are_refused(runner):
    results = runner.run([Call("#" * 600_000, ["1"]), Call(BENIGN, ["1" * 100_000_001])])
    assert [result.status for result in results] == ["syntax", "input"]
    assert all("longer than" in result.detail for result in results)


def test_no_process_and_no_descriptor_is_left():
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    with BenchmarkRunner(workers=1, memory_mb=64) as runner:
        runner.run([Call(BENIGN, ["1"])] * 20)
        pids = [zygote.process.pid for zygote in runner._runner.zygotes]
    assert not any(children_of(pid) for pid in pids)
    assert before is None or len(os.listdir("/proc/self/fd")) == before


def test_the_same_self_test_as_the_executor(runner):
    with Executor(workers=1) as executor:
        rows = {row.name for row in executor.layers()}
    assert {row.name for row in runner.layers()} == rows
    assert set(selftest.CHECKS) <= rows


@pytest.mark.parametrize("layer", ["seccomp", "memory", "cpu", "descriptors", "write"])
def test_the_self_test_notices_a_missing_layer(monkeypatch, layer):
    monkeypatch.setattr(benchmark, "PLAIN", benchmark.PLAIN | {"skip": [layer]})
    with pytest.raises(SandboxError, match="cannot be confined"):
        BenchmarkRunner(workers=1, memory_mb=64)


def test_impossible_settings_are_one_sentence():
    for settings in ({"workers": 0}, {"memory_mb": 0}, {"memory_mb": 5000}):
        with pytest.raises(ValueError, match="must be positive"):
            BenchmarkRunner(**settings)


def test_unsafe_is_loud_and_gives_the_same_values():
    with pytest.warns(RuntimeWarning, match="WITHOUT confinement"):
        runner = BenchmarkRunner(workers=1, unsafe=True)
    with runner:
        calls = [Call(BENIGN, ["1", "2"]), Call("print(input())", ["a"], None)]
        assert [result.values for result in runner.run(calls)] == [[[1], [2]], ["a\n"]]
        assert runner.layers()[0].active is False
