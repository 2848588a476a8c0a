"""Rows: an update inside a card's memory, which the allocator is held to."""

from collections.abc import Iterator

from benchmarks.gpu.build import Sizes, random_policy, random_rollouts, state_of
from benchmarks.gpu.measure import card, card_memory_used, peak, seconds, start_peak

GB = 10**9
TOKENS = 2048  # of each rollout, half of them its prompt
ROLLOUTS = 6


def within(size: str, limit: float, sizes: Sizes) -> Iterator[dict]:
    """An update of a model of that size, base in NF4, with at most `limit` bytes on the card, what
    CUDA itself takes counted in. How often it ran out of memory and went on with less at a time.
    """
    import torch

    length = (sizes.prompt + sizes.new) // 2 if sizes.tiny else TOKENS // 2
    shape = sizes.shape(size)
    config = sizes.config(
        max_prompt_tokens=length, max_new_tokens=length, micro_batch_tokens=2 * length
    )
    before, own = card_memory_used(), 0
    if found := card():
        torch.ones(1, device="cuda") @ torch.ones(1, device="cuda")
        torch.cuda.synchronize()
        own = max(0, (card_memory_used() or 0) - (before or 0) - torch.cuda.memory_reserved())
        torch.cuda.set_per_process_memory_fraction(min(1.0, (limit - own) / found["memory"]))
    start_peak()
    policy = random_policy(shape, config)
    loaded = peak()
    state = state_of(policy, config)
    rollouts = random_rollouts(shape.vocabulary, "solve", ROLLOUTS, 1, length, length)
    yield {"size": size, "limit": limit, "cuda_itself": own, "load": loaded}
    from azr_mini.learner import update

    start_peak()
    took, metrics = seconds(update, state, rollouts, config)
    took, metrics = seconds(update, state, rollouts, config)  # with the optimizer's state
    yield {
        "asked_micro_batch_tokens": config.micro_batch_tokens,
        "update": {"seconds": took, "grad_norm": metrics["grad_norm"]}
        | {
            "update_skipped": metrics["update_skipped"],
            "micro_batch_tokens": state.micro_batch_tokens,
        }
        | {"card_before": before}
        | peak(),
    }
