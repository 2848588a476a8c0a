"""Operations of one micro-batch of the learner in NF4 with LoRA, counted layer by layer.

    python benchmarks/operations.py    # half a minute on one core; TRL's too where trl is installed

A GPU computes most of them faster than Python asks for them, so that their number is the time of a
micro-batch of a small model. Counted on a CPU, along the branches that a GPU takes: forward,
recomputation and backward of a tiny Qwen2 in bfloat16. What moves nothing (views, empty tensors)
is counted apart. Writes docs/results/operations.json.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.gpu.build import TINY_SHAPE, Sizes, random_policy, random_rollouts  # noqa: E402

LAYERS = (2, 3)  # what one more layer adds is a layer's
# bitsandbytes' product of so many rows is four on a GPU: scales, their offset, numbers, product
SEVERAL = {"bitsandbytes.gemm_4bit": 4}
EMPTY = ("aten._unsafe_view", "aten.empty", "aten.new_empty")


class Operations(TorchDispatchMode):
    """Counts what is asked for while it is entered: `launched` by name, and `views`."""

    def __init__(self) -> None:
        super().__init__()
        self.launched, self.views, self.unpacked = Counter(), 0, None

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function.overloadpacket)
        result = function(*args, **(kwargs or {}))
        returns = function._schema.returns
        is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in returns)
        if is_view or name.startswith(EMPTY):
            self.views += 1
        elif name != "aten.copy_" or args[1] is not self.unpacked:
            self.launched[name] += SEVERAL.get(name, 1)
        # a GPU unpacks into its place, a CPU copies it there
        self.unpacked = result if name == "bitsandbytes.dequantize_4bit" else None
        return result


class _OneNorm(torch.autograd.Function):
    """Stands in for the fused norm of a GPU, which a CPU lacks: an operation, and one back."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(weight)
        return x * weight

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0], None


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """While it lasts, a CPU takes the branches of a GPU."""
    from torch.nn.functional import scaled_dot_product_attention

    def attention(queries, keys, values, mask, scaling):
        return scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=scaling)

    with ExitStack() as stack:
        for name, instead in (
            ("packing.copies_keys", lambda *_: True),
            ("packing.dense_attention", attention),
            ("packing.column_multiple", lambda _: 8),
            ("lean._normalized", lambda norm, x: _OneNorm.apply(x, norm.weight)),
        ):
            stack.enter_context(patch(f"azr_mini.{name}", instead))
        yield


def of_learner(layers: int, lean: bool = True, quantize: bool = True) -> Operations:
    """What one micro-batch of our learner asks for, by lean layers or by peft's."""
    from azr_mini.lean import lean_layers
    from azr_mini.learner import gradient
    from azr_mini.micro_batches import split
    from azr_mini.recompute import recomputed_layers

    sizes = Sizes.small("cpu")
    config = sizes.config()
    shape = replace(TINY_SHAPE, layers=layers)
    policy = random_policy(shape, config, torch.bfloat16, quantize)
    rollouts = random_rollouts(shape.vocabulary, "solve", 2, 2, sizes.prompt, sizes.new)
    (batch,) = split(policy, rollouts, config, 1000)
    batch = replace(batch, watched=[])  # the reference is another pass
    parameters = policy.parameters()
    with (
        as_on_a_gpu(),
        recomputed_layers(policy.base),
        lean_layers(policy) if lean else nullcontext(),
    ):
        gradient(policy, parameters, batch, config)  # what happens once does so here
        with Operations() as counted:
            gradient(policy, parameters, batch, config)
    return counted
