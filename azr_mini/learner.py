"""The update: clipped policy-gradient steps on the rollouts of one self-play step.

`state` is a `train.TrainState` and `config` a `train.Config`. B rollouts, C completion tokens.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from azr_mini.cores import side_by_side
from azr_mini.tasks import Role, Rollout
from azr_mini.trr import (
    clip_binds,
    importance_weights,
    kl_estimate,
    loss_weights,
    micro_batch_loss,
)

KL_ROLLOUTS = 64  # the KL to the base is logged on at most so many rollouts a step
MAX_SKIPPED = 5  # updates in a row that may be thrown away


class NonFiniteError(ValueError):
    """Training produces numbers that are not finite; the message says what to do."""


@dataclass
class MicroBatch:
    """Some rollouts of a batch, and what their rows (B,) count in its loss."""

    rollouts: list[Rollout]
    weights: Tensor  # (B,)
    watched: list[int]  # rows whose KL to the base is computed
    old_logprobs: Tensor | None = None  # (B, C), from the first pass
    importance: Tensor | None = None  # (B, C), from the first pass if another engine sampled

    @property
    def prompt_ids(self) -> list[Sequence[int]]:
        """The prompt of each row."""
        return [rollout.prompt_ids for rollout in self.rollouts]

    @property
    def completion_ids(self) -> list[Sequence[int]]:
        """The completion of each row."""
        return [rollout.completion_ids for rollout in self.rollouts]


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
    and resumes, and as soon as a weight is not finite.
    """
    rollouts = [rollout for rollout in rollouts if trains(rollout, config)]
    batches = split(state.policy, rollouts, config)
    parameters, sums, skipped = state.policy.parameters(), Counter(), 0
    with side_by_side(state.policy, config.threads) as run:
        with base_policy(state) as base:
            references = list(run(lambda batch: reference_logprobs(base, batch), batches))
        for _ in range(config.updates_per_step):
            state.optimizer.zero_grad(set_to_none=True)
            parts = run(
                lambda batch, reference: gradient(
                    state.policy, batch, reference, config, sampler_differs
                ),
                batches,
                references,
            )
            for gradients, part in parts:
                accumulate(parameters, gradients)
                sums.update(part)
            norm = torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
            if torch.isfinite(norm) and torch.isfinite(sums["loss"]):
                state.optimizer.step()
                state.skipped_in_a_row = 0
            else:
                skipped += 1
                state.skipped_in_a_row += 1
            _require_finite(state, config)
    state.optimizer.zero_grad(set_to_none=True)
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
    return metrics


def split(policy, rollouts: list[Rollout], config) -> list[MicroBatch]:
    """The rollouts in micro-batches, with the weights that their rows have in the whole batch."""
    weights = loss_weights(
        torch.tensor([len(rollout.completion_ids) for rollout in rollouts]),
        [rollout.group for rollout in rollouts],
        group_weight=config.group_weight,
        loss_norm=config.loss_norm,
        norm_tokens=config.max_new_tokens,
    )
    watched = watched_rows(len(rollouts), config)
    return [
        MicroBatch(
            [rollouts[row] for row in rows],
            weights[rows],
            [place for place, row in enumerate(rows) if row in watched],
        )
        for rows in policy.micro_batches(
            [rollout.prompt_ids for rollout in rollouts],
            [rollout.completion_ids for rollout in rollouts],
            config.micro_batch_tokens,
        )
    ]


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


def gradient(
    policy, batch: MicroBatch, ref_logprobs: Tensor, config, sampler_differs: bool = False
) -> tuple[tuple[Tensor | None, ...], dict[str, Tensor]]:
    """The gradient of one micro-batch's part of the loss, one tensor for each trained parameter,
    and its sums for the metrics. The first pass sets the old log-probabilities and, if another
    engine sampled, the importance weights, which the later ones keep.
    """
    # each (B, C)
    logprobs, entropies, mask = policy.logprobs(batch.prompt_ids, batch.completion_ids)
    sums = {}
    if batch.old_logprobs is None:
        batch.old_logprobs = logprobs.detach()
        sampled = _sampled_logprobs(batch.rollouts, logprobs)
        gap = batch.old_logprobs - sampled
        sums |= {"gap": gap[mask].abs().sum(), "first_tokens": mask.sum()}
        if sampler_differs:
            cap = config.importance_cap
            batch.importance = importance_weights(batch.old_logprobs, sampled, cap)
            sums["capped"] = (gap[mask].exp() > cap).sum()
    advantages = torch.tensor([r.advantage for r in batch.rollouts], device=logprobs.device)
    clip = {"clip_low": config.clip_low, "clip_high": config.clip_high}
    loss = micro_batch_loss(
        logprobs,
        batch.old_logprobs,
        advantages,
        mask,
        batch.weights.to(logprobs.device),
        importance_weights=batch.importance,
        entropies=entropies,
        entropy_coef=config.entropy_coef,
        ref_logprobs=ref_logprobs,
        kl_coef=config.kl_coef,
        **clip,
    )
    gradients = torch.autograd.grad(loss, policy.parameters(), allow_unused=True)
    with torch.no_grad():
        binds = clip_binds(logprobs, batch.old_logprobs, advantages, **clip)
        sums |= {"loss": loss.detach(), "tokens": mask.sum()}
        sums |= {"entropy": entropies[mask].sum(), "clipped": binds[mask].sum()}
        if batch.watched:
            seen = mask[batch.watched]
            kl = kl_estimate(logprobs[batch.watched], ref_logprobs[batch.watched])
            sums |= {"kl": kl[seen].sum(), "kl_tokens": seen.sum()}
    return gradients, sums


def accumulate(parameters: list[Tensor], gradients: Sequence[Tensor | None]) -> None:
    """Adds gradients to those that the parameters hold."""
    for parameter, part in zip(parameters, gradients, strict=True):
        if parameter.grad is None:
            parameter.grad = part
        elif part is not None:
            parameter.grad += part


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


def watched_rows(num_rollouts: int, config) -> set[int]:
    """The rollouts whose KL to the base is computed: all if it costs, else an even sample."""
    if config.kl_coef:
        return set(range(num_rollouts))
    return {i * num_rollouts // KL_ROLLOUTS for i in range(KL_ROLLOUTS)}
