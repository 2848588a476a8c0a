"""The confined side: a small interpreter that forks one child per run and reports how it ended.

Started by file path with an empty environment. Requests and replies are JSON behind a four-byte
length, on one socket (stdin). Requests are read one at a time, so that a child holds no request
but its own. Needs only the standard library.
"""

import codecs
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import struct
import sys
import time
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
MAX_PAYLOAD = 4_000_000  # bytes a child may write
ENCODINGS = ["ascii", "latin-1", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
ENCODINGS += ["utf-32-le", "utf-32-be", "cp1252", "unicode-escape", "raw-unicode-escape", "rot13"]
ENCODINGS += ["hex", "base64"]


def load(name: str, path: Path):
    """The module in a file of ours, without putting its folder on the import path."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def preload(modules: list[str]) -> None:
    """Imports what programs may import, because later no file can be opened."""
    for name in modules:
        importlib.import_module(name)
    for name in ENCODINGS:
        codecs.lookup(name)
    warnings.simplefilter("ignore")


class Zygote:
    """Serves requests until its trainer closes the socket."""

    def __init__(self, config: dict):
        preload(config["modules"])
        self.skip = config["skip"]
        self.memory_bytes = config["memory_bytes"]
        self.values = load("azr_values", HERE.parent / "values.py")
        self.program = load("azr_program", HERE / "program.py")
        self.confine = load("azr_confine", HERE / "confine.py")
        self.macos = load("azr_macos", HERE / "macos.py") if sys.platform == "darwin" else None
        self.filter = None
        if self.macos is None and "seccomp" not in self.skip:
            self.filter = load("azr_seccomp", HERE / "seccomp.py").Filter(self.confine.RESULT_FD)
        self.confine.enter_zygote(self.memory_bytes, self.skip)
        sys.stdin = sys.stdout = sys.stderr = None  # print in a program does nothing
        sys.__stdin__ = sys.__stdout__ = sys.__stderr__ = None
        self.pid = os.getpid()
        gc.collect()
        gc.freeze()  # children must not touch, and so copy, our pages

    def serve(self) -> None:
        """Answers one request after the other; returns at end of file."""
        self.answer({"id": 0})  # ready
        while (request := self.receive()) is not None:
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                self.become_child(request, writing)
            os.close(writing)
            self.answer({"id": request["id"], **self.supervise(child, reading, request["wall"])})
            os.close(reading)

    def become_child(self, request: dict, writing: int) -> None:
        """Runs the request's programs behind all layers; never returns."""
        try:
            self.confine.enter_child(writing, request["cpu"], self.pid, self.skip)
            if request["programs"] is None:
                payload = json.dumps(self.confine.report()).encode("ascii")
            else:
                if self.filter is not None:
                    self.filter.install()
                payload = self.program.run_programs(
                    request["programs"], request["reverse"], self.values.canonical
                )
            while payload:
                payload = payload[os.write(self.confine.RESULT_FD, payload) :]
        finally:
            os._exit(0)  # an exit status means nothing: only the complete answer counts

    def supervise(self, child: int, reading: int, wall: float) -> dict:
        """How the child ended, what it wrote and the CPU seconds it used; it is dead afterwards."""
        deadline = time.monotonic() + wall
        poll = select.poll()
        poll.register(reading, select.POLLIN)
        poll.register(0, 0)  # reports only that the trainer is gone
        chunks, size, end = [], 0, ""
        while not end:
            patience = deadline - time.monotonic()
            if patience <= 0:
                end = "wall"
            elif self.macos and self.macos.resident_bytes(child) > self.memory_bytes:
                end = "memory"
            elif events := dict(poll.poll(20 if self.macos else patience * 1000)):
                if 0 in events:
                    os.kill(child, signal.SIGKILL)
                    sys.exit()
                chunk = os.read(reading, 65_536)
                if not chunk:
                    break
                chunks.append(chunk)
                size += len(chunk)
                end = "flood" if size > MAX_PAYLOAD else ""
        os.kill(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
        return {
            "end": end,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "cpu": usage.ru_utime + usage.ru_stime,
            "payload": "" if end else b"".join(chunks).decode("utf-8", "replace"),
        }

    def receive(self) -> dict | None:
        """The next request, or None at end of file."""
        header = self.read(4)
        body = header and self.read(struct.unpack(">I", header)[0])
        return json.loads(body) if body else None

    def read(self, size: int) -> bytes | None:
        chunks = []
        while size:
            chunk = os.read(0, size)
            if not chunk:
                return None
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def answer(self, reply: dict) -> None:
        body = json.dumps(reply).encode("ascii")
        data = struct.pack(">I", len(body)) + body
        while data:
            data = data[os.write(0, data) :]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback machinery in a child
    Zygote(json.loads(sys.argv[1])).serve()
