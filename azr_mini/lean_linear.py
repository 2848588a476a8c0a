"""Linear layers with an adapter, forward and backward, in few operations.

N tokens; R ranks of the adapters of some layers together.
"""

import threading
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from azr_mini.joined import Adapted, are_simple
from azr_mini.recompute import runs_again


def can_be_together(modules: Sequence[nn.Module]) -> bool:
    """Whether layers are known here: matrices of one kind, each with one plain LoRA adapter."""
    return are_simple(modules) and all(
        hasattr(module, "base_layer")
        and not module.disable_adapters
        and sum(name in module.lora_A for name in module.active_adapters) == 1
        for module in modules
    )


class Together:
    """Layers that read the same input: the first one that is called computes all of them."""

    def __init__(
        self,
        modules: Sequence[nn.Module],
        dtype: torch.dtype,
        ends_layer: bool,
        waiting: threading.local,
    ) -> None:
        """ends_layer: whether a decoder layer's output is theirs; waiting: what holds the products
        that were computed and not yet asked for.
        """
        self.modules, self.linear, self.ends_layer = modules, Adapted(modules, dtype), ends_layer
        names = [next(name for name in m.active_adapters if name in m.lora_A) for m in modules]
        named = [*zip(modules, names, strict=True)]
        self.downs = [module.lora_A[name].weight for module, name in named]
        self.ups = [module.lora_B[name].weight for module, name in named]
        self.scaling = torch.cat(
            [
                torch.full((len(down), 1), module.scaling[name], device=down.device)
                for down, (module, name) in zip(self.downs, named, strict=True)
            ]
        )  # (R, 1)
        self.version = self._version()
        self.waiting = waiting

    def _version(self) -> list[int]:
        """Changes when the optimizer takes a step (torch's fused ones would not be seen)."""
        return [factor._version for factor in (*self.downs, *self.ups)]

    def __call__(self, number: int, x: Tensor) -> Tensor:
        """What layer `number` makes of x (..., inputs)."""
        if number == 0:
            self.waiting.products = self._compute(x)
        return self.waiting.products.pop(0)

    def _compute(self, x: Tensor) -> list[Tensor]:
        rows = self.read(x)
        if self.modules[0].disable_adapters:
            out = self.linear.base(rows)
        else:
            out = _Product.apply(rows, self, *self.downs, *self.ups)
        out = out.unflatten(0, x.shape[:-1])
        return [*out.split(self.linear.sizes, dim=-1)] if self.modules[1:] else [out]

    def read(self, x: Tensor) -> Tensor:
        """The rows (N, inputs) of x (..., inputs) to compute with, after the newest update."""
        if self.version != (version := self._version()):
            self.linear.read_adapter()
            self.version = version
        return x.flatten(0, -2).to(self.linear.dtype)

    def of_downs(self, of_inner: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        """The gradients of the adapters' A. of_inner: (N, R), x: (N, inputs)."""
        whole = torch.mm(of_inner.T, x) * self.scaling  # (R, inputs), float32
        return whole.split([len(down) for down in self.downs])


class _Product(torch.autograd.Function):
    """x W^T + bias + (x A^T) B^T, where the scaling is in A; (N, inputs) to (N, outputs).

    It keeps x and x A^T. The float32 factors come in only so that their gradients go out: what is
    computed with are `together`'s copies in the arithmetic of the forward pass.
    """

    @staticmethod
    def forward(ctx, x: Tensor, together: Together, *factors: Tensor) -> Tensor:
        down, up = together.linear.adapter
        inner = torch.mm(x, down.T)  # (N, R)
        ctx.save_for_backward(x, inner)
        ctx.together = together
        if together.ends_layer and runs_again():  # what is kept is kept
            return x.new_empty(len(x), up.shape[1])
        return together.linear.base(x).addmm_(inner, up)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x, inner), together = ctx.saved_tensors, ctx.together
        down, up = together.linear.adapter
        of_inner = torch.mm(gradient, up.T)  # (N, R)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = torch.mm(gradient, together.linear.matrix()).addmm_(of_inner, down)
        of_up = torch.mm(gradient.T, inner)  # (outputs, R), of which the layers' blocks count
        blocks, first = [], 0
        for part, up in zip(of_up.split(together.linear.sizes), together.ups, strict=True):
            last = first + up.shape[1]
            # copied, for a part would hold the whole
            blocks.append(torch.empty_like(up).copy_(part[:, first:last]))
            first = last
        return of_x, None, *together.of_downs(of_inner, x), *blocks
