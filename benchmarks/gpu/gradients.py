"""Row: gradients through a base in 4 bits, against the same weights multiplied out in float32.

Those in 4 bits as the learner computes them, in recomputed lean layers; the others by the layers of
peft, and all is kept.
"""

from collections.abc import Iterator
from contextlib import nullcontext

from benchmarks.gpu.build import NEVER, Sizes, random_policy, random_prompts

MOVED = 0.02
ATTEMPTS = 3  # completions that share a prompt
TOKEN = 1e-5  # what a token counts in the loss of a step: float16 needs its scale for that


def gradients(sizes: Sizes) -> Iterator[dict]:
    """Relative distances of gradients, arithmetic by arithmetic, and of the head in chunks."""
    import torch

    names = ["float32", "bfloat16", "float16"]
    if sizes.device != "cpu" and torch.cuda.get_device_capability() < (8, 0):
        names.remove("bfloat16")
    for name in names:
        yield {name: of_dtype(sizes, getattr(torch, name))}


def of_dtype(sizes: Sizes, dtype) -> dict:
    """The distances for one arithmetic; float16 with a loss scale, as in training."""
    import torch

    from azr_mini.loss_scale import LossScale
    from azr_mini.sampler import Sampler

    shape, config = sizes.shape("0.5B"), sizes.config()
    scale = LossScale.of(dtype).value
    policy = random_policy(shape, config, dtype, moved=MOVED)
    prompts = random_prompts(shape.vocabulary, 3, min(sizes.prompt, 600), 1)
    prompts = [prompt for prompt in prompts for _ in range(ATTEMPTS)]
    batch = prompts, random_prompts(shape.vocabulary, len(prompts), min(sizes.new, 200), 2)
    plain = multiplied_out(policy, shape, config, torch.float32)
    exact = gradient_of(plain, *batch, lean=False)
    del plain
    first = gradient_of(policy, *batch, scale)
    again = gradient_of(policy, *batch, scale)
    policy.stop_ids = (NEVER,)
    asked = {"seeds": range(3), "num_completions": 2, "max_new_tokens": min(sizes.new, 60)}
    Sampler(policy).generate(prompts[::ATTEMPTS], **asked)
    after = gradient_of(policy, *batch, scale)
    chunked = gradient_of(policy, *batch, scale, chunks=True)
    rounded = multiplied_out(policy, shape, config, dtype)
    found = {
        "loss_scale": scale,
        "finite": bool(first.isfinite().all()),
        "to_float32": distance(first, exact),
        "again": distance(again, first),
        "after_generating": distance(after, first),
        "chunked_head": distance(chunked, first),
        "16_bit_to_float32": distance(gradient_of(rounded, *batch, scale, lean=False), exact),
    }
    return found


def multiplied_out(policy, shape, config, dtype):
    """The same policy with its 4-bit weights as plain ones of that type."""
    import torch
    from bitsandbytes.functional import dequantize_4bit

    plain = random_policy(shape, config, dtype, quantize=False)
    with torch.no_grad():
        for name, weight in plain.model.named_parameters():
            source = policy.model.get_parameter(name)
            state = getattr(source, "quant_state", None)
            weight.copy_(dequantize_4bit(source.data, state) if state else source)
    return plain


def gradient_of(
    policy, prompts, completions, scale: float = 1.0, chunks: bool = False, lean: bool = True
):
    """The gradient of the log-probabilities for all trained weights, one vector in float32.

    chunks: with the head's logits in chunks, else all at once; lean: as the learner does it.
    """
    import torch

    from azr_mini import policy as module
    from azr_mini.lean import lean_layers
    from azr_mini.recompute import recomputed_layers

    needs_chunks, module.needs_chunks = module.needs_chunks, lambda *_: chunks
    layers = lean_layers(policy) if lean else nullcontext()
    try:
        with recomputed_layers(policy.base, lean), layers:
            logprobs, _, mask = policy.logprobs(prompts, completions)
            loss = logprobs[mask].sum() * TOKEN * scale
            found = torch.autograd.grad(loss, policy.parameters())
    finally:
        module.needs_chunks = needs_chunks
    return torch.cat([part.float().flatten() for part in found]) / scale


def distance(found, exact) -> float:
    """The length of the difference over the length of `exact`."""
    return float((found - exact).norm() / exact.norm())
