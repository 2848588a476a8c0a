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
    packed = {_is_packed(getattr(module, "base_layer", module)) for module in modules}
    if all(map(_is_simple, modules)) and len(packed) == 1:
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

    The matrices stay as they are: those in 4 bits are unpacked for a product and dropped after it,
    and an adapter stays beside its matrix, since in 16 bits a sum would lose most of it.
    """

    def __init__(self, modules: Sequence[nn.Module], dtype: torch.dtype) -> None:
        bases = [getattr(module, "base_layer", module) for module in modules]
        self.dtype, self.sizes = dtype, [base.out_features for base in bases]
        self.packed = [_unnested(base.weight, dtype) for base in bases if _is_packed(base)]
        self.weights = [base.weight.to(dtype) for base in bases if not _is_packed(base)]
        self.bias = None
        if any(base.bias is not None for base in bases):
            empty = {"dtype": dtype, "device": bases[0].weight.device}
            self.bias = torch.cat(
                [
                    torch.zeros(b.out_features, **empty) if b.bias is None else b.bias.to(dtype)
                    for b in bases
                ]
            )
        self.adapter = _adapter(modules, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        out = linear(x, self._unpacked(x), self.bias) if self.packed else self._products(x)
        if self.adapter is None:
            return out
        down, up = self.adapter
        return torch.addmm(out, linear(x, down), up)

    def _unpacked(self, x: Tensor) -> Tensor:
        """All matrices out of 4 bits, as one: (sum of outputs, inputs)."""
        from bitsandbytes.functional import dequantize_4bit

        weight = x.new_empty(sum(self.sizes), x.shape[1], dtype=self.dtype)
        for part, (packed, state) in zip(weight.split(self.sizes), self.packed, strict=True):
            if x.device.type == "cuda":
                dequantize_4bit(packed, state, out=part)
            else:  # where bitsandbytes cannot write into a given place
                part.copy_(dequantize_4bit(packed, state))
        return weight

    def _products(self, x: Tensor) -> Tensor:
        parts = [linear(x, weight) for weight in self.weights]
        out = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
        return out if self.bias is None else out + self.bias


class OneByOne:
    """Layers of kinds that are not known here, as they are."""

    def __init__(self, modules: Sequence[nn.Module], dtype: torch.dtype) -> None:
        self.modules, self.dtype = modules, dtype

    def __call__(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, self.dtype, self.dtype is not torch.float32):
            return torch.cat([module(x) for module in self.modules], dim=-1)


# ---- what a layer is made of --------------------------------------------------------------------


def _is_simple(module: nn.Module) -> bool:
    """Whether a layer is a matrix, with at most one plain LoRA adapter."""
    base = getattr(module, "base_layer", module)
    if type(base) is not nn.Linear and not _is_packed(base):
        return False
    if base is module or module.disable_adapters:
        return True
    active = [name for name in module.active_adapters if name in module.lora_A]
    return len(active) <= 1 and not (
        module.merged
        or any(name in module.lora_variant or module.lora_bias[name] for name in active)
    )


def _is_packed(base: nn.Module) -> bool:
    return type(base).__name__ == "Linear4bit" and base.weight.quant_state is not None


def _unnested(weight, dtype: torch.dtype):
    """The packed numbers and how to unpack them to `dtype`, their scales themselves unpacked."""
    from bitsandbytes.functional import QuantState, dequantize_blockwise

    state = weight.quant_state
    scales = state.absmax
    if state.nested:
        scales = dequantize_blockwise(scales, state.state2).float() + state.offset
    unpacked = QuantState(
        absmax=scales, shape=state.shape, code=state.code, blocksize=state.blocksize,
        quant_type=state.quant_type, dtype=dtype,
    )  # fmt: skip
    return weight.data, unpacked


def _adapter(modules: Sequence[nn.Module], dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
    """The two factors of all adapters together: (ranks, inputs) and (ranks, sum of outputs)."""
    factors, end = [], 0
    for module in modules:
        start, end = end, end + module.out_features
        if hasattr(module, "base_layer") and not module.disable_adapters:
            for name in module.active_adapters:
                if name in module.lora_A:
                    a, b = module.lora_A[name].weight, module.lora_B[name].weight
                    factors.append((a, b.T * module.scaling[name], start, end))
    if not factors:
        return None
    down = torch.cat([a for a, *_ in factors])
    up, row = down.new_zeros(len(down), end), 0
    for a, b, start, stop in factors:
        up[row : row + len(a), start:stop] = b
        row += len(a)
    return down.to(dtype), up.to(dtype)
