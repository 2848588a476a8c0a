"""Seconds and bytes of what runs on the device; nothing of memory where that is a CPU."""

import subprocess
import time
from collections.abc import Callable, Iterable

MIB = 2**20


def seconds(function: Callable, *arguments, **options) -> tuple[float, object]:
    """Wall seconds until the device has done what one call asked of it, and the call's result."""
    synchronize()
    began = time.perf_counter()
    found = function(*arguments, **options)
    synchronize()
    return time.perf_counter() - began, found


def synchronize() -> None:
    """Waits for the GPU, if there is one."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def start_peak() -> None:
    """Gives unused memory back and lets the peak begin anew."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak() -> dict[str, int]:
    """Bytes since `start_peak`: of tensors, kept by torch's allocator, and in use on the card now,
    other programs included. {} without a GPU.
    """
    import torch

    if not torch.cuda.is_available():
        return {}
    found = {
        "allocated": torch.cuda.max_memory_allocated(),
        "reserved": torch.cuda.max_memory_reserved(),
    }
    used = card_memory_used()
    return found if used is None else found | {"card": used}


def card_memory_used() -> int | None:
    """Bytes in use on the first card as `nvidia-smi` says; None without one."""
    words = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=20).stdout
        return int(said.split()[0]) * MIB
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def card() -> dict | None:
    """Name, compute capability and bytes of the GPU; None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_properties(0)
    return {
        "name": found.name,
        "capability": f"{found.major}.{found.minor}",
        "memory": found.total_memory,
        "cuda": torch.version.cuda,
    }


def tensor_bytes(tensors: Iterable) -> int:
    """Bytes of tensors, the tables of those in 4 bits included; shared memory counts once."""
    storages = {}
    for tensor in tensors:
        state, tables = getattr(tensor, "quant_state", None), ()
        if state is not None:
            second = state.state2
            tables = (state.absmax, state.code, state.offset, second.absmax, second.code)
        for part in (tensor.data, *tables):
            storage = part.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())
