"""The trainer's side of the confined processes: starts zygotes, feeds them, replaces dead ones."""

import json
import os
import select
import socket
import struct
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from azr_mini.sandbox import macos
from azr_mini.sandbox.protocol import ADVICE, Reply, Request, SandboxError

START_SECONDS = 60.0  # patience with a zygote beyond its own deadlines, on a very busy machine
MAX_ENVELOPE = 4_000_000  # bytes of a reply beyond what a child wrote
MAX_STARTS = 3  # of a zygote that dies before it is ready; a machine short of memory may kill one
MAX_WAITING = 2  # requests given to a zygote: one runs, one waits in the socket
PLAIN = {  # how a zygote runs programs of self-play; the files lie beside this one
    "program": "program.py",
    "values": "../values.py",
    "folders": [],  # to import from, beside the standard library
    "environment": {},
    "max_payload": 4_000_000,  # bytes a child may write
    "skip": [],  # layers to leave out, for tests of the self-test
}


def command(python: str, file: str, config: dict) -> list[str]:
    """The command line of an interpreter that runs one of our files."""
    # By path, not -m: with -S an installed package is not found. And -I would ignore the hash seed.
    path = Path(__file__).with_name(file)
    return [python, "-s", "-S", "-B", "-P", str(path), json.dumps(config)]


def environment(seed: int) -> dict[str, str]:
    """Nothing of ours: no secret, no path."""
    return {"PYTHONHASHSEED": str(seed), "LC_ALL": "C.UTF-8"}


class Zygote:
    """One confined interpreter, its socket, and the requests it has not answered yet."""

    def __init__(self, seed: int, config: dict, python: str, starts: int = 1):
        self.seed = seed
        self.max_reply = config["max_payload"] + MAX_ENVELOPE
        self.starts = starts  # how often it has been tried
        self.waiting: deque[Request] = deque()
        self.sent = self.answered = 0  # number of the latest request
        self.since = time.monotonic()  # when the oldest waiting request began
        self.outgoing, self.incoming = bytearray(), bytearray()
        self.ready = False
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        self.process = subprocess.Popen(
            macos.confined(command(python, "zygote.py", config)),
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env=environment(seed),
            start_new_session=True,  # Ctrl-C is for the trainer alone
        )
        theirs.close()

    def send(self, request: Request) -> None:
        """Queues one request; `pump` moves the bytes."""
        if not self.waiting:
            self.since = time.monotonic()
        self.waiting.append(request)
        self.sent += 1
        body = json.dumps(request.to_json()).encode("ascii")
        self.outgoing += struct.pack(">IId", len(body), self.sent, request.wall_seconds) + body

    def pump(self) -> list[tuple[Request, Reply]]:
        """Moves what bytes it can, without waiting; the answers that are complete now.

        Raises OSError when the zygote is gone and ValueError when it answers out of turn.
        """
        with suppress(BlockingIOError):
            while self.outgoing:
                del self.outgoing[: self.socket.send(self.outgoing)]
        with suppress(BlockingIOError):
            while chunk := self.socket.recv(1 << 18):
                self.incoming += chunk
            raise ConnectionError("the zygote closed its socket")
        return list(self._answers())

    def _answers(self) -> Iterator[tuple[Request, Reply]]:
        while len(self.incoming) >= 4:
            size = struct.unpack_from(">I", self.incoming)[0]
            if size > self.max_reply:
                raise ValueError(f"reply of {size} bytes")
            if len(self.incoming) < 4 + size:
                return
            line, _, payload = bytes(self.incoming[4 : 4 + size]).partition(b"\n")
            answer = json.loads(line)
            del self.incoming[: 4 + size]
            if not self.ready:  # the first message only says that it has started
                self.ready = True
                continue
            self.answered += 1
            if answer.pop("id") != self.answered or not self.waiting:
                raise ValueError("an answer to another question")
            self.since = time.monotonic()
            text = payload.decode("utf-8", "replace")
            yield self.waiting.popleft(), Reply(**answer, payload=text)

    def overdue(self) -> bool:
        """Whether it has been silent for longer than its own deadlines explain."""
        patience = START_SECONDS + (self.waiting[0].wall_seconds if self.waiting else 0.0)
        return (bool(self.waiting) or not self.ready) and time.monotonic() - self.since > patience

    def kill(self) -> str:
        """Ends the process and returns the last of what it said on stderr."""
        self.process.kill()
        self.process.wait()
        self.socket.close()
        if self.process.stderr.closed:
            return ""
        os.set_blocking(self.process.stderr.fileno(), False)
        said = self.process.stderr.read() or b""
        self.process.stderr.close()
        return said.decode("utf-8", "replace").strip()[-300:]


