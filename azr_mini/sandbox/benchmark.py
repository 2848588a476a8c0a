"""Runs programs of benchmarks, confined like the executor's, with wide imports and raised caps.

One run is enough here: nothing is bought with a verdict, so nobody looks for what is not
deterministic. There is no static check either; the confinement is the boundary. A run gets program
and inputs and never an expected value; what it returns is compared by the caller.
"""

import encodings
import importlib.util
import pkgutil
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from azr_mini.sandbox.cases import MAX_DETAIL, OWN_WORDS, failure_of, printable
from azr_mini.sandbox.protocol import Reply, Request
from azr_mini.sandbox.selftest import Layer, start_confined
from azr_mini.sandbox.static_check import ALLOWED_MODULES
from azr_mini.sandbox.unsafe import WARNING, UnsafeRunner
from azr_mini.sandbox.wide_values import parse
from azr_mini.sandbox.zygotes import PLAIN

MODULES = [
    *ALLOWED_MODULES,
    *"array ast base64 binascii calendar cmath contextlib contextvars datetime difflib fnmatch "
    "graphlib hashlib html inspect io ipaddress json keyword locale logging os os.path pathlib "
    "pickle platform pprint queue random secrets shlex struct sys tempfile threading time "
    "timeit tokenize traceback types urllib.parse uuid warnings weakref zlib zoneinfo".split(),
]
MODULES += [
    f"encodings.{codec.name}"  # mbcs and oem are Windows' own
    for codec in pkgutil.iter_modules(encodings.__path__)
    if codec.name not in ("mbcs", "oem")
]
NUMPY = ["numpy", "numpy.fft", "numpy.linalg", "numpy.polynomial", "numpy.random"]
SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
MAX_PROGRAM = 500_000  # characters
MAX_INPUT = 100_000_000  # characters of one input
PART = 4_000_000  # characters: more inputs than that get a further process
MAX_PAYLOAD = 64_000_000  # bytes that a process may write
SEED = 1  # PYTHONHASHSEED: the canonical solution and an answer see sets in the same order
REPEATED = {"timeout", "memory"}  # verdicts that count only when they come again, alone
MAX_TURNS = 20  # of one program that runs out of time at one input after the other


@dataclass(frozen=True)
class Call:
    """A program and its inputs, run in order until one fails.

    entry: a function's name, or "Class.method" for a method of a fresh object; inputs are the texts
    of the arguments, expressions that are evaluated in the program's namespace. None: the program
    is a script, run afresh for each input, which is its stdin. cpu_seconds: for one process.
    """

    program: str
    inputs: Sequence[str]
    entry: str | None = "f"
    cpu_seconds: float = 4.0


@dataclass(frozen=True)
class CallResult:
    """What became of a call: "ok", or why its first failing input failed, as `Result.status`.

    values: what the inputs before that one returned (stdout, for a script). cpu_seconds: of the
    slowest of its processes, repetitions included.
    """

    status: str
    values: list
    detail: str = ""
    cpu_seconds: float = 0.0


@dataclass(eq=False)
class Part:
    """The inputs of a call that share a process, and what has come of them so far."""

    call: Call
    inputs: Sequence[str]
    values: list = field(default_factory=list)
    failure: tuple[str, str] | None = None
    cpu: float = 0.0  # seconds

    def is_doubtful(self) -> bool:
        """Whether it has to run alone: it ran out of time or memory, or has not run at all."""
        if self.failure:
            return self.failure[0] in REPEATED
        return len(self.values) < len(self.inputs)

    def take(self, reply: Reply) -> None:
        """Reads what a process wrote about the inputs that were left. The text is hostile."""
        self.cpu += reply.cpu
        *lines, _ = reply.payload.split("\n", len(self.inputs) + 1)  # the rest was cut off
        self.failure = failure_of(reply, self.call.cpu_seconds)
        for line in lines:
            status, _, text = line.partition(" ")
            if status == "ok" and len(self.values) < len(self.inputs):
                try:
                    self.values.append(parse(text))
                    continue
                except ValueError as error:
                    status, text = "output", str(error)
            known = status in OWN_WORDS - {"ok"}
            self.failure = self.failure or (
                (status, text) if known else ("error", "wrote something that is no answer")
            )
            return
        if self.failure is None and len(self.values) < len(self.inputs):
            self.failure = ("error", "ended without an answer")


