"""Operations of one micro-batch of the learner in NF4 with LoRA, counted layer by layer.

    python benchmarks/operations.py    # a minute on one core; needs trl (in the dev extra)

A GPU computes most of them faster than Python asks for them, so that their number is the time of a
micro-batch of a small model. Counted on a CPU, along the branches that a GPU takes: forward,
recomputation and backward of a tiny Qwen2 in bfloat16, by our learner, by our learner through
peft's own layers, and by TRL's trainer without Liger's kernels. What moves nothing (views, empty
tensors) is counted apart. Writes docs/results/operations.json.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.gpu.build import TINY_SHAPE, Sizes, random_policy, random_rollouts  # noqa: E402
from benchmarks.recording import RESULTS, header, write  # noqa: E402

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


class _OneAttention(torch.autograd.Function):
    """Stands in for the attention of a GPU: an operation, and one back."""

    @staticmethod
    def forward(ctx, query, key, value):
        ctx.save_for_backward(key, value)
        return query * 1

    @staticmethod
    def backward(ctx, gradient):
        key, value = ctx.saved_tensors
        return gradient * 1, torch.empty_like(key), torch.empty_like(value)


@contextmanager
def as_on_a_gpu(policy) -> Iterator[None]:
    """While it lasts, a CPU takes the branches of a GPU."""
    with ExitStack() as stack:
        for name, instead in (
            ("segments._kernel", lambda q, k, v, *_, **__: _OneAttention.apply(q, k, v)),
            ("lean._normalized", lambda norm, x: _OneNorm.apply(x, norm.weight)),
        ):
            stack.enter_context(patch(f"azr_mini.{name}", instead))
        stack.enter_context(patch.object(policy, "segmented", True))
        stack.enter_context(patch.object(policy, "pair_cost", 0.0))
        yield


def of_learner(layers: int, lean: bool = True, quantize: bool = True) -> Operations:
    """What one micro-batch of our learner asks for; without `lean` by the layers of peft."""
    from azr_mini.lean import lean_layers
    from azr_mini.learner import gradient
    from azr_mini.micro_batches import split
    from azr_mini.recompute import recomputed_layers

    policy, rollouts, config = _model_and_rollouts(layers, quantize)
    parameters = policy.parameters()
    layers_of_ours = lean_layers(policy) if lean else nullcontext()
    with as_on_a_gpu(policy), recomputed_layers(policy.base), layers_of_ours:
        (batch,) = split(policy, rollouts, config, 1000)
        batch = replace(batch, watched=[])  # the reference is another pass
        return _counted(lambda: gradient(policy, batch, config, parameters=parameters))


def of_trl(layers: int) -> Operations:
    """What one micro-batch of TRL's GRPOTrainer asks for."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from benchmarks.learner import padded

    policy, rollouts, _ = _model_and_rollouts(layers)
    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=True,
            per_device_train_batch_size=len(rollouts),
            num_generations=2,
            beta=0.0,
            loss_type="bnpo",
            report_to="none",
        )
        trainer = GRPOTrainer(
            model=policy.model,
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            args=settings,
            train_dataset=Dataset.from_list([{"prompt": "1"}] * len(rollouts)),
            processing_class=policy.tokenizer,
        )
        model = policy.model
        model.set_attn_implementation("sdpa")
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
        trainer.current_gradient_accumulation_steps = 1
        inputs = padded(rollouts, 0) | {"num_items_in_batch": torch.tensor(24)}

        def step() -> None:
            with trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(model, inputs)
            trainer.accelerator.backward(loss)

        return _counted(step)


def _model_and_rollouts(layers: int, quantize: bool = True) -> tuple:
    sizes = Sizes.small("cpu")
    config, shape = sizes.config(), replace(TINY_SHAPE, layers=layers)
    policy = random_policy(shape, config, torch.bfloat16, quantize)
    rollouts = random_rollouts(shape.vocabulary, "solve", 2, 2, sizes.prompt, sizes.new)
    return policy, rollouts, config


def _counted(step) -> Operations:
    step()  # what happens once does so here
    with Operations() as counted:
        step()
    return counted


def of_a_layer(count) -> dict:
    """What one more layer adds to count(layers): operations by name, their sum, views."""
    fewer, more = (count(layers) for layers in LAYERS)
    added = more.launched - fewer.launched
    return {
        "launched": added.total(),
        "views": more.views - fewer.views,
        "outside_of_layers": fewer.launched.total() - LAYERS[0] * added.total(),
        "by_name": dict(added.most_common()),
    }


WAYS = {
    "ours": of_learner,
    "ours through peft's layers": partial(of_learner, lean=False),
    "TRL": of_trl,
}


def section(record: dict) -> list[str]:
    """The part of docs/performance.md about it."""
    lines = ["| a layer of | operations | views |", "|---|---|---|"]
    for name, row in record["ways"].items():
        lines.append(f"| {name} | {row['launched']} | {row['views']} |")
    lines += ["", "| operations of ours | a layer |", "|---|---|"]
    for name, count in record["ways"]["ours"]["by_name"].items():
        lines.append(f"| `{name}` | {count} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS / "operations.json")
    options = parser.parse_args()
    record = header("operations.py")
    record["ways"] = {name: of_a_layer(count) for name, count in WAYS.items()}
    print(*section(record), sep="\n")
    write(options.out, record)


if __name__ == "__main__":
    main()
