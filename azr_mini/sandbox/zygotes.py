"""The trainer's side of the confined processes: starts zygotes, feeds them, restarts dead ones."""

import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ZYGOTE_FILE = Path(__file__).with_name("zygote.py")
START_SECONDS = 60.0  # patience with a zygote that starts on a very busy machine
MAX_REPLY = 64_000_000
MAX_WAITING = 2  # requests given to a zygote: one runs, one waits in the socket


class SandboxError(RuntimeError):
    """Programs cannot be run confined here; the message says what to do."""


@dataclass(eq=False)
class Request:
    """Some programs, each with its inputs, for one fork of a zygote with the given hash seed."""

    seed: int
    programs: list[tuple[str, list[str]]] | None  # None asks for the layers' report
    cpu_seconds: float
    wall_seconds: float
    reverse: bool = False
    cases: list = field(default_factory=list)  # whose programs these are
    deaths: int = 0  # zygotes that died over it


@dataclass(frozen=True)
class Reply:
    """How the child of one request ended. `payload` is what it wrote: hostile text."""

    end: str  # "" by itself, or "wall", "flood", "memory", "died"
    signal: int = 0
    cpu: float = 0.0
    payload: str = ""


class Zygote:
    """One confined interpreter, its socket and the requests it has not answered yet."""

    def __init__(self, seed: int, command: list[str]):
        self.seed = seed
        self.waiting: deque[Request] = deque()
        self.since = time.monotonic()  # when the oldest waiting request began
        self.outgoing, self.incoming = bytearray(), bytearray()
        self.ready = False
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env={"PYTHONHASHSEED": str(seed), "LC_ALL": "C.UTF-8"},
            start_new_session=True,  # Ctrl-C is for the trainer alone
        )
        theirs.close()

    def send(self, request: Request) -> None:
        """Queues one request; `pump` moves the bytes."""
        if not self.waiting:
            self.since = time.monotonic()
        self.waiting.append(request)
        body = json.dumps(
            {
                "id": id(request),
                "programs": request.programs,
                "reverse": request.reverse,
                "cpu": request.cpu_seconds,
                "wall": request.wall_seconds,
            }
        ).encode("ascii")
        self.outgoing += struct.pack(">I", len(body)) + body

    def pump(self) -> list[tuple[Request, Reply]]:
        """Moves what bytes it can, without waiting; the answers that are complete now.

        Raises OSError when the zygote is gone and ValueError when it answers out of turn.
        """
        try:
            while self.outgoing:
                del self.outgoing[: self.socket.send(self.outgoing)]
        except BlockingIOError:
            pass
        try:
            while chunk := self.socket.recv(1 << 20):
                self.incoming += chunk
            raise ConnectionError("the zygote closed its socket")
        except BlockingIOError:
            pass
        return [self._accept(frame) for frame in self._frames() if frame["id"] != 0]

    def _frames(self) -> Iterator[dict]:
        while len(self.incoming) >= 4:
            size = struct.unpack(">I", self.incoming[:4])[0]
            if size > MAX_REPLY:
                raise ValueError(f"reply of {size} bytes")
            if len(self.incoming) < 4 + size:
                return
            frame = json.loads(self.incoming[4 : 4 + size])
            del self.incoming[: 4 + size]
            self.ready = True
            yield frame

    def _accept(self, frame: dict) -> tuple[Request, Reply]:
        if not self.waiting or frame["id"] != id(self.waiting[0]):
            raise ValueError("answer to a request that nobody waits for")
        self.since = time.monotonic()
        frame.pop("id")
        return self.waiting.popleft(), Reply(**frame)

    def overdue(self) -> bool:
        """Whether it has been silent for longer than its own deadlines explain."""
        patience = START_SECONDS + (self.waiting[0].wall_seconds if self.waiting else 0.0)
        return (bool(self.waiting) or not self.ready) and time.monotonic() - self.since > patience

    def kill(self) -> str:
        """Ends the process and returns the last of what it said on stderr."""
        self.process.kill()
        self.process.wait()
        self.socket.close()
        os.set_blocking(self.process.stderr.fileno(), False)  # a stray child may hold it open
        said = self.process.stderr.read() or b""
        self.process.stderr.close()
        return said.decode("utf-8", "replace").strip()[-300:]


