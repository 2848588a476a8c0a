"""The system-call filter of a confined run: a short list of allowed calls, everything else kills.

Loaded by file path in the confined process. Linux only; needs no privilege and no dependency.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Sequence

# Instructions of the classic Berkeley packet filter, as in linux/bpf_common.h.
LOAD_WORD, JUMP_EQUAL, JUMP_BITS, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
# Offsets in struct seccomp_data.
NUMBER, ARCHITECTURE, ARGUMENT_0, ARGUMENT_1, ARGUMENT_2 = 0, 4, 16, 24, 32
PROT_EXEC = 4
# The only thread of a process has nothing to wait for, and a program that could sleep would hold
# its zygote until the wall deadline: of futex only the waking of nobody is left.
FUTEX_WAKE, FUTEX_PRIVATE = 1, 128
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2

# machine -> (audit architecture, allowed, without PROT_EXEC, write, futex, refused). Refused calls
# are harmless look-ups: they fail with EPERM, so a lazy import becomes a Python exception.
TABLES = {
    "x86_64": (
        0xC000003E,
        {
            "munmap": 11, "brk": 12, "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25,
            "madvise": 28, "exit": 60, "restart_syscall": 219, "clock_gettime": 228,
            "exit_group": 231,
        },
        {"mmap": 9, "mprotect": 10},
        1,
        202,
        {
            "read": 0, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "lseek": 8,
            "rt_sigprocmask": 14, "ioctl": 16, "access": 21, "getpid": 39, "fcntl": 72,
            "getcwd": 79, "readlink": 89, "getdents64": 217, "openat": 257, "newfstatat": 262,
            "readlinkat": 267, "faccessat": 269, "getrandom": 318, "statx": 332,
            "faccessat2": 439,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "exit": 93, "exit_group": 94, "clock_gettime": 113, "sched_yield": 124,
            "restart_syscall": 128, "rt_sigreturn": 139, "brk": 214, "munmap": 215,
            "mremap": 216, "madvise": 233,
        },
        {"mmap": 222, "mprotect": 226},
        64,
        98,
        {
            "getcwd": 17, "fcntl": 25, "ioctl": 29, "faccessat": 48, "openat": 56, "close": 57,
            "getdents64": 61, "lseek": 62, "read": 63, "readlinkat": 78, "newfstatat": 79,
            "fstat": 80, "rt_sigprocmask": 135, "getpid": 172, "getrandom": 278, "statx": 291,
            "faccessat2": 439,
        },
    ),
}  # fmt: skip


def build_filter(result_fd: int, machine: str | None = None, skip: Sequence[str] = ()) -> bytes:
    """The filter program for one machine; OSError where there is no table for it.

    `skip` names conditions to leave out: only tests use it, to see the self-test notice.
    """
    machine = machine or platform.machine()
    if machine not in TABLES:
        raise OSError(errno.ENOSYS, f"no system-call table for {machine}")
    architecture, allowed, not_executable, write, futex, refused = TABLES[machine]
    # (operation, jump if true, jump if false, value); a call number that does not match jumps over
    # the rest of its own block.
    code = [(LOAD_WORD, 0, 0, ARCHITECTURE), (JUMP_EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL)]
    code += [(LOAD_WORD, 0, 0, NUMBER)]
    conditional = {"write": [write], "wait": [futex], "executable": not_executable.values()}
    for number in (number for name in skip for number in conditional.get(name, [])):
        code += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    code += [(JUMP_EQUAL, 0, 4, write), (LOAD_WORD, 0, 0, ARGUMENT_0)]
    code += [(JUMP_EQUAL, 0, 1, result_fd), (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL)]
    code += [(JUMP_EQUAL, 0, 5, futex), (LOAD_WORD, 0, 0, ARGUMENT_1)]
    code += [(JUMP_EQUAL, 2, 0, FUTEX_WAKE), (JUMP_EQUAL, 1, 0, FUTEX_WAKE | FUTEX_PRIVATE)]
    code += [(RETURN, 0, 0, KILL), (RETURN, 0, 0, ALLOW)]
    for number in not_executable.values():
        code += [(JUMP_EQUAL, 0, 4, number), (LOAD_WORD, 0, 0, ARGUMENT_2)]
        code += [(JUMP_BITS, 1, 0, PROT_EXEC), (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL)]
    for number in allowed.values():
        code += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    for number in refused.values():
        code += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE)]
    code += [(RETURN, 0, 0, KILL)]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


class Filter:
    """A filter built once in the zygote and installed by every child, last before its program."""

    def __init__(self, result_fd: int, skip: Sequence[str]):
        program = build_filter(result_fd, skip=skip)
        self._code = ctypes.create_string_buffer(program, len(program))
        header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(self._code))
        self._header = ctypes.create_string_buffer(header, len(header))
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._prctl.argtypes = [ctypes.c_ulong] * 5
        address = ctypes.addressof(self._header)
        self._arguments = (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, address, 0, 0)

    def install(self) -> None:
        """Confines this process for good; OSError where the kernel refuses."""
        if self._prctl(*self._arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP) failed")
