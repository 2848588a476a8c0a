"""The start-up test: harmless versions of each attack, and a look at what the kernel enforces."""

import json
import signal
from typing import NamedTuple

from azr_mini.sandbox.zygotes import ADVICE, ConfinedRunner, Reply, Request, SandboxError

# (name of the check, program, CPU seconds, signal that must end it, status it must report)
ATTACKS = (
    ("good program", "def f(a):\n    return [a * a, {'b'}]", 1.0, 0, "ok"),
    ("open a file", "import os\ndef f(a):\n    return os.open('/', 0)", 1.0, 0, "error"),
    (
        "open a socket",
        "import ctypes\ndef f(a):\n    return ctypes.CDLL(None).socket(2, 1, 0)",
        1.0,
        signal.SIGSYS,
        "",
    ),
    (
        "start a process",
        "import os\ndef f(a):\n    pid = os.fork()\n    return pid if pid else os._exit(0)",
        1.0,
        signal.SIGSYS,
        "",
    ),
    ("take memory", "def f(a):\n    return len(bytearray({memory}))", 1.0, 0, "memory"),
    ("burn CPU", "def f(a):\n    while True:\n        pass", 0.02, signal.SIGPROF, ""),
)


class Layer(NamedTuple):
    """One row of the table that `doctor` prints."""

    name: str
    active: bool
    detail: str


def self_test(runner: ConfinedRunner, memory_mb: int) -> list[Layer]:
    """The rows of all layers; SandboxError, naming the ones that do not hold, if any does not."""
    layers = []

    def receive(request: Request, reply: Reply) -> None:
        layers.extend(request.cases[0](reply))

    runner.run(_requests(memory_mb), receive)
    layers.sort(key=lambda layer: layer.name)
    broken = sorted({layer.name for layer in layers if not layer.active and layer.name != "user"})
    if broken:
        raise SandboxError(f"programs cannot be confined here ({', '.join(broken)}): {ADVICE}")
    return layers


def _requests(memory_mb: int):
    yield Request(1, None, 1.0, 5.0, cases=[_read_report])
    for name, program, cpu, ending, status in ATTACKS:
        program = program.replace("{memory}", str(memory_mb * 2**21))

        def read(reply: Reply, name=name, ending=ending, status=status) -> list[Layer]:
            seen = _status(reply)
            holds = (reply.end, reply.signal, seen) == ("", ending, status)
            how = reply.end or (reply.signal and f"signal {reply.signal}") or seen or "no answer"
            return [Layer(f"self-test: {name}", holds, how)]

        yield Request(1, [(program, ["3"])], cpu, 2.0, cases=[read])


def _status(reply: Reply) -> str:
    try:
        return json.loads(reply.payload)[0][0][0]
    except ValueError:
        return ""


def _read_report(reply: Reply) -> list[Layer]:
    try:
        found = json.loads(reply.payload)
    except ValueError:
        return [Layer("report", False, "no answer")]
    return [Layer(name, active, DETAILS[name]) for name, active in found.items()]


DETAILS = {
    "descriptors": "one open descriptor, the result pipe",
    "files": "no file may grow (RLIMIT_FSIZE)",
    "memory": "address space is bounded (RLIMIT_AS)",
    "cpu": "CPU time is bounded (ITIMER_PROF)",
    "user": "not root",
    "parent": "dies with its zygote (PR_SET_PDEATHSIG)",
    "privileges": "cannot gain privileges or be inspected",
}
