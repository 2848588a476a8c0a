"""The memory this process holds, how it is given back, and whether a GPU's ran out."""

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


def gpu_memory_ran_out(error: Exception) -> bool:
    """Whether an error says so: torch's own of its allocator, or one of a library beside it, which
    asks the driver for its workspace when torch has taken nearly all.
    """
    if type(error).__name__ == "OutOfMemoryError":  # torch may not be loaded here
        return True
    beside = ("CUDA error: out of memory", "_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(words in str(error) for words in beside)
