"""Attention of packed sequences of any lengths on a GPU: no padding, no masks, no copies of heads.

A prompt with its first completion is one sequence. Each other completion of the same prompt is one
whose keys are the prompt's and its own. N tokens, T keys, S sequences, H heads, D head width.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

AMPERE = (8, 0)  # the first GPUs that have the kernel
WIDEST_HEAD = 256


@dataclass(frozen=True)
class Segments:
    """The sequences of a packed row: causal, the last query at the last key."""

    query_ends: Tensor  # (S + 1,) int32, from 0
    key_ends: Tensor  # (S + 1,) int32, from 0
    most_queries: int  # of a sequence
    most_keys: int
    keys: Tensor | None  # (T,) the packed token of each key; None: the tokens as they are


def has_kernel(device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    """Whether attention of segments can be computed there."""
    return (
        device.type == "cuda"
        and dtype in (torch.float16, torch.bfloat16)
        and head_dim <= WIDEST_HEAD
        and head_dim % 8 == 0
        and torch.cuda.get_device_capability(device) >= AMPERE
        and torch.backends.cuda.is_flash_attention_available()  # some builds are without it
        and torch.backends.cuda.flash_sdp_enabled()  # a switch of the user's
    )


def segments(entries: Sequence[tuple[int, Sequence[int]]], device: torch.device | str) -> Segments:
    """The sequences of entries that follow each other in a packed row, each given as the lengths of
    a prompt and of its completions.
    """
    queries, lengths, keys, start = [], [], [], 0
    for prompt, completions in entries:
        first, *others = completions or (0,)
        queries.append(prompt + first)
        lengths.append(prompt + first)
        keys += range(start, start + prompt + first)
        place = start + prompt + first
        for other in filter(None, others):
            queries.append(other)
            lengths.append(prompt + other)
            keys += range(start, start + prompt)
            keys += range(place, place + other)
            place += other
        start = place
    ends = torch.tensor([[0, *queries], [0, *lengths]]).cumsum(1).int().to(device)
    gathered = torch.tensor(keys, device=device) if len(keys) > start else None
    return Segments(*ends, max(queries), max(lengths), gathered)


def attend_segments(
    query: Tensor, key: Tensor, value: Tensor, parts: Segments, scaling: float | None = None
) -> Tensor:
    """Attention of packed tokens. query: (N, Hq, D); key, value: (N, H, D); returns (N, Hq, D)."""
    if parts.keys is not None:
        key, value = (_Gathered.apply(x, parts.keys) for x in (key, value))
    return _kernel(
        query, key, value, parts.query_ends, parts.key_ends, parts.most_queries, parts.most_keys,
        scale=scaling, window_size=(-1, 0),
    )  # fmt: skip


def _kernel(query: Tensor, key: Tensor, *others, **options) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    if "enable_gqa" in inspect.signature(varlen_attn).parameters:  # before, it was not asked for
        options["enable_gqa"] = query.shape[1] != key.shape[1]
    return varlen_attn(query, key, *others, **options)


class _Gathered(torch.autograd.Function):
    """x[index], whose gradient adds up in float32: a prompt's is a sum over its completions."""

    @staticmethod
    def forward(ctx, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.tokens = len(x)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        total = torch.zeros(
            ctx.tokens, *gradient.shape[1:], dtype=torch.float32, device=gradient.device
        )
        total.index_add_(0, *ctx.saved_tensors, gradient.float())
        return total.to(gradient.dtype), None
