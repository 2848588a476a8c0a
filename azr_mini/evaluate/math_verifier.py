"""Whether two formulas are equal, decided by math-verify in processes that may be killed.

sympy can take hours or all memory for a short formula, and math-verify's own timeout works in a
main thread only. Text from a model is read as LaTeX there and is never evaluated as Python.
"""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue

CPU_SECONDS = 5.0  # for one comparison; the official evaluation gives 3 s of wall time
WALL_SECONDS = 120  # for a machine that is too busy
WORKER = Path(__file__).with_name("math_worker.py")


class MathVerifier:
    """A context manager with `workers` processes; ValueError if math-verify is not installed."""

    def __init__(self, workers: int = 2, cpu_seconds: float = CPU_SECONDS) -> None:
        if find_spec("math_verify") is None:
            raise ValueError(
                "math benchmarks need the package math-verify: pip install -c constraints.txt "
                "math-verify"
            )
        self._threads = ThreadPoolExecutor(workers)
        self._workers: SimpleQueue[_Worker] = SimpleQueue()
        for _ in range(workers):
            self._workers.put(_Worker(cpu_seconds))

    def __enter__(self) -> "MathVerifier":
        return self

    def __exit__(self, *exception) -> None:
        self._threads.shutdown(cancel_futures=True)
        while not self._workers.empty():
            self._workers.get().stop()

    def equal(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """ "correct", "wrong", "timeout" or "error" for each (gold, answer), in order."""
        # the answers to one problem go to one process, which reads the gold once
        same = [list(group) for _, group in groupby(pairs, key=lambda pair: pair[0])]
        return [said for group in self._threads.map(self._compare, same) for said in group]

    def _compare(self, pairs: list[tuple[str, str]]) -> list[str]:
        worker = self._workers.get()
        try:
            return [worker.compare(pair) for pair in pairs]
        finally:
            self._workers.put(worker)


class _Worker:
    """One process, started when it is needed and again after it died."""

    def __init__(self, cpu_seconds: float) -> None:
        self._cpu_seconds, self._process = cpu_seconds, None

    def compare(self, pair: tuple[str, str]) -> str:
        try:
            if self._process is None:
                self._start()
            self._process.stdin.write(json.dumps(pair).encode("ascii") + b"\n")
            self._process.stdin.flush()
            said = self._line()
        except BrokenPipeError:
            said = b""
        if said in (b"true\n", b"false\n"):
            return "correct" if said == b"true\n" else "wrong"
        return "timeout" if self.stop() == -signal.SIGPROF else "error"

    def _start(self) -> None:
        command = [sys.executable, "-P", str(WORKER), str(self._cpu_seconds)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONHASHSEED": "0"},
        )  # fmt: skip
        if self._line() != b"ready\n":
            self.stop()
            raise ValueError("math-verify cannot be imported here: install it again")

    def _line(self) -> bytes:
        """The next line, or nothing if the process died or took too long."""
        ready, _, _ = select.select([self._process.stdout], [], [], WALL_SECONDS)
        return self._process.stdout.readline() if ready else b""

    def stop(self) -> int | None:
        """Ends the process; its exit status."""
        if self._process is None:
            return None
        process, self._process = self._process, None
        if not process.stdin.closed:
            try:
                process.stdin.close()
            except BrokenPipeError:
                pass
        process.kill()
        process.stdout.close()
        return process.wait()
