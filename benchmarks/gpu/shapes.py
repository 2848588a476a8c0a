"""Rows: a step of a model of real shape with random weights, its memory beside the estimate."""

from collections.abc import Iterator

from azr_mini.work import (
    forward_flops,
    generation_bytes,
    peaks_of,
    update_flops,
    work_of,
)
from benchmarks.gpu.build import (
    NEVER,
    Sizes,
    random_policy,
    random_prompts,
    random_rollouts,
    state_of,
)
from benchmarks.gpu.measure import card, card_memory_used, peak, seconds, start_peak, tensor_bytes

COMING_AND_GOING = (
    "keys and values", "gradients (sum and newest)", "logits", "activations",
    "sampler's copy of the weights",
)  # fmt: skip


def step_of_shape(size: str, sizes: Sizes) -> Iterator[dict]:
    """Pieces of one step: the weights it holds, attempts, update, proposals."""
    shape, config = sizes.shape(size), sizes.config()
    before = card_memory_used()
    start_peak()
    loading, policy = seconds(random_policy, shape, config)
    state = state_of(policy, config)
    yield {
        "size": size,
        "parameters": shape.parameters,
        "config": described(config),
        "estimate": estimated(config, shape, policy.segmented),
        "segmented": policy.segmented,
        "card_before": before,
        "load": {"seconds": loading} | peak(),
        "held": held(policy),
    }
    proposals, attempts = 3 * sizes.batch_size, 3 * sizes.batch_size * sizes.attempts
    yield {"solve": generation(policy, shape, sizes, proposals, sizes.attempts)}
    rollouts = [
        *random_rollouts(shape.vocabulary, "propose", proposals, 1, sizes.prompt, sizes.new, 1),
        *random_rollouts(
            shape.vocabulary, "solve", proposals, sizes.attempts, sizes.prompt, sizes.new, 2
        ),
    ]
    found = learning(state, rollouts, config, shape)
    yield {"update": found | {"optimizer": optimizer_bytes(state)}, "attempts": attempts}
    yield {"propose": generation(policy, shape, sizes, proposals, 1)}


def described(config) -> dict:
    """The fields of a configuration that decide speed and memory."""
    names = (
        "quantize lora_rank gradient_checkpointing micro_batch_tokens max_batch batch_size "
        "num_attempts solve_batch max_prompt_tokens max_new_tokens updates_per_step"
    )
    return {name: getattr(config, name) for name in names.split()}


def estimated(config, shape, segmented: bool = True) -> dict[str, list[int]]:
    """The parts of `azr_mini.estimate`: bytes while sampling and while learning."""
    from azr_mini.estimate import estimate

    found = estimate(config, shape, config.device, segmented=segmented)
    return {part.name: [part.sampling, part.learning] for part in found.parts}


def estimate_again(found: dict) -> dict:
    """What a row found, with the estimate of the present code for the same configuration."""
    from azr_mini.config import Config
    from azr_mini.shapes import QWEN25

    config, segmented = Config(**found["config"], device="cuda"), found.get("segmented", True)
    return found | {"estimate": estimated(config, QWEN25[found["size"]], segmented)}


def held(policy) -> dict[str, int]:
    """Bytes of the base and of the adapter."""
    named = [*policy.model.named_parameters()]
    return {
        "weights": tensor_bytes(p for name, p in named if "lora_" not in name),
        "LoRA adapter": tensor_bytes(p for name, p in named if "lora_" in name),
    }


def optimizer_bytes(state) -> int:
    """Bytes of the optimizer's two moments."""
    kept = state.optimizer.state.values()
    return tensor_bytes(moments[name] for moments in kept for name in ("exp_avg", "exp_avg_sq"))