class ConfinedRunner:
    """Several zygotes. `run` gives requests to those with the right hash seed."""

    def __init__(self, seeds: list[int], config: dict):
        # By path, not -m: with -S an installed package could not be found. -I would ignore the seed.
        self._command = [sys.executable, "-s", "-S", "-B", "-P", str(ZYGOTE_FILE)]
        self._command.append(json.dumps(config))
        if sys.platform == "darwin":
            from azr_mini.sandbox.macos import profile

            self._command[:0] = ["sandbox-exec", "-p", profile()]
        self.zygotes = [Zygote(seed, self._command) for seed in seeds]
        self._pump_all(until=lambda: all(zygote.ready for zygote in self.zygotes))

    def run(self, requests: Iterable[Request], receive: Callable[[Request, Reply], None]) -> None:
        """Calls `receive` once per request, in order of arrival. `requests` is read lazily."""
        source = iter(requests)
        queues: dict[int, deque[Request]] = {zygote.seed: deque() for zygote in self.zygotes}
        try:
            while self._feed(source, queues):
                self._wait()
                for index in range(len(self.zygotes)):
                    for request, reply in self._collect(index, queues):
                        receive(request, reply)
        except BaseException:
            self._abandon()  # interrupted: a late answer must never meet a new question
            raise

    def _feed(self, source: Iterator[Request], queues: dict[int, deque[Request]]) -> bool:
        """Gives every zygote with room its next request; whether any request is unanswered."""
        for zygote in self.zygotes:
            queue = queues[zygote.seed]
            while len(zygote.waiting) < MAX_WAITING:
                while not queue and (request := next(source, None)) is not None:
                    queues[request.seed].append(request)
                if not queue:
                    break
                zygote.send(queue.popleft())
        return any(zygote.waiting for zygote in self.zygotes)

    def _wait(self) -> None:
        poll = select.poll()
        for zygote in self.zygotes:
            poll.register(zygote.socket, select.POLLIN | (select.POLLOUT if zygote.outgoing else 0))
        poll.poll(1000)

    def _collect(self, index: int, queues: dict) -> list[tuple[Request, Reply]]:
        zygote = self.zygotes[index]
        try:
            answers = zygote.pump()
            if zygote.overdue():
                raise TimeoutError("the zygote does not answer")
            return answers
        except (OSError, ValueError, KeyError, TypeError):
            return self._replace(index, queues[zygote.seed])

    def _replace(self, index: int, queue: deque[Request]) -> list[tuple[Request, Reply]]:
        """Starts a new zygote. What the dead one had not answered is asked again, once."""
        dead = self.zygotes[index]
        said = dead.kill()
        if not dead.ready:
            raise SandboxError(f"a confined Python does not start here ({said}); {ADVICE}")
        self.zygotes[index] = Zygote(dead.seed, self._command)
        if not dead.waiting:
            return []
        head = dead.waiting[0]  # the one that was running
        head.deaths += 1
        if head.deaths > 1:
            dead.waiting.popleft()
        queue.extendleft(reversed(dead.waiting))
        return [(head, Reply("died"))] if head.deaths > 1 else []

    def _pump_all(self, until: Callable[[], bool]) -> None:
        while not until():
            self._wait()
            for index in range(len(self.zygotes)):
                self._collect(index, {zygote.seed: deque() for zygote in self.zygotes})

    def _abandon(self) -> None:
        for index, zygote in enumerate(self.zygotes):
            if zygote.waiting:
                zygote.kill()
                self.zygotes[index] = Zygote(zygote.seed, self._command)

    def close(self) -> None:
        """Ends every zygote; their children die with them."""
        for zygote in self.zygotes:
            zygote.kill()
        self.zygotes = []


ADVICE = (
    "use Linux, WSL2 or Docker, or pass unsafe=True to run programs without confinement at your risk"
)
