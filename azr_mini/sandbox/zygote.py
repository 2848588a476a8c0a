"""The confined side: a small interpreter that forks one child per run and reports how it ended.

Started by file path with an empty environment. Requests are read one at a time from one socket
(stdin). A child can read every byte of the memory it is forked with, so requests and answers pass
through buffers that are wiped before the next fork, and are never parsed here: no child finds what
belongs to another. Needs only the standard library.
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
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHUNK = 8_192  # bytes read at a time; a buffer of few pages, because each is copied after a fork
HEADER = struct.Struct(">IId")  # of a request: bytes that follow, its id, wall seconds
ENCODINGS = ["ascii", "latin-1", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
ENCODINGS += ["utf-32-le", "utf-32-be", "cp1252", "unicode-escape", "raw-unicode-escape", "rot13"]
ENCODINGS += ["hex", "base64"]


def load(name: str, path: Path):
    """The module in a file of ours, without putting its folder on the import path."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def preload(modules: list[str], folders: list[str]) -> None:
    """Imports what programs may import, because later no file can be opened."""
    sys.path += folders
    for name in modules:
        importlib.import_module(name)
    del sys.path[len(sys.path) - len(folders) :]
    for name in ENCODINGS:
        codecs.lookup(name)
    warnings.simplefilter("ignore")


def wipe(buffer: bytearray) -> None:
    """Overwrites a buffer, so that no later child finds in its memory what went through it."""
    buffer[:] = bytes(len(buffer))


class Written:
    """What a child wrote to its result pipe, in buffers that can be wiped."""

    def __init__(self, descriptor: int):
        self.descriptor = descriptor
        self.size = 0  # bytes
        self.buffers: list[bytearray] = []

    def read(self) -> int:
        """Reads some more; how many bytes, 0 at the end."""
        # A buffer is filled before the next one is made: a child may write byte by byte.
        if self.size == len(self.buffers) * CHUNK:
            self.buffers.append(bytearray(CHUNK))
        count = os.readv(self.descriptor, [memoryview(self.buffers[-1])[self.size % CHUNK :]])
        self.size += count
        return count

    def pieces(self) -> list[memoryview]:
        """The bytes in order, not copied."""
        *full, last = map(memoryview, self.buffers)
        return [*full, last[: self.size - CHUNK * len(full)]]

    def wipe(self) -> None:
        for buffer in self.buffers:
            wipe(buffer)


class Zygote:
    """Serves requests until its trainer closes the socket."""

    def __init__(self, config: dict):
        os.environ.update(config["environment"])
        preload(config["modules"], config["folders"])
        self.skip = config["skip"]
        self.memory_bytes = config["memory_bytes"]
        self.max_payload = config["max_payload"]
        self.values = load("azr_values", HERE / config["values"])
        self.program = load("azr_program", HERE / config["program"])
        self.confine = load("azr_confine", HERE / "confine.py")
        self.macos = load("azr_macos", HERE / "macos.py") if sys.platform == "darwin" else None
        self.filter = None
        if self.macos is None and "seccomp" not in self.skip:
            seccomp = load("azr_seccomp", HERE / "seccomp.py")
            self.filter = seccomp.Filter(self.confine.RESULT_FD, self.skip)
        self.confine.enter_zygote(self.memory_bytes, self.skip)
        sys.stdin = sys.stdout = sys.stderr = None  # print in a program does nothing
        sys.__stdin__ = sys.__stdout__ = sys.__stderr__ = None
        self.pid = os.getpid()
        gc.collect()
        gc.freeze()  # children must not touch, and so copy, our pages

    def serve(self) -> None:
        """Answers one request after the other; returns at end of file."""
        self.answer({"id": 0})  # ready
        while header := self.read(HEADER.size):
            size, identity, wall = HEADER.unpack(header)
            if (body := self.read(size)) is None:
                return
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                self.become_child(body, writing)
            os.close(writing)
            wipe(body)
            written = Written(reading)
            ending = self.supervise(child, written, wall)
            os.close(reading)
            self.answer({"id": identity, **ending}, [] if ending["end"] else written.pieces())
            written.wipe()

    def become_child(self, body: bytearray, writing: int) -> None:
        """Runs the request's programs behind all layers; never returns."""
        try:
            request = json.loads(body)
            self.confine.enter_child(writing, request["cpu"], self.pid, self.skip)
            if request["programs"] is None:
                pieces = [json.dumps(self.confine.report()).encode("ascii")]
            else:
                if self.filter is not None:
                    self.filter.install()
                pieces = self.program.run_programs(
                    request["programs"], request["reverse"], self.values.canonical
                )
            for payload in pieces:
                while payload:
                    payload = payload[os.write(self.confine.RESULT_FD, payload) :]
        finally:
            os._exit(0)  # an exit status means nothing: only the complete answer counts

    def supervise(self, child: int, written: Written, wall: float) -> dict:
        """How the child ended and the CPU seconds it used; it is dead afterwards."""
        deadline = time.monotonic() + wall
        poll = select.poll()
        poll.register(written.descriptor, select.POLLIN)
        poll.register(0, 0)  # reports only that the trainer is gone
        end = ""
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
                if not written.read():
                    break
                end = "flood" if written.size > self.max_payload else ""
        os.kill(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
        return {
            "end": end,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "cpu": usage.ru_utime + usage.ru_stime,
        }

    def read(self, size: int) -> bytearray | None:
        """The next `size` bytes of the socket in one buffer, or None at end of file."""
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            if not (count := os.readv(0, [rest])):
                return None
            rest = rest[count:]
        return data

    def answer(self, ending: dict, pieces: Sequence[memoryview] = ()) -> None:
        """Sends how a child ended as a line of JSON, and behind it what the child wrote."""
        line = json.dumps(ending).encode("ascii") + b"\n"
        size = len(line) + sum(map(len, pieces))
        for data in (struct.pack(">I", size) + line, *pieces):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(0, rest) :]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback machinery in a child
    Zygote(json.loads(sys.argv[1])).serve()
