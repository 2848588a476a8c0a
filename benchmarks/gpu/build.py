"""Models of real shapes with random weights, and rollouts of forced lengths.

The model is made without memory (on the meta device) and quantized matrix by matrix, so that no
16-bit copy of the whole ever exists. Speed and memory are those of the real model; the text is not.
"""

import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from azr_mini.config import Config
from azr_mini.presets import ONE_GPU
from azr_mini.shapes import QWEN25, Shape

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))  # the byte tokenizer

NEVER = -1  # a stop id that no token has: every completion gets its full length
TINY_SHAPE = Shape("qwen2", 2, 64, 128, 4, 2, 16, 384, True)


@dataclass(frozen=True)
class Sizes:
    """How much a row does: in earnest on a GPU, or tiny to see that its code runs."""

    device: str = "cuda"
    prompt: int = 600  # tokens
    new: int = 512  # tokens of each completion
    batch_size: int = 8  # of each of three types
    attempts: int = 8
    micro_batch_tokens: int = ONE_GPU.micro_batch_tokens
    tiny: bool = False

    @classmethod
    def small(cls, device: str) -> "Sizes":
        """The tiny sizes."""
        return cls(device, 12, 6, 1, 2, 64, True)

    def shape(self, size: str) -> Shape:
        """The shape of a Qwen2.5 model of that size, or the tiny one."""
        return TINY_SHAPE if self.tiny else QWEN25[size]

    def config(self, **changes) -> Config:
        """The configuration of a run in NF4 with LoRA with these lengths, all rows in one wave."""
        rows = 3 * self.batch_size * self.attempts
        config = replace(
            ONE_GPU,
            quantize="nf4",
            device=self.device,
            dtype="float32" if self.device == "cpu" else "auto",
            batch_size=self.batch_size,
            num_attempts=self.attempts,
            max_batch=rows,
            micro_batch_tokens=self.micro_batch_tokens,
            max_prompt_tokens=self.prompt,
            max_new_tokens=self.new,
        )
        return replace(config, **changes)


def random_model(shape: Shape, dtype, device: str, quantize: bool = True, seed: int = 0):
    """A model of that shape with random weights, its decoder layers' matrices in NF4."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        shape.architecture, **shape.settings, max_position_embeddings=32_768, eos_token_id=1
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    generator = torch.Generator(device).manual_seed(seed)

    def filled(like, spread: float = 0.02):
        numbers = torch.randn(like.shape, dtype=dtype, device=device, generator=generator)
        return torch.nn.Parameter(numbers.mul_(spread), requires_grad=False)

    for name, module in list(model.named_modules()):
        if quantize and isinstance(module, torch.nn.Linear) and ".layers." in name:
            model.set_submodule(name, in_four_bits(module, filled, dtype, device))
    for name, parameter in list(model.named_parameters()):  # a tied head is named once
        if parameter.is_meta:
            owner, _, attribute = name.rpartition(".")
            new = filled(parameter)
            if "norm" in name:
                new.fill_(1)
            setattr(model.get_submodule(owner), attribute, new)
    model.tie_weights()
    body = model.get_decoder()
    with torch.device(device):
        body.rotary_emb = type(body.rotary_emb)(config=config)
    model.is_loaded_in_4bit = quantize  # peft asks
    return model.eval()


def in_four_bits(linear, filled, dtype, device: str):
    """A layer like this one with random weights in NF4, with double quantization."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    kind = {"compress_statistics": True, "quant_type": "nf4"}
    has_bias = linear.bias is not None
    new = Linear4bit(
        linear.in_features, linear.out_features, has_bias, dtype, **kind, device="meta"
    )
    new.weight = Params4bit(filled(linear.weight).data, requires_grad=False, **kind, module=new).to(
        device
    )
    if has_bias:
        new.bias = filled(linear.bias)
    new.support_avx512bf16_for_cpu = False  # as azr_mini.models does, which says why
    return new


def random_policy(
    shape: Shape, config: Config, dtype=None, quantize: bool = True, moved: float = 0.0
):
    """A policy with an adapter around `random_model`. moved: how far the adapter is from a new one,
    which changes nothing and gets no gradient in half of its weights.
    """
    import torch
    from tiny_models import byte_tokenizer

    from azr_mini.adapters import add_adapter
    from azr_mini.models import choose_dtype
    from azr_mini.policy import Policy

    dtype = dtype or choose_dtype(config.dtype, config.device)
    torch.manual_seed(0)
    model = add_adapter(random_model(shape, dtype, config.device, quantize), config.lora_rank)
    policy = Policy(model, byte_tokenizer(), "random weights", dtype)
    generator = torch.Generator(config.device).manual_seed(1)
    with torch.no_grad():
        for parameter in policy.parameters() if moved else ():
            noise = torch.randn(parameter.shape, device=config.device, generator=generator)
            parameter.add_(moved * noise)
    return policy


def state_of(policy, config: Config):
    """The state before step 0 around a policy; nothing in the buffer."""
    import torch

    from azr_mini.buffer import TripleBuffer
    from azr_mini.loss_scale import LossScale
    from azr_mini.train import TrainState

    optimizer = torch.optim.AdamW(policy.parameters(), lr=config.learning_rate)
    state = TrainState(policy, optimizer, TripleBuffer(config.buffer_cap))
    state.micro_batch_tokens = config.micro_batch_tokens
    state.loss_scale = LossScale.of(policy.dtype)
    return state


def random_prompts(vocabulary: int, count: int, length: int, seed: int = 0) -> list[list[int]]:
    """Prompts of random token ids, all of one length."""
    rng = random.Random(seed)
    return [rng.choices(range(vocabulary), k=length) for _ in range(count)]


def random_rollouts(
    vocabulary: int, role: str, prompts: int, attempts: int, prompt: int, new: int, seed: int = 0
) -> list:
    """Rollouts of one role with random token ids, of the three types in turn; half of them are to
    become likelier.
    """
    from azr_mini.tasks import Role, Rollout, TaskType

    types, rollouts = [*TaskType], []
    for number, ids in enumerate(random_prompts(vocabulary, prompts, prompt, seed)):
        for row, written in enumerate(
            random_prompts(vocabulary, attempts, new, (seed + 1) * 10**6 + number)
        ):
            rollouts.append(
                Rollout(
                    Role(role), types[number % len(types)], "", "", tuple(ids), tuple(written),
                    (0.0,) * new, True, "", 0.0, task_index=number,
                    advantage=1.0 if (number // len(types) + row) % 2 else -1.0,
                )
            )  # fmt: skip
    return rollouts