class BenchmarkRunner:
    """Confined workers for programs of benchmarks. A context manager that tests itself at start.

    workers: interpreters, one per core to use. memory_mb: of one process, at most 4096, which one
    reference of MBPP+ needs. unsafe: run without confinement, with a warning. Raises SandboxError
    like `Executor`.
    """

    def __init__(self, workers: int = 2, unsafe: bool = False, *, memory_mb: int = 4096):
        if workers < 1 or not 1 <= memory_mb <= 4096:
            raise ValueError(
                f"workers={workers} must be positive and memory_mb={memory_mb} between 1 and 4096"
            )
        numpy = importlib.util.find_spec("numpy")
        config = PLAIN | {
            "modules": MODULES + (NUMPY if numpy else []),
            "folders": [str(Path(numpy.origin).parents[1])] if numpy else [],
            "environment": SINGLE_THREADED,
            "program": "benchmark_program.py",
            "values": "wide_values.py",
            "memory_bytes": memory_mb << 20,
            "max_payload": MAX_PAYLOAD,
        }
        if unsafe:
            warnings.warn(WARNING, RuntimeWarning, stacklevel=2)
            self._runner = UnsafeRunner(workers, config, sys.executable)
            self._layers = [Layer("confinement", False, WARNING)]
        else:
            self._runner, self._layers = start_confined([SEED] * workers, config, sys.executable)

    def __enter__(self) -> "BenchmarkRunner":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Ends every process of this runner."""
        self._runner.close()

    def layers(self) -> list[Layer]:
        """What the self-test found, one row per layer of confinement."""
        return list(self._layers)

    def run(self, calls: Iterable[Call]) -> list[CallResult]:
        """One result per call, in order. No program text and no input text makes it raise."""
        split = [_parts(call) for call in calls]
        self._runner.run(_requests(split), _receive)
        for parts in split:
            for part in parts:
                if part.is_doubtful():
                    self._repeat(part)
                if part.failure:
                    break
        return [_result(parts) for parts in split]

    def _repeat(self, part: Part) -> None:
        """Runs the inputs from the failing one on again, alone, as long as that one gets through.

        So a limit of time is one for each input, although a process has several.
        """
        for _ in range(MAX_TURNS):
            done = len(part.values)
            self._runner.run([_request(part)], _receive)
            if not part.is_doubtful() or len(part.values) == done:
                return


def _receive(request: Request, reply: Reply) -> None:
    (part,) = request.cases
    part.take(reply)


def _parts(call: Call) -> list[Part]:
    if len(call.program) > MAX_PROGRAM:
        return [Part(call, [], failure=("syntax", f"longer than {MAX_PROGRAM} characters"))]
    if any(len(text) > MAX_INPUT for text in call.inputs):
        return [Part(call, [], failure=("input", f"longer than {MAX_INPUT} characters"))]
    if call.entry is None:
        return [Part(call, [text]) for text in call.inputs]
    groups: list[list[str]] = [[]]
    room = PART
    for text in call.inputs:
        if len(text) > room and groups[-1]:
            groups.append([])
            room = PART
        groups[-1].append(text)
        room -= len(text)
    return [Part(call, group) for group in groups]


def _requests(split: list[list[Part]]) -> Iterator[Request]:
    """One request for each part, read lazily: a script that failed an input gets no further one."""
    for parts in split:
        for part in parts:
            if any(other.failure for other in parts):
                break
            yield _request(part)


def _request(part: Part) -> Request:
    call = part.call
    part.failure = None
    left = part.inputs[len(part.values) :]
    wall_seconds = 10.0 + 8 * call.cpu_seconds
    program = (call.program, left, call.entry)
    return Request(SEED, [program], call.cpu_seconds, wall_seconds, cases=[part])


def _result(parts: list[Part]) -> CallResult:
    values: list = []
    cpu = max((part.cpu for part in parts), default=0.0)
    for part in parts:
        values += part.values
        if part.failure:
            status, detail = part.failure
            return CallResult(status, values, printable(detail[:MAX_DETAIL]), cpu)
    return CallResult("ok", values, "", cpu)
