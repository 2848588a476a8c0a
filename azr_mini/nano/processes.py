"""Pre-training in several processes: who this is, and the mean of all their gradients."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist


def rank() -> int:
    """The number of this process, from 0: what torchrun says."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """The number of processes that train together: what torchrun says."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def process_group() -> Iterator[None]:
    """All processes that torchrun started, joined while the block runs; one alone joins nothing.

    Leaving matters: an interpreter that ends while gloo's threads run is aborted now and then.
    """
    if world_size() == 1:
        yield
        return
    dist.init_process_group("gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def share_gradients(model, num_tokens: int) -> int:
    """Averages the gradients over the processes; returns the tokens of all of them."""
    if world_size() == 1:
        return num_tokens
    gradients = [p.grad for p in model.parameters()]
    flat = torch.cat([g.flatten() for g in gradients] + [gradients[0].new_tensor([num_tokens])])
    dist.all_reduce(flat)
    num_tokens = int(flat[-1])
    flat /= world_size()
    for gradient, mean in zip(
        gradients, flat[:-1].split([g.numel() for g in gradients]), strict=True
    ):
        gradient.copy_(mean.view_as(gradient))
    return num_tokens


def first_ones(number: float) -> float:
    """The first process's number, so that all of them stop at the same step."""
    if world_size() == 1:
        return number
    shared = torch.tensor(number, dtype=torch.float64)
    dist.broadcast(shared, src=0)
    return float(shared)
