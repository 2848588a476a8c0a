"""Gradient checkpointing: decoder layers that keep only their input and run again in the backward
pass.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

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
        # nothing here is random: the model is in evaluation mode, without dropout
        layer._gradient_checkpointing_func = partial(
            checkpoint, use_reentrant=False, preserve_rng_state=False
        )
        # a layer asks whether it trains itself; its parts stay in evaluation mode
        layer.gradient_checkpointing = layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing = layer.training = False
