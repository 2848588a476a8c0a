"""The update: clipped policy-gradient steps on the rollouts of one self-play step.

`state` is a `train.TrainState` and `config` a `train.Config`. B rollouts, C completion tokens.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from azr_mini.cores import side_by_side
from azr_mini.lean import lean_layers
from azr_mini.micro_batches import MicroBatch, fitting, micro_batch_tokens, split
from azr_mini.recompute import recomputed_layers
from azr_mini.tasks import Role, Rollout
from azr_mini.trr import clip_binds, importance_weights, kl_estimate, micro_batch_loss

MAX_SKIPPED = 5  # updates in a row that may be thrown away


class NonFiniteError(ValueError):
    """Training produces numbers that are not finite; the message says what to do."""


def trains(rollout: Rollout, config) -> bool:
    """Whether a rollout takes part in the update."""
    return config.train_proposer or rollout.role is Role.SOLVE


def update(
    state, rollouts: list[Rollout], config, *, sampler_differs: bool = False
) -> dict[str, float]:
    """Takes `updates_per_step` optimizer steps on the rollouts and returns the learner's metrics.

    Each micro-batch adds its part of the loss of the whole batch, so their sizes change nothing.
    The old log-probabilities are those of the first pass. Where another engine sampled, their ratio
    to the sampler's weighs each token, at most `importance_cap`. An update whose loss or gradient
    is not finite is thrown away and counted. NonFiniteError after five of them in a row, over steps
    and resumes, and as soon as a weight is not finite. ValueError if memory does not suffice for
    one rollout.
    """
    policy, scale = state.policy, state.loss_scale
    rollouts = [rollout for rollout in rollouts if trains(rollout, config)]
    batches = split(policy, rollouts, config, micro_batch_tokens(state, config))
    parameters, sums, skipped = policy.parameters(), Counter(), 0
    layers = recomputed_layers(policy.base, config.gradient_checkpointing)
    with side_by_side(policy, config.threads) as run, layers, lean_layers(policy):
        with base_policy(state) as base:
            compute = partial(reference_logprobs, base)
            found = fitting(run, compute, batches, state, config)
            batches = [replace(batch, ref_logprobs=reference) for batch, reference in found]
        for _ in range(config.updates_per_step):
            state.optimizer.zero_grad(set_to_none=True)
            compute = partial(
                gradient,
                policy,
                config=config,
                scale=scale.value,
                sampler_differs=sampler_differs,
                parameters=parameters,
            )
            found, batches = fitting(run, compute, batches, state, config), []
            for batch, (gradients, logprobs, part) in found:
                accumulate(parameters, gradients)
                del gradients  # before the next ones are computed
                sums.update(part)
                old = logprobs if batch.old_logprobs is None else batch.old_logprobs
                batches.append(replace(batch, old_logprobs=old))
            unscale(parameters, scale.value)
            norm = torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
            if torch.isfinite(norm) and torch.isfinite(sums["loss"]):
                state.optimizer.step()
                state.skipped_in_a_row = 0
                scale.keep()
            else:
                skipped += 1
                state.skipped_in_a_row += 1
                scale.lower()
            _require_finite(state, config)
    state.optimizer.zero_grad(set_to_none=True)
    return _metrics(state, config, sums, norm, skipped, sampler_differs)


def _metrics(
    state, config, sums: Counter, norm: Tensor, skipped: int, sampler_differs: bool
) -> dict[str, float]:
    """The learner's metrics from the sums over all micro-batches and updates."""
    total = {name: float(value) for name, value in sums.items()}
    metrics = {
        "loss": total["loss"] / config.updates_per_step,
        "entropy": total["entropy"] / total["tokens"],
        "clip_fraction": total["clipped"] / total["tokens"],
        "logp_gap": total["gap"] / total["first_tokens"],
        "kl": total["kl"] / total["kl_tokens"],
        "grad_norm": float(norm),  # of the last update, before it was scaled down
        "update_skipped": skipped,
    }
    if sampler_differs:
        metrics["importance_capped"] = total["capped"] / total["first_tokens"]
    if (limit := micro_batch_tokens(state, config)) != config.micro_batch_tokens:
        metrics["micro_batch_tokens"] = limit
    return metrics


def _require_finite(state, config) -> None:
    """NonFiniteError if a weight is not finite or too many updates in a row were thrown away."""
    advice = (
        "start a new run from the last checkpoint (--model RUN/checkpoint, or "
        "RUN/checkpoint.previous) with a learning_rate "
        f"below {config.learning_rate:g}, or check the rewards and the model"
    )
    if state.policy.dtype is torch.float16:
        advice += ", or use --dtype float32: float16 overflows"
    largest = torch.nn.utils.get_total_norm(state.policy.parameters(), float("inf"))
    if not largest.isfinite():
        raise NonFiniteError(f"weights are not finite in step {state.step}: {advice}")
    if state.skipped_in_a_row >= MAX_SKIPPED:
        raise NonFiniteError(
            f"loss or gradient was not finite in {state.skipped_in_a_row} updates in a row, the "
            f"last in step {state.step}: {advice}"
        )


