"""The start-up test: harmless versions of each attack, and what the kernel says it enforces."""

import json
import signal
import sys
from collections.abc import Iterator
from typing import NamedTuple

from azr_mini.sandbox.protocol import ADVICE, Reply, Request, SandboxError
from azr_mini.sandbox.zygotes import ConfinedRunner

KILLED = f"signal {int(getattr(signal, 'SIGSYS', 0))}" if sys.platform == "linux" else "error"
OUT_OF_TIME = f"signal {int(getattr(signal, 'SIGPROF', 0))}"

# check: (program, CPU seconds it gets, how it must end)
CHECKS = {
    "good program": ("def f(a):\n    return [a * a, {'b'}]", 1.0, "ok"),
    "open a file": ("import os\ndef f(a):\n    return os.open('/', 0)", 1.0, "error"),
    "open a socket": (
        "import ctypes\ndef f(a):\n"
        "    assert ctypes.CDLL(None).socket(2, 1, 0) >= 0\n    return 'open'",
        1.0,
        KILLED,
    ),
    "start a process": (
        "import os\ndef f(a):\n    return 'parent' if os.fork() else os._exit(0)",
        1.0,
        KILLED,
    ),
    "take memory": ("def f(a):\n    return len(b'x' * {twice_the_limit})", 1.0, "memory"),
    "burn CPU": ("def f(a):\n    while True:\n        pass", 0.02, OUT_OF_TIME),
}
if sys.platform == "linux":  # the conditions of the filter, one by one
    CHECKS |= {
        "write elsewhere": ("import os\ndef f(a):\n    return os.write(1, b'x')", 1.0, KILLED),
        "executable memory": (
            "import ctypes\ndef f(a):\n    ctypes.CDLL(None).mmap(None, 4096, 7, 34, -1, 0)",
            1.0,
            KILLED,
        ),
        "wait": (
            "import _thread\nlock = _thread.allocate_lock()\n"
            "def f(a):\n    return lock.acquire() and lock.acquire(timeout=0.01)",
            1.0,
            KILLED,
        ),
    }

LAYERS = {
    "descriptors": "one open descriptor, the result pipe",
    "files": "no file may grow (RLIMIT_FSIZE)",
    "memory": "memory is bounded (RLIMIT_AS)",
    "cpu": "CPU time is bounded (ITIMER_PROF, RLIMIT_CPU)",
    "user": "not root",
    "parent": "dies with its zygote (PR_SET_PDEATHSIG)",
    "privileges": "gains no privileges, cannot be inspected (NO_NEW_PRIVS, not DUMPABLE)",
}


class Layer(NamedTuple):
    """One row of the table that `doctor` prints."""

    name: str
    active: bool
    detail: str


def start_confined(
    seeds: list[int], config: dict, python: str
) -> tuple[ConfinedRunner, list[Layer]]:
    """A runner that passed the self-test, and what that found; else SandboxError."""
    if sys.platform not in ("linux", "darwin"):
        raise SandboxError(f"programs cannot be confined on {sys.platform}: {ADVICE}")
    runner = ConfinedRunner(seeds, config, python)
    try:
        return runner, self_test(runner, config["memory_bytes"] >> 20)
    except BaseException:
        runner.close()
        raise


def self_test(runner: ConfinedRunner, memory_mb: int) -> list[Layer]:
    """One row per layer and attack; SandboxError, naming those that do not hold, if any."""
    rows: list[Layer] = []
    runner.run(
        _requests(memory_mb), lambda request, reply: rows.extend(_rows(request.cases, reply))
    )
    order = [*LAYERS, *CHECKS]  # not that in which processes happened to end
    rows.sort(key=lambda row: order.index(row.name) if row.name in order else -1)
    # Staying root inside a container that has no other user is reported but not fatal.
    broken = [row.name for row in rows if not row.active and row.name != "user"]
    if broken:
        checks = ", ".join(broken)
        raise SandboxError(f"programs cannot be confined here (self-test: {checks}): {ADVICE}")
    return rows


def _requests(memory_mb: int) -> Iterator[Request]:
    yield Request(1, None, 1.0, 30.0)
    for name, (program, cpu_seconds, _) in CHECKS.items():
        program = program.replace("{twice_the_limit}", str(memory_mb << 21))
        # Generous, except where a broken CPU limit would otherwise make us wait.
        wall_seconds = 30.0 if cpu_seconds == 1.0 else 3.0
        yield Request(1, [(program, ["3"])], cpu_seconds, wall_seconds, cases=[name])


def _rows(names: list[str], reply: Reply) -> list[Layer]:
    if names:
        (name,) = names
        ending = _ending(reply)
        return [Layer(name, ending == CHECKS[name][2], f"self-test program ended with: {ending}")]
    try:
        found = json.loads(reply.payload)
    except ValueError:
        return [Layer("report of the kernel", False, "no answer")]
    return [Layer(name, found[name], detail) for name, detail in LAYERS.items() if name in found]


def _ending(reply: Reply) -> str:
    if reply.end or reply.signal:
        return reply.end or f"signal {reply.signal}"
    return reply.payload.partition(" ")[0] or "no answer"
