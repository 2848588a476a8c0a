"""The memory this process holds, and how it is given back."""

import ctypes
import os
import sys
from pathlib import Path


def resident_memory() -> float:
    """The bytes of memory this process holds now; its peak where the system does not say."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource  # Windows has none, and reading a run must work there

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, others kilobytes


def give_back_memory() -> None:
    """Returns freed memory to the system, where the C library can.

    Every step has tensors of new sizes. glibc keeps what they leave behind, in pieces that the next
    sizes rarely fit, and a run would grow without end.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
