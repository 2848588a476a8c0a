"""Confinement on macOS, which has no seccomp: sandbox-exec around the zygote, polled memory.

Written from the documentation and NOT RUN by the authors. The start-up self-test decides: where
these layers do not hold, the executor refuses to work. Also loaded by file path in the zygote.
"""

import ctypes
import sys
from pathlib import Path

PROC_PIDTASKINFO = 4

PROFILE = """(version 1)
(deny default)
(allow process-fork)
(allow process-exec (literal "{python}") (literal "{real_python}"))
(allow sysctl-read)
(allow signal (target children))
(allow file-read-metadata)
(allow file-read* {folders} (subpath "/usr/lib") (subpath "/System/Library")
  (literal "/dev/urandom") (literal "/dev/null"))
"""


def confined(command: list[str]) -> list[str]:
    """The command under a profile without files, network or new programs; unchanged off macOS."""
    if sys.platform != "darwin":
        return command
    python = Path(command[0]).resolve()  # not always ours
    folders = {sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(__file__).parents[1])}
    folders.add(str(python.parents[1]))
    profile = PROFILE.format(
        python=command[0],
        real_python=python,
        folders=" ".join(f'(subpath "{folder}")' for folder in sorted(folders)),
    )
    return ["/usr/bin/sandbox-exec", "-p", profile, *command]


class _TaskInfo(ctypes.Structure):
    """The first fields of struct proc_taskinfo in sys/proc_info.h."""

    _fields_ = [
        ("virtual_size", ctypes.c_uint64),
        ("resident_size", ctypes.c_uint64),
        ("rest", ctypes.c_byte * 80),
    ]


def resident_bytes(pid: int) -> int:
    """Bytes of memory a process really uses; 0 when it is gone."""
    info = _TaskInfo()
    size = ctypes.sizeof(info)
    libproc = ctypes.CDLL("/usr/lib/libproc.dylib")
    written = libproc.proc_pidinfo(
        pid, PROC_PIDTASKINFO, ctypes.c_uint64(0), ctypes.byref(info), size
    )
    return info.resident_size if written == size else 0
