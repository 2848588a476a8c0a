"""The forward pass of generation: a model's own arithmetic in fewer operations.

A decoding step moves few numbers through many operations, so their count is its time. Here matrices
that read the same input are one, weights are cast once a generation, and nothing is kept for a
gradient. Training keeps the model's own code; a test compares the two. N tokens, H hidden width.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm, silu

from azr_mini.joined import join
from azr_mini.models import ARCHITECTURES
from azr_mini.packing import Packing, attend, packed_logits
from azr_mini.policy import Policy

COPIED_PARAMETERS = 10**9  # the weights of a larger model are not held twice


def forward_pass(policy: Policy) -> Callable[[Tensor, Tensor, Tensor | int, Packing], Tensor]:
    """`packing.packed_logits` of the policy's model without its first argument, for the weights as
    they are now.
    """
    base = policy.base
    if is_supported(base.config) and (
        policy.has_adapter or base.num_parameters() <= COPIED_PARAMETERS
    ):
        return Decoder(base, policy.dtype)

    def by_model(*arguments) -> Tensor:
        with policy.autocast():
            return packed_logits(policy.model, *arguments)

    return by_model


def is_supported(config) -> bool:
    """Whether `Decoder` knows the arithmetic of a model with this configuration."""
    rope_type = getattr(config, "rope_parameters", {}).get("rope_type")
    return (
        config.model_type in ARCHITECTURES
        and config.hidden_act == "silu"
        and rope_type in ("default", "llama3")  # others change with the length
        and getattr(config, "sliding_window", None) is None
    )


class Decoder:
    """The weights of a Llama, Qwen2 or Qwen3 model as they were when it was made."""

    def __init__(self, model, dtype: torch.dtype) -> None:
        self.dtype, self.body = dtype, model.model
        self.layers = [_Layer(layer, self.dtype) for layer in self.body.layers]
        self.head = join([model.lm_head], self.dtype)

    def __call__(self, ids: Tensor, positions: Tensor, keep: Tensor | int, packing) -> Tensor:
        """Next-token logits after the packed tokens `keep`: (K, V); 0 keeps all. ids, positions:
        (N,).
        """
        x = self.body.embed_tokens(ids)  # (N, H)
        cos, sin = rotation(self.body.rotary_emb, positions)
        for number, layer in enumerate(self.layers):
            x = layer(x, cos, sin, number, packing)
        if isinstance(keep, Tensor):
            x = x.index_select(0, keep)
        return self.head(normalize(x, self.body.norm).to(self.dtype))


class _Layer:
    def __init__(self, layer, dtype: torch.dtype) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.dtype, self.head_dim, self.scaling = dtype, attention.head_dim, attention.scaling
        self.norms = (layer.input_layernorm, layer.post_attention_layernorm)
        # Qwen3 normalises each head
        self.head_norms = (getattr(attention, "q_norm", None), getattr(attention, "k_norm", None))
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        self.inputs = join(projections, dtype)
        self.heads = [layer.out_features // self.head_dim for layer in projections]
        self.output = join([attention.o_proj], dtype)
        self.up = join([mlp.gate_proj, mlp.up_proj], dtype)
        self.down = join([mlp.down_proj], dtype)

    def __call__(self, x: Tensor, cos: Tensor, sin: Tensor, number: int, packing) -> Tensor:
        """x: (N, H), cos and sin: (N, 1, D); returns (N, H)."""
        joined = self.inputs(normalize(x, self.norms[0]).to(self.dtype))
        joined = joined.unflatten(-1, (-1, self.head_dim))  # (N, heads of q, k and v, D)
        queries, keys, values = self.heads
        if self.head_norms[0] is not None:
            q, k, value = joined.split(self.heads, dim=1)
            turned = torch.cat(
                [normalize(q, self.head_norms[0]), normalize(k, self.head_norms[1])], 1
            )
        else:
            turned, value = joined[:, : queries + keys], joined[:, queries + keys :]
        query, key = rotate(turned, cos, sin).split([queries, keys], dim=1)
        mixed = attend(number, query, key, value, packing, self.scaling)  # (N, heads of q, D)
        x = x + self.output(mixed.flatten(1))
        gate, up = self.up(normalize(x, self.norms[1]).to(self.dtype)).chunk(2, dim=-1)
        return x + self.down(silu(gate) * up)


def normalize(x: Tensor, norm: nn.Module) -> Tensor:
    """x over its root mean square along the last axis, times the norm's weight, in float32 or x's
    wider dtype.
    """
    if x.is_cuda:  # in one operation
        return rms_norm(x, norm.weight.shape, norm.weight, norm.variance_epsilon)
    wide = x.float()
    mean = (wide * wide).sum(dim=-1, keepdim=True) / x.shape[-1]
    return (wide * torch.rsqrt(mean + norm.variance_epsilon)).to(x.dtype) * norm.weight


def rotation(rotary: nn.Module, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each position's angles, each (N, 1, D) float32; the first half of the sine
    is negative.
    """
    angles = positions[:, None] * rotary.inv_freq  # (N, D / 2)
    cos, sin = angles.cos(), angles.sin()  # their scaling is 1 in the types that are supported
    return torch.cat([cos, cos], -1)[:, None], torch.cat([-sin, sin], -1)[:, None]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding of heads (N, heads, D), in float32."""
    wide = x.float()  # once: products of two types are slow
    return torch.addcmul(wide * cos, wide.roll(x.shape[-1] // 2, dims=-1), sin)
