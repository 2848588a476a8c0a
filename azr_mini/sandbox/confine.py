"""The layers of confinement other than the system-call filter. Loaded by file path.

`enter_zygote` runs once in the zygote, `enter_child` in every child before its filter and program.
`skip` names layers to leave out: only tests use it, to see the self-test notice.
"""

import ctypes
import errno
import os
import resource
import signal
import sys

RESULT_FD = 3  # the only descriptor a child has
MAX_DESCRIPTORS = 256  # a zygote starts with three and opens two for each child
NOBODY = 65534
PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE = 1, 2, 3, 4
PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 38, 39
LINUX = sys.platform == "linux"
KILL = int(signal.SIGKILL)

_libc = ctypes.CDLL(None, use_errno=True)
if LINUX:
    _libc.prctl.argtypes = [ctypes.c_ulong] * 5


def enter_zygote(memory_bytes: int, skip: list[str]) -> None:
    """Gives up what neither the zygote nor its children need."""
    if "memory" not in skip:
        limit_memory(memory_bytes)
    if "files" not in skip:
        _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    if "user" not in skip and os.getuid() == 0:
        drop_root()
    if LINUX and "privileges" not in skip:
        _prctl(PR_SET_NO_NEW_PRIVS, 1)
        _prctl(PR_SET_DUMPABLE, 0)  # nobody's other processes may not look inside


def limit_memory(memory_bytes: int) -> None:
    """Bounds the address space to what is mapped now plus `memory_bytes` (Linux only)."""
    if LINUX:
        with open("/proc/self/statm", encoding="ascii") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        _limit(resource.RLIMIT_AS, mapped + memory_bytes)


def drop_root() -> None:
    """Becomes the user nobody where the system has one to become."""
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except (OSError, AttributeError):  # no such user or no such call here: the report says so
        return


def enter_child(result_fd: int, cpu_seconds: float, zygote: int, skip: list[str]) -> None:
    """Leaves this child one descriptor, `cpu_seconds` to burn, and no life after its zygote.

    Few and plain calls: every page that a child touches for the first time costs microseconds.
    """
    os.dup2(result_fd, RESULT_FD)
    if "descriptors" not in skip:
        os.closerange(0, RESULT_FD)
        os.closerange(RESULT_FD + 1, MAX_DESCRIPTORS)
    if "cpu" not in skip:
        limit_cpu(cpu_seconds)
    if not LINUX:
        _limit(resource.RLIMIT_NPROC, 0)
    elif "parent" not in skip:
        _libc.prctl(PR_SET_PDEATHSIG, KILL, 0, 0, 0)  # a child does not inherit it
        if os.getppid() != zygote:
            os._exit(1)


def limit_cpu(cpu_seconds: float) -> None:
    """SIGPROF ends this process after `cpu_seconds`; whole-second limits stand behind it."""
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    seconds = min(int(cpu_seconds) + 1, MAX_CPU - 1)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def report() -> dict[str, bool]:
    """Which layers this child really has, read back from the kernel, before its filter."""
    memory = resource.getrlimit(resource.RLIMIT_AS)[0]
    layers = {
        "descriptors": _open_descriptors() == [RESULT_FD],
        "files": resource.getrlimit(resource.RLIMIT_FSIZE)[0] == 0,
        "memory": not LINUX or memory != resource.RLIM_INFINITY,
        "cpu": signal.getitimer(signal.ITIMER_PROF)[0] > 0,
        "user": os.getuid() != 0,
    }
    if LINUX:
        death_signal = ctypes.c_int()
        _prctl(PR_GET_PDEATHSIG, ctypes.addressof(death_signal))
        layers["parent"] = death_signal.value == signal.SIGKILL
        layers["privileges"] = _prctl(PR_GET_NO_NEW_PRIVS) == 1 and _prctl(PR_GET_DUMPABLE) == 0
    return layers


def _open_descriptors() -> list[int]:
    found = []
    for fd in range(MAX_DESCRIPTORS):
        try:
            os.fstat(fd)
            found.append(fd)
        except OSError as error:
            assert error.errno == errno.EBADF, error
    return found


def _ceiling(kind: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return 2**62 if hard == resource.RLIM_INFINITY else hard


MAX_CPU = _ceiling(resource.RLIMIT_CPU)


def _limit(kind: int, value: int) -> None:
    value = min(value, _ceiling(kind))
    resource.setrlimit(kind, (value, value))


def _prctl(option: int, value: int = 0) -> int:
    answer = _libc.prctl(option, value, 0, 0, 0)
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")
    return answer