class ConfinedRunner:
    """Several zygotes; each request goes to one with its hash seed."""

    def __init__(self, seeds: list[int], config: dict, python: str):
        self._config = config
        self._python = python
        self.zygotes = [self._start(seed) for seed in seeds]

    def run(self, requests: Iterable[Request], receive: Callable[[Request, Reply], None]) -> None:
        """Calls `receive` once per request, in order of arrival. `requests` is read lazily."""
        self._renew()
        source = iter(requests)
        queues: dict[int, deque[Request]] = {zygote.seed: deque() for zygote in self.zygotes}
        try:
            while self._feed(source, queues):
                for index in self._talking():
                    for request, reply in self._collect(index, queues):
                        receive(request, reply)
        except BaseException:
            self._renew()  # interrupted: stop what is running now
            raise

    def close(self) -> None:
        """Ends every zygote; their children die with them."""
        for zygote in self.zygotes:
            zygote.kill()
        self.zygotes = []

    def _start(self, seed: int, starts: int = 1) -> Zygote:
        return Zygote(seed, self._config, self._python, starts)

    def _renew(self) -> None:
        """Replaces zygotes that still owe an answer: it must never meet another question."""
        for index, zygote in enumerate(self.zygotes):
            if zygote.waiting or zygote.process.poll() is not None:
                zygote.kill()
                self.zygotes[index] = self._start(zygote.seed)

    def _feed(self, source: Iterator[Request], queues: dict[int, deque[Request]]) -> bool:
        """Gives every zygote with room its next request; whether any answer is outstanding."""
        for zygote in self.zygotes:
            queue = queues[zygote.seed]
            while len(zygote.waiting) < MAX_WAITING:
                while not queue and (request := next(source, None)) is not None:
                    queues[request.seed].append(request)
                if not queue:
                    break
                zygote.send(queue.popleft())
        return any(zygote.waiting for zygote in self.zygotes)

    def _talking(self) -> list[int]:
        """Waits until a zygote can be written to or read from; which ones."""
        poll = select.poll()
        for zygote in self.zygotes:
            poll.register(zygote.socket, select.POLLIN | (select.POLLOUT if zygote.outgoing else 0))
        ready = {descriptor for descriptor, _ in poll.poll(1000)}
        return [
            index
            for index, zygote in enumerate(self.zygotes)
            if zygote.socket.fileno() in ready or zygote.overdue()
        ]

    def _collect(self, index: int, queues: dict) -> list[tuple[Request, Reply]]:
        zygote = self.zygotes[index]
        try:
            if zygote.overdue():
                raise TimeoutError("the zygote does not answer")
            return zygote.pump()
        except (OSError, ValueError, KeyError, TypeError):
            return self._replace(index, queues[zygote.seed])

    def _replace(self, index: int, queue: deque[Request]) -> list[tuple[Request, Reply]]:
        """Starts a new zygote. What the dead one had not answered is asked again, once."""
        dead = self.zygotes[index]
        said = dead.kill()
        if not dead.ready and dead.starts == MAX_STARTS:
            raise SandboxError(f"a confined Python does not start here ({said}): {ADVICE}")
        starts = 1 if dead.ready else dead.starts + 1
        self.zygotes[index] = self._start(dead.seed, starts)
        lost: list[tuple[Request, Reply]] = []
        if dead.waiting and dead.ready:
            dead.waiting[0].deaths += 1  # it was running; the others had not begun
            if dead.waiting[0].deaths > 1:
                lost.append((dead.waiting.popleft(), Reply("died")))
        queue.extendleft(reversed(dead.waiting))
        return lost
