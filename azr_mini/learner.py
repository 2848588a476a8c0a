"""The update: clipped policy-gradient steps on the rollouts of one self-play step.

`state` is a `train.TrainState` and `config` a `train.Config`. B rollouts, C completion tokens.
"""

from collections import Counter
from contextlib import contextmanager

import torch
from torch import Tensor

from azr_mini.tasks import Role, Rollout
from azr_mini.trr import clip_binds, kl_estimate, loss_weights, micro_batch_loss

KL_ROLLOUTS = 64  # the KL to the base is logged on at most so many rollouts a step
MAX_SKIPPED = 5  # updates in a row that may be thrown away


class NonFiniteError(ValueError):
    """Training produces numbers that are not finite; the message says what to do."""


def trains(rollout: Rollout, config) -> bool:
    """Whether a rollout takes part in the update."""
    return config.train_proposer or rollout.role is Role.SOLVE


def update(state, rollouts: list[Rollout], config) -> dict[str, float]:
    """Takes `updates_per_step` optimizer steps on the rollouts and returns the learner's metrics.

    Each micro-batch adds its part of the loss of the whole batch, so their sizes change nothing.
    The old log-probabilities are those of the first pass. An update whose loss or gradient is not
    finite is thrown away and counted. NonFiniteError after five of them in a row, over steps and
    resumes, and as soon as a weight is not finite.
    """
    rollouts = [rollout for rollout in rollouts if trains(rollout, config)]
    weights = loss_weights(
        torch.tensor([len(rollout.completion_ids) for rollout in rollouts]),
        [rollout.group for rollout in rollouts],
        group_weight=config.group_weight,
        loss_norm=config.loss_norm,
        norm_tokens=config.max_new_tokens,
    )
    batches = state.policy.micro_batches(
        [rollout.prompt_ids for rollout in rollouts],
        [rollout.completion_ids for rollout in rollouts],
        config.micro_batch_tokens,
    )
    watched = watched_rows(len(rollouts), config)
    old_logprobs: list[Tensor | None] = [None] * len(batches)
    sums, skipped = Counter(), 0
    for _ in range(config.updates_per_step):
        state.optimizer.zero_grad(set_to_none=True)
        for index, rows in enumerate(batches):
            batch = [rollouts[row] for row in rows]
            seen = [place for place, row in enumerate(rows) if row in watched]
            old_logprobs[index] = _accumulate_gradient(
                state, batch, weights[rows], old_logprobs[index], seen, config, sums
            )
        norm = torch.nn.utils.clip_grad_norm_(state.policy.parameters(), config.max_grad_norm)
        if torch.isfinite(norm) and torch.isfinite(sums["loss"]):
            state.optimizer.step()
            state.skipped_in_a_row = 0
        else:
            skipped += 1
            state.skipped_in_a_row += 1
        _require_finite(state, config)
    state.optimizer.zero_grad(set_to_none=True)
    total = {name: float(value) for name, value in sums.items()}
    return {
        "loss": total["loss"] / config.updates_per_step,
        "entropy": total["entropy"] / total["tokens"],
        "clip_fraction": total["clipped"] / total["tokens"],
        "logp_gap": total["gap"] / total["first_tokens"],
        "kl": total["kl"] / total["kl_tokens"],
        "grad_norm": float(norm),  # of the last update, before it was scaled down
        "update_skipped": skipped,
    }


def _require_finite(state, config) -> None:
    """NonFiniteError if a weight is not finite or too many updates in a row were thrown away."""
    advice = (
        f"start a new run from the last checkpoint (--model RUN/checkpoint) with a learning_rate "
        f"below {config.learning_rate:g}, or check the rewards and the model"
    )
    finite = torch.stack([parameter.isfinite().all() for parameter in state.policy.parameters()])
    if not finite.all():
        raise NonFiniteError(f"weights are not finite in step {state.step}: {advice}")
    if state.skipped_in_a_row >= MAX_SKIPPED:
        raise NonFiniteError(
            f"loss or gradient was not finite in {state.skipped_in_a_row} updates in a row, the "
            f"last in step {state.step}: {advice}"
        )


def _accumulate_gradient(
    state,
    batch: list[Rollout],
    weights: Tensor,
    old_logprobs: Tensor | None,
    watched: list[int],
    config,
    sums: Counter,
) -> Tensor:
    """Adds one micro-batch's gradient and sums; returns the old log-probabilities, (B, C)."""
    prompts = [rollout.prompt_ids for rollout in batch]
    completions = [rollout.completion_ids for rollout in batch]
    logprobs, entropies, mask = state.policy.logprobs(prompts, completions)  # each (B, C)
    if old_logprobs is None:
        old_logprobs = logprobs.detach()
        sums["gap"] += (logprobs.detach() - _sampled_logprobs(batch, logprobs))[mask].abs().sum()
        sums["first_tokens"] += mask.sum()
    advantages = torch.tensor([r.advantage for r in batch], device=logprobs.device)
    clip = {"clip_low": config.clip_low, "clip_high": config.clip_high}
    ref_logprobs = _reference_logprobs(state, batch, watched, logprobs)
    loss = micro_batch_loss(
        logprobs,
        old_logprobs,
        advantages,
        mask,
        weights.to(logprobs.device),
        entropies=entropies,
        entropy_coef=config.entropy_coef,
        ref_logprobs=ref_logprobs,
        kl_coef=config.kl_coef,
        **clip,
    )
    loss.backward()
    with torch.no_grad():
        binds = clip_binds(logprobs, old_logprobs, advantages, **clip)
        sums["loss"] += loss.detach()
        sums["tokens"] += mask.sum()
        sums["entropy"] += entropies[mask].sum()
        sums["clipped"] += binds[mask].sum()
        if watched:
            seen = mask[watched]
            sums["kl"] += kl_estimate(logprobs[watched], ref_logprobs[watched])[seen].sum()
            sums["kl_tokens"] += seen.sum()
    return old_logprobs


def _sampled_logprobs(batch: list[Rollout], like: Tensor) -> Tensor:
    width = like.shape[1]
    rows = [[*rollout.logprobs, *[0.0] * (width - len(rollout.logprobs))] for rollout in batch]
    return torch.tensor(rows, dtype=like.dtype, device=like.device)  # (B, C)


def _reference_logprobs(state, batch, watched: list[int], like: Tensor) -> Tensor:
    """The base's log-probabilities of the watched rows, zeros elsewhere: (B, C)."""
    reference = torch.zeros_like(like)
    if watched:
        prompts = [batch[row].prompt_ids for row in watched]
        completions = [batch[row].completion_ids for row in watched]
        with torch.no_grad(), base_policy(state) as base:
            logprobs, _, _ = base.logprobs(prompts, completions)
        reference[watched, : logprobs.shape[1]] = logprobs.to(like.dtype)
    return reference


@contextmanager
def base_policy(state):
    """The policy that training started from: a frozen copy, or ours without its adapter."""
    if state.reference is not None:
        yield state.reference
    else:
        with state.policy.model.disable_adapter():
            yield state.policy


def watched_rows(num_rollouts: int, config) -> set[int]:
    """The rollouts whose KL to the base is computed: all if it costs, else an even sample."""
    if config.kl_coef:
        return set(range(num_rollouts))
    return {i * num_rollouts // KL_ROLLOUTS for i in range(KL_ROLLOUTS)}
