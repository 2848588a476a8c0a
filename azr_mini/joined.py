"""Linear layers that read the same input, as one, in as few operations as can be."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

# oneDNN's bfloat16 product has a price however small it is; for so few rows a float32 product of
# the same rounded numbers costs a fraction of it
FEW_ROWS, SMALL_MATRIX = 16, 2**20


def join(modules: Sequence[nn.Module], dtype: torch.dtype) -> "Joined | Adapted | OneByOne":
    """The layers as one function of (N, inputs), which returns (N, sum of their outputs)."""
    if all(type(module) is nn.Linear for module in modules):
        return Joined(modules, dtype)
    if are_simple(modules):
        return Adapted(modules, dtype)
    return OneByOne(modules, dtype)


class Joined:
    """Plain layers as one matrix, cast once."""

    def __init__(self, modules: Sequence[nn.Linear], dtype: torch.dtype) -> None:
        self.bias = self.exact = None
        weights = [module.weight for module in modules]
        self.weight = (torch.cat(weights) if weights[1:] else weights[0]).to(dtype)
        if modules[0].bias is not None:
            self.bias = torch.cat([module.bias for module in modules]).to(dtype)
        is_small = self.weight.device.type == "cpu" and self.weight.numel() < SMALL_MATRIX
        if is_small and dtype is not torch.float32:
            self.exact = (self.weight.float(), None if self.bias is None else self.bias.float())

    def __call__(self, x: Tensor) -> Tensor:
        if self.exact is not None and len(x) <= FEW_ROWS:
            return linear(x.float(), *self.exact).to(x.dtype)
        return linear(x, self.weight, self.bias)


class Adapted:
    """Layers with an adapter or weights in 4 bits, without the detours of their own code.

    A matrix in 4 bits is unpacked for a product and dropped after it, and an adapter stays beside
    its matrix, since in 16 bits a sum would lose most of it.
    """

    def __init__(self, modules: Sequence[nn.Module], dtype: torch.dtype) -> None:
        bases = [getattr(module, "base_layer", module) for module in modules]
        self.modules, self.dtype = modules, dtype
        self.sizes = [base.out_features for base in bases]
        self.bias = self.weight = self.packed = None
        numbers = _as_one([base.weight for base in bases])
        if hasattr(bases[0].weight, "quant_state"):
            self.packed = (numbers, _unnested(bases, dtype))
        else:
            self.weight = numbers.view(sum(self.sizes), -1).to(dtype)
        if any(base.bias is not None for base in bases):
            empty = {"dtype": dtype, "device": bases[0].weight.device}
            self.bias = torch.cat(
                [
                    torch.zeros(b.out_features, **empty) if b.bias is None else b.bias.to(dtype)
                    for b in bases
                ]
            )
        self.read_adapter()

    def read_adapter(self) -> None:
        """Takes the adapter's weights as they are now."""
        self.adapter = _adapter(self.modules, self.dtype)

    def matrix(self) -> Tensor:
        """All matrices, out of 4 bits, as one: (sum of outputs, inputs)."""
        if self.packed is None:
            return self.weight
        from bitsandbytes.functional import dequantize_4bit

        return dequantize_4bit(*self.packed)

    def base(self, x: Tensor) -> Tensor:
        """What the layers without their adapter make of x (N, inputs)."""
        return linear(x, self.matrix(), self.bias)

    def __call__(self, x: Tensor) -> Tensor:
        if self.adapter is None:
            return self.base(x)
        down, up = self.adapter
        return torch.addmm(self.base(x), linear(x, down), up)


class OneByOne:
    """Layers of kinds that are not known here, as they are."""

    def __init__(self, modules: Sequence[nn.Module], dtype: torch.dtype) -> None:
        self.modules, self.dtype = modules, dtype

    def __call__(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, self.dtype, self.dtype is not torch.float32):
            return torch.cat([module(x) for module in self.modules], dim=-1)


# ---- what a layer is made of --------------------------------------------------------------------


def are_simple(modules: Sequence[nn.Module]) -> bool:
    """Whether layers are matrices of one kind, each with at most one plain LoRA adapter."""
    bases = [getattr(module, "base_layer", module) for module in modules]
    kinds = {_kind(base) for base in bases}
    return len(kinds) == 1 and None not in kinds and all(map(_has_plain_adapter, modules))


def _kind(base: nn.Module) -> tuple | None:
    """Layers of one kind can be one matrix; None is no kind that is known."""
    if type(base) is nn.Linear:
        return (base.weight.dtype,)
    state = base.weight.quant_state if type(base).__name__ == "Linear4bit" else None
    if state is None or state.shape.numel() % state.blocksize:
        return None
    return state.quant_type, state.blocksize


def _has_plain_adapter(module: nn.Module) -> bool:
    """Whether a layer has one plain LoRA adapter at most."""
    if not hasattr(module, "base_layer"):
        return True
    active = [name for name in module.active_adapters if name in module.lora_A]
    return len(active) <= 1 and not (
        module.merged
        or any(name in module.lora_variant or module.lora_bias[name] for name in active)
    )


def _as_one(weights: Sequence[nn.Parameter]) -> Tensor:
    """All numbers of the weights in a row. The weights become parts of it: none is held twice."""
    first, sizes = weights[0].data, [weight.numel() for weight in weights]
    starts = [first.storage_offset() + sum(sizes[:place]) for place in range(len(sizes))]
    if all(
        weight.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        and weight.storage_offset() == start
        for weight, start in zip(weights, starts, strict=True)
    ):
        return first.as_strided((sum(sizes),), (1,), starts[0])
    with torch.inference_mode(False):  # a backward pass could not read what a generation made
        whole = torch.cat([weight.data.flatten() for weight in weights])
    for weight, part in zip(weights, whole.split(sizes), strict=True):
        weight.data = part.view(weight.shape)
    return whole


def _unnested(bases: Sequence[nn.Module], dtype: torch.dtype):
    """How to unpack the numbers of layers in a row to `dtype`, their scales themselves unpacked."""
    from bitsandbytes.functional import QuantState, dequantize_blockwise

    scales, states = [], [base.weight.quant_state for base in bases]
    for state in states:
        if state.nested:
            scales.append(dequantize_blockwise(state.absmax, state.state2).float() + state.offset)
        else:
            scales.append(state.absmax)
    shape = (sum(base.out_features for base in bases), bases[0].in_features)
    return QuantState(
        absmax=torch.cat(scales), shape=torch.Size(shape), code=states[0].code,
        blocksize=states[0].blocksize, quant_type=states[0].quant_type, dtype=dtype,
    )  # fmt: skip


def _adapter(modules: Sequence[nn.Module], dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
    """The two factors of all adapters together: (ranks, inputs), times their scalings, and (ranks,
    sum of outputs).
    """
    factors, end = [], 0
    for module in modules:
        start, end = end, end + module.out_features
        if hasattr(module, "base_layer") and not module.disable_adapters:
            for name in module.active_adapters:
                if name in module.lora_A:
                    a, b = module.lora_A[name].weight, module.lora_B[name].weight
                    factors.append((a * module.scaling[name], b, start, end))
    if not factors:
        return None
    down = torch.cat([a for a, *_ in factors]).to(dtype)
    up, row = down.new_zeros(len(down), end), 0
    for a, b, start, stop in factors:
        up[row : row + len(a), start:stop] = b.T
        row += len(a)
    return down, up
