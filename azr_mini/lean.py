"""A model with an adapter in fewer operations, while the learner uses it.

On a GPU an operation of a micro-batch ends before Python has asked for the next one, so that their
number is its time. The model's own code stays the forward pass; while `lean_layers` lasts, the
linear layers, norms, rotations and gates that it calls are leaner ones.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from azr_mini.lean_linear import Together, can_be_together
from azr_mini.lean_mlp import gated_mlp
from azr_mini.models import ARCHITECTURES
from azr_mini.policy import Policy


@contextmanager
def lean_layers(policy: Policy) -> Iterator[None]:
    """While it lasts, a policy with an adapter runs in fewer operations; any other as before.

    Layers whose adapter is not one plain LoRA keep the forward pass of peft.
    """
    base = policy.base
    if not policy.has_adapter or base.config.model_type not in ARCHITECTURES:
        yield
        return
    forwards = {
        part: partial(_normalized, part)
        for part in base.modules()
        if hasattr(part, "variance_epsilon")
    }
    decoder, waiting = base.get_decoder(), threading.local()  # micro-batches may run side by side
    forwards[decoder] = partial(_emptied, decoder.forward, waiting)
    for layer in decoder.layers:
        attention, mlp = layer.self_attn, layer.mlp
        for modules in (
            (attention.q_proj, attention.k_proj, attention.v_proj),
            (attention.o_proj,),
            (mlp.gate_proj, mlp.up_proj),
            (mlp.down_proj,),
        ):
            if can_be_together(modules):
                ends_layer = modules[0] is mlp.down_proj
                together = Together(modules, policy.dtype, ends_layer, waiting)
                if modules[0] is mlp.gate_proj and base.config.hidden_act == "silu":
                    forwards[mlp] = partial(gated_mlp, mlp.down_proj, together)
                else:
                    forwards |= {m: partial(together, number) for number, m in enumerate(modules)}
    code = sys.modules[type(attention).__module__]
    rotate, code.apply_rotary_pos_emb = code.apply_rotary_pos_emb, _rotated
    for part, forward in forwards.items():
        part.forward = forward
    try:
        yield
    finally:
        code.apply_rotary_pos_emb = rotate
        for part in forwards:
            del part.forward


def _emptied(forward: Callable, waiting: threading.local, *arguments, **keywords):
    """forward(...). If memory runs out in it, products that wait would keep all they came from."""
    try:
        return forward(*arguments, **keywords)
    finally:
        waiting.products = []


def _normalized(norm: nn.Module, x: Tensor) -> Tensor:
    # not `rms_norm`, of which autocast makes one in float32
    return torch._fused_rms_norm(x, norm.weight.shape, norm.weight, norm.variance_epsilon)[0]


def _rotated(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Rotary position embedding of queries and keys (1, heads, N, D). cos, sin: (1, N, D)."""
    cos, sin = cos[:, None], sin[:, None]
    return _Rotation.apply(q, cos, sin), _Rotation.apply(k, cos, sin)


class _Rotation(torch.autograd.Function):
    """Each pair (x[i], x[i + D / 2]) turned by its angle, and gradients turned back."""

    @staticmethod
    def forward(ctx, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        ctx.dtype = x.dtype
        return _turned(x, cos, sin, 1)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _turned(gradient, *ctx.saved_tensors, -1).to(ctx.dtype), None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor, direction: int) -> Tensor:
    x, half = x.to(cos.dtype), x.shape[-1] // 2
    out = x * cos
    out[..., :half].addcmul_(x[..., half:], sin[..., half:], value=-direction)
    out[..., half:].addcmul_(x[..., :half], sin[..., :half], value=direction)
    return out
