"""Where the cores of a CPU go: into one operation, or onto micro-batches of their own.

The operations of a small model take microseconds. Threads that share them wait for each other more
often than they compute, and where another program takes a core each wait lasts until that program
is interrupted. Whole micro-batches hardly wait, and since their results are added in order, the
number of threads changes no bit.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from azr_mini.policy import Policy

SMALL_MODEL = 50_000_000  # parameters


def is_small(policy: Policy) -> bool:
    """Whether a policy computes on a CPU in operations too short to be shared."""
    size = sum(parameter.numel() for parameter in policy.model.parameters())
    return policy.device.type == "cpu" and size <= SMALL_MODEL


def share_cores(policy: Policy, threads: int) -> None:
    """Gives every operation of torch `threads` threads; of a small model at most every second core,
    so that none of them waits for a core while others wait for it.
    """
    spare = max(1, (os.cpu_count() or 1) // 2)
    torch.set_num_threads(min(threads, spare) if is_small(policy) else threads)


@contextmanager
def side_by_side(policy: Policy, threads: int) -> Iterator[Callable]:
    """A function like `map` that computes `threads` results at once if the model is small.

    Results come in the order of their arguments. With one thread each is computed when it is asked
    for.
    """
    if threads == 1 or not is_small(policy):
        yield map
        return
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)