def gradient(
    policy,
    batch: MicroBatch,
    config,
    scale: float = 1.0,
    sampler_differs: bool = False,
    parameters: Sequence[Tensor] | None = None,
) -> tuple[tuple[Tensor | None, ...], Tensor, dict[str, Tensor]]:
    """The gradient of one micro-batch's part of the loss, times `scale`, one tensor for each of the
    parameters, by default all that train; the log-probabilities (B, C); and its sums for the
    metrics. Changes nothing.
    """
    # each (B, C)
    logprobs, entropies, mask = policy.logprobs(
        batch.prompt_ids, batch.completion_ids, entropy_gradient=bool(config.entropy_coef)
    )
    sampled = _sampled_logprobs(batch.rollouts, logprobs)
    sums, old_logprobs, ref_logprobs = {}, batch.old_logprobs, batch.ref_logprobs
    if old_logprobs is None:
        old_logprobs = logprobs.detach()
        gap = old_logprobs - sampled
        sums |= {"gap": gap[mask].abs().sum(), "first_tokens": mask.sum()}
        if sampler_differs:
            sums["capped"] = (gap[mask].exp() > config.importance_cap).sum()
    importance = None
    if sampler_differs:
        importance = importance_weights(old_logprobs, sampled, config.importance_cap)
    advantages = torch.tensor([r.advantage for r in batch.rollouts], device=logprobs.device)
    clip = {"clip_low": config.clip_low, "clip_high": config.clip_high}
    loss = micro_batch_loss(
        logprobs,
        old_logprobs,
        advantages,
        mask,
        batch.weights.to(logprobs.device),
        importance_weights=importance,
        entropies=entropies,
        entropy_coef=config.entropy_coef,
        ref_logprobs=ref_logprobs,
        kl_coef=config.kl_coef,
        **clip,
    )
    scaled = loss if scale == 1 else loss * scale
    parameters = policy.parameters() if parameters is None else parameters
    gradients = torch.autograd.grad(scaled, parameters, allow_unused=True)
    with torch.no_grad():
        binds = clip_binds(logprobs, old_logprobs, advantages, **clip)
        sums |= {"loss": loss.detach(), "tokens": mask.sum()}
        sums |= {"entropy": entropies[mask].sum(), "clipped": binds[mask].sum()}
        if batch.watched:
            seen = mask[batch.watched]
            kl = kl_estimate(logprobs[batch.watched], ref_logprobs[batch.watched])
            sums |= {"kl": kl[seen].sum(), "kl_tokens": seen.sum()}
    return gradients, logprobs.detach(), sums


def accumulate(parameters: list[Tensor], gradients: Sequence[Tensor | None]) -> None:
    """Adds gradients to those that the parameters hold."""
    sums, parts = [], []
    for parameter, part in zip(parameters, gradients, strict=True):
        if parameter.grad is None:
            parameter.grad = part
        elif part is not None:
            sums.append(parameter.grad)
            parts.append(part)
    if sums:
        torch._foreach_add_(sums, parts)  # on a GPU a few operations for all


def unscale(parameters: list[Tensor], scale: float) -> None:
    """Divides the gradients that the parameters hold by a scale."""
    if scale != 1:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad /= scale


def _sampled_logprobs(batch: list[Rollout], like: Tensor) -> Tensor:
    width = like.shape[1]
    rows = [[*rollout.logprobs, *[0.0] * (width - len(rollout.logprobs))] for rollout in batch]
    return torch.tensor(rows, dtype=like.dtype, device=like.device)  # (B, C)


def reference_logprobs(base, batch: MicroBatch) -> Tensor:
    """The base policy's log-probabilities of the watched rows, zeros elsewhere: (B, C)."""
    columns = max(map(len, batch.completion_ids))
    reference = torch.zeros(len(batch.rollouts), columns, device=base.device)
    if batch.watched:
        prompts = [batch.prompt_ids[row] for row in batch.watched]
        completions = [batch.completion_ids[row] for row in batch.watched]
        with torch.no_grad():
            logprobs, _, _ = base.logprobs(prompts, completions)
        reference[batch.watched, : logprobs.shape[1]] = logprobs
    return reference


@contextmanager
def base_policy(state):
    """The policy that training started from: a frozen copy, or ours without its adapter."""
    if state.reference is not None:
        yield state.reference
    else:
        with state.policy.model.disable_adapter():
            yield state.policy
