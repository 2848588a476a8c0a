"""Gradient checkpointing: decoder layers that keep only their input and run again in the backward
pass.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


@contextmanager
def recomputed_layers(model, wanted: bool = True) -> Iterator[None]:
    """While it lasts, the decoder layers of `model` save memory, if `wanted`, and cost a second
    forward pass. To be left before the model generates: these layers would ignore its cache.

    ValueError if the architecture has no layers that know how.
    """
    if not wanted:
        yield
        return
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [part for part in model.modules() if isinstance(part, GradientCheckpointingLayer)]
    if not layers:
        raise ValueError(
            "this architecture has no gradient checkpointing: use --no-gradient-checkpointing"
        )
    for layer in layers:
        weights = [weight for weight in layer.parameters() if weight.requires_grad]
        layer._gradient_checkpointing_func = partial(_recomputed, weights)
        # a layer asks whether it trains itself; its parts stay in evaluation mode
        layer.gradient_checkpointing = layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing = layer.training = False


def autocast_of_now(device: str) -> Callable[[], torch.autocast]:
    """Makes the context of the autocast that holds now, for a backward pass, which has none."""
    return partial(
        torch.autocast,
        device,
        torch.get_autocast_dtype(device),
        torch.is_autocast_enabled(device),
        torch.is_autocast_cache_enabled(),
    )


_now = threading.local()


def runs_again() -> bool:
    """Whether a layer runs for its gradient alone, so that nobody reads what it returns."""
    return getattr(_now, "again", False)


@contextmanager
def _running_again() -> Iterator[None]:
    _now.again = True
    try:
        yield
    finally:
        _now.again = False


def _recomputed(weights: list[Tensor], forward: partial, x: Tensor, *others):
    """forward(x, ...) of a layer with these weights, which keeps nothing but its inputs."""
    given = (*others, *forward.keywords.values())
    if any(isinstance(value, Tensor) and value.requires_grad for value in given):
        return checkpoint(forward, x, *others, use_reentrant=False, preserve_rng_state=False)
    return _Recomputed.apply(lambda x: forward(x, *others), x, *weights)


class _Recomputed(torch.autograd.Function):
    """What torch's `checkpoint` does, which pays in Python for each tensor that a layer saves.

    Gradients go to x and to the layer's weights, which come in for that. Nothing here is random:
    the model is in evaluation mode, without dropout.
    """

    @staticmethod
    def forward(ctx, forward: Callable, x: Tensor, *weights: Tensor):
        ctx.forward, ctx.weights = forward, weights
        ctx.autocast = autocast_of_now(x.device.type)
        ctx.save_for_backward(x)
        return forward(x)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x = ctx.saved_tensors[0].detach().requires_grad_(ctx.needs_input_grad[1])
        inputs = (x, *ctx.weights) if x.requires_grad else ctx.weights
        with torch.enable_grad(), ctx.autocast(), _running_again():
            out = ctx.forward(x)
        found = torch.autograd.grad(out, inputs, gradients, allow_unused=True)
        return (None, *found) if x.requires_grad else (None, None, *found)
