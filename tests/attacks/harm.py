"""Where harm would show: files, sockets, processes, descriptors, memory, secrets, other programs.

A `World` lays out canaries before an executor starts. Afterwards each harm check, a function of the
same name as in `Attack.harm`, returns what it found: "" is peace.
"""

import os
import secrets
import signal
import socket
import stat
import tempfile
import threading
import time
from pathlib import Path

SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGIO]
SIGNALS += [signal.SIGURG, signal.SIGALRM, signal.SIGPROF, signal.SIGWINCH]
SECRET_NAME = "AZR_MINI_SECRET"
LINUX = Path("/proc/self/stat").exists()


def children_of(pid: int) -> set[int]:
    """Process ids below `pid` (Linux)."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                found |= {int(entry.name)} | children_of(int(entry.name))
    return found


class World:
    """Canaries for one executor. A context manager, entered before the executor starts."""

    def __enter__(self) -> "World":
        self.secret = secrets.token_hex(16)
        os.environ[SECRET_NAME] = self.secret
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self.folder.chmod(0o777)
        self.canary = self.folder / "canary"
        self.canary.write_text(self.secret)
        self.canary.chmod(0o666)
        self.received: list[int] = []
        self._handlers = {number: signal.signal(number, self._note) for number in SIGNALS}
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[0], False)
        self.unix = str(self.folder / "socket")
        self.abstract = f"azr-{self.secret[:8]}"
        self.sockets = {
            "tcp": socket.create_server(("127.0.0.1", 0)),
            "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            "unix": socket.socket(socket.AF_UNIX),
            "abstract": socket.socket(socket.AF_UNIX),
        }
        self.sockets["udp"].bind(("127.0.0.1", 0))
        self.sockets["unix"].bind(self.unix)
        self.sockets["abstract"].bind(f"\0{self.abstract}")
        os.chmod(self.unix, 0o777)
        for name, ours in self.sockets.items():
            ours.setblocking(False)
            if name in ("unix", "abstract"):
                ours.listen()
        self.entries = self._entries()
        return self

    def __exit__(self, *_) -> None:
        for ours in self.sockets.values():
            ours.close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._pipe[0]), os.close(self._pipe[1])
        os.environ.pop(SECRET_NAME, None)  # worlds may be nested
        self._temporary.cleanup()

    def watch(self, executor) -> None:
        """Remembers the processes of an executor and begins to follow their memory."""
        self.zygotes = [zygote.process for zygote in executor._runner.zygotes]
        self._executor = executor
        self.peak = 0  # bytes that one process below a zygote held at most
        self._watching = True
        self._watcher = threading.Thread(target=self._follow)
        self._watcher.start()

    def stop(self) -> None:
        """Ends what `watch` began."""
        self._watching = False
        self._watcher.join()

    def fill(self, text: str) -> str:
        """A program with its @words@ filled in."""
        port = self.sockets["tcp"].getsockname()[1]
        words = {
            "folder": self.folder,
            "canary_file": self.canary,
            "harm_file": self.folder / "harm",
            "tcp_port": port,
            "tcp_network_port": socket.htons(port),
            "udp_port": self.sockets["udp"].getsockname()[1],
            "unix_path": self.unix,
            "abstract": self.abstract,
            "trainer": os.getpid(),
            "zygote": self.zygotes[0].pid,
            "secret_name": SECRET_NAME,
        }
        for word, value in words.items():
            text = text.replace(f"@{word}@", str(value))
        return text

    def _note(self, number, frame) -> None:
        self.received.append(number)

    def _entries(self) -> list[tuple]:
        """What can be seen of the folder: names, kinds, modes, sizes, times, contents."""
        seen = []
        for path in sorted(self.folder.iterdir()):
            facts = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(facts.st_mode) else b""
            seen.append((path.name, facts.st_mode, facts.st_nlink, facts.st_mtime_ns, content))
        return seen

    def _follow(self) -> None:
        while self._watching:
            for zygote in self.zygotes:
                for path in (f"{zygote.pid}/task/{zygote.pid}/children", f"{zygote.pid}"):
                    self.peak = max([self.peak, *map(peak_memory, _pids(path))])
            time.sleep(0.01)


def _pids(path: str) -> list[str]:
    if not path.endswith("children"):
        return [path]
    try:
        return Path("/proc", path).read_text().split()
    except OSError:  # a kernel without this file
        return []


def peak_memory(pid: str) -> int:
    """The most bytes that a process has held; 0 when it is gone."""
    try:
        status = Path("/proc", pid, "status").read_text()
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(found[0]) * 1024 if found else 0


def file(world: World, results: list) -> str:
    """Nothing in the folder was created, removed or changed."""
    now = world._entries()
    return "" if now == world.entries else f"{world.entries} became {now}"


def network(world: World, results: list) -> str:
    """No socket of ours, TCP, UDP or Unix, saw anybody."""
    for name, ours in world.sockets.items():
        try:
            ours.recv(99) if name == "udp" else ours.accept()
        except BlockingIOError:
            continue
        return f"{name} saw somebody"
    return ""


def process(world: World, results: list) -> str:
    """The zygotes are the only processes below us, all are alive, and no signal reached us."""
    if world.received:
        return f"received signals {world.received}"
    gone = [zygote.pid for zygote in world.zygotes if zygote.poll() is not None]
    if gone or [zygote.process for zygote in world._executor._runner.zygotes] != world.zygotes:
        return f"zygotes {gone} died or were replaced"
    if LINUX:
        below = set().union(*(children_of(zygote.pid) for zygote in world.zygotes))
        if below:
            return f"processes {below} are left"
        states = [Path(f"/proc/{z.pid}/stat").read_text().rpartition(")")[2].split()[0]
                  for z in world.zygotes]  # fmt: skip
        if set(states) & {"T", "t", "Z"}:
            return f"zygotes in states {states}"
    return ""


def descriptor(world: World, results: list) -> str:
    """Nothing arrived at a pipe of ours nor at the error output of a zygote."""
    for pipe in [world._pipe[0], *(zygote.stderr.fileno() for zygote in world.zygotes)]:
        os.set_blocking(pipe, False)
        try:
            found = os.read(pipe, 999)
        except BlockingIOError:
            continue
        return f"{found!r} arrived"
    return ""


def memory(world: World, results: list) -> str:
    """No process held more than its limit beyond what an idle interpreter holds."""
    limit = (256 << 20) + (64 << 20)
    return "" if world.peak < limit else f"{world.peak >> 20} MB at once"


def secret(world: World, results: list) -> str:
    """No answer holds the secret of the environment and the file, nor another program's."""
    found = [result for result in results if world.secret in repr(result)]
    return f"the secret is in {found}" if found else ""


CHECKS = {check.__name__: check for check in (file, network, process, descriptor, memory, secret)}
