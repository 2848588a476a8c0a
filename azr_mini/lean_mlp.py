"""The gate of a decoder layer, silu(gate(x)) * up(x), whose two layers have an adapter.

Gate and up are two tensors, never halves of one: a GPU is slower where rows are cut in halves.
N tokens; R ranks of both adapters, the gate's first; I inner width.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear, silu

from azr_mini.lean_linear import Together


def gated_mlp(down: Callable[[Tensor], Tensor], together: Together, x: Tensor) -> Tensor:
    """What a model's MLP makes of x (..., H). together: its layers gate and up."""
    rows = together.read(x)
    if together.modules[0].disable_adapters:
        gate, up = _products(rows, together)
        hidden = silu(gate).mul_(up)
    else:
        hidden = _Gated.apply(rows, together, *together.downs, *together.ups)
    return down(hidden.unflatten(0, x.shape[:-1]))


def _products(x: Tensor, together: Together, inner: Tensor | None = None) -> list[Tensor]:
    """What both layers make of x (N, H): two (N, I). inner: x A^T (N, R), if the adapters count.

    The adapters are more columns of the product: adding theirs to the large one would read and
    write that once more.
    """
    matrix, bias = together.linear.matrix(), together.linear.bias
    if inner is not None:
        _, up = together.linear.adapter
        x, matrix = torch.cat([x, inner], dim=1), torch.cat([matrix, up.T], dim=1)
    weights = matrix.split(together.linear.sizes)
    biases = (None, None) if bias is None else bias.split(together.linear.sizes)
    return [linear(x, weight, bias) for weight, bias in zip(weights, biases, strict=True)]


def _blocks(together: Together) -> tuple[list[int], list[Tensor]]:
    """The ranks of both adapters, and their B transposed, without scaling: two (rank, I)."""
    ranks = [len(down) for down in together.downs]
    _, up = together.linear.adapter  # (R, 2 I), zero outside of two blocks
    sizes = together.linear.sizes
    rows = up.split(ranks)
    return ranks, [row.split(sizes, dim=1)[number] for number, row in enumerate(rows)]


class _Gated(torch.autograd.Function):
    """It keeps x, x A^T, gate and up; the arguments are those of `lean_linear`'s product."""

    @staticmethod
    def forward(ctx, x: Tensor, together: Together, *factors: Tensor) -> Tensor:
        down, _ = together.linear.adapter
        inner = torch.mm(x, down.T)  # (N, R)
        gate, up = _products(x, together, inner)
        ctx.save_for_backward(x, inner, gate, up)
        ctx.together = together
        return silu(gate).mul_(up)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x, inner, gate, up), together = ctx.saved_tensors, ctx.together
        down, _ = together.linear.adapter
        ranks, ups = _blocks(together)
        found = (
            torch.ops.aten.silu_backward(gradient * up, gate),
            silu(gate).mul_(gradient),
        )  # of gate and up, each (N, I)
        of_inner = torch.cat([g @ up.T for g, up in zip(found, ups, strict=True)], dim=1)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_gate, of_up = together.linear.matrix().split(together.linear.sizes)
            of_x = torch.mm(found[0], of_gate).addmm_(found[1], of_up).addmm_(of_inner, down)
        parts = zip(found, inner.split(ranks, dim=1), together.ups, strict=True)
        of_ups = [torch.empty_like(b).copy_(g.T @ part) for g, part, b in parts]
        return of_x, None, *together.of_downs(of_inner, x), *of_ups