def generation(policy, shape, sizes: Sizes, prompts: int, attempts: int, max_batch: int = 0):
    """Seconds, tokens a second, peak memory and the share of the card's memory speed of one call of
    the torch sampler in which every completion has its full length.
    """
    from azr_mini.sampler import Sampler

    policy.stop_ids = (NEVER,)
    max_batch = max_batch or prompts * attempts
    sampler, ids = (
        Sampler(policy, max_batch),
        random_prompts(shape.vocabulary, prompts, sizes.prompt),
    )
    sampler.generate(ids[:1], seeds=[0], max_new_tokens=4)  # what is compiled at first use
    start_peak()
    asked = {"seeds": range(prompts), "num_completions": attempts, "max_new_tokens": sizes.new}
    took, rows = seconds(sampler.generate, ids, **asked)
    tokens = sum(len(row.ids) for completions in rows for row in completions)
    assert tokens == prompts * attempts * sizes.new, tokens
    waves = -(-prompts * attempts // max_batch)
    least = generation_bytes(
        shape, policy_rank(policy), prompts, attempts, sizes.prompt, sizes.new, waves
    )
    found = {"seconds": took, "rows": prompts * attempts, "waves": waves, "tokens": tokens}
    found |= {"tokens_per_s": tokens / took, "bytes_at_least": least} | peak()
    if speeds := _peaks():
        found["share_of_bandwidth"] = least / took / speeds[1]
    return found


def learning(state, rollouts: list, config, shape) -> dict:
    """The same of one update, and its share of the card's 16-bit operations."""
    from azr_mini.learner import update
    from azr_mini.micro_batches import KL_ROLLOUTS

    update(state, rollouts[:2], config)  # what is compiled at first use, and the optimizer's state
    start_peak()
    took, metrics = seconds(update, state, rollouts, config)
    entries = entries_of(state, rollouts)
    work, rank = work_of(entries), policy_rank(state.policy)
    watched = [(len(r.prompt_ids), [len(r.completion_ids)]) for r in rollouts]
    watched = watched[:: max(1, len(watched) // KL_ROLLOUTS)][:KL_ROLLOUTS]
    flops = update_flops(shape, work, rank)
    flops += sum(forward_flops(shape, work_of(watched)).values())  # the KL to the base
    tokens = sum(len(rollout.completion_ids) for rollout in rollouts)
    found = {"seconds": took, "rollouts": len(rollouts), "completion_tokens": tokens}
    found |= {"packed_tokens": work.tokens, "tokens_per_s": tokens / took, "flops": flops} | peak()
    found["micro_batch_tokens"] = state.micro_batch_tokens
    found |= {name: metrics[name] for name in ("update_skipped", "grad_norm")}
    if speeds := _peaks():
        found["share_of_flops"] = flops / took / speeds[0]
    return found


def entries_of(state, rollouts: list) -> list:
    """The entries that the learner makes of the rollouts, as `counts` takes them."""
    from azr_mini.packed_batch import share_prompts

    prompts, completions = (
        [getattr(r, f"{x}_ids") for r in rollouts] for x in ("prompt", "completion")
    )
    entries = share_prompts(prompts, completions, state.policy.pair_cost, state.micro_batch_tokens)
    return [(len(prompts[rows[0]]), [len(completions[row]) for row in rows]) for rows in entries]


def policy_rank(policy) -> int:
    """The rank of its adapter."""
    return policy.model.peft_config["default"].r


def _peaks() -> tuple[float, float] | None:
    found = card()
    return peaks_of(found["name"]) if found else None


def compared(found: dict) -> list[tuple[str, float, float]]:
    """(part, bytes estimated, bytes measured) of a row; what comes and goes is the peak of tensors
    less what stays, and the last part what the card holds beyond the peak of tensors.
    """
    parts, rows = found["estimate"], []
    stays = {"optimizer (two moments)": found["update"]["optimizer"]} | found["held"]
    for name in ("weights", "LoRA adapter", "optimizer (two moments)"):
        rows.append((name, parts[name][1], stays[name]))
    other = "CUDA and fragments"
    for side, phase in enumerate(("solve", "update")):
        if "allocated" not in found[phase]:
            continue
        what = "sampling" if phase == "solve" else "learning"
        # the optimizer's state is there only once it has stepped
        kept = sum(stays.values()) - (stays["optimizer (two moments)"] if side == 0 else 0)
        guess = sum(parts[name][side] for name in COMING_AND_GOING)
        rows.append((f"{what}: what comes and goes", guess, found[phase]["allocated"] - kept))
        total = sum(part[side] for part in parts.values())
        if side == 0:
            total -= parts["optimizer (two moments)"][0]
        if "card" in found[phase] and found.get("card_before") is not None:
            on_card = found[phase]["card"] - found["card_before"]
            rows.append(
                (
                    f"{what}: CUDA, fragments",
                    parts[other][side],
                    on_card - found[phase]["allocated"],
                )
            )
            rows.append((f"{what}: whole card", total, on_card))
        tensors = total - parts[other][side]
        rows.append((f"{what}: tensors", tensors, found[phase]["allocated"]))
    return rows
