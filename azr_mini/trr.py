"""Task-Relative REINFORCE++: advantages from rewards, a loss from log-probabilities.

Shapes: B completions (rows), C completion tokens. Every token of a row shares the row's advantage
and the row's weight, so both are (B,). A loss is a weighted *sum* over tokens with weights that are
computed once for the whole batch: the losses of its micro-batches then add up to the loss of the
batch, and so do their gradients.
"""

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor


def task_relative_advantages(
    rewards: Tensor, groups: Sequence[Hashable], weights: Tensor | None = None
) -> Tensor:
    """Rewards standardised inside each (role, task type) group (paper, equation 8).

    rewards: (B,); groups: B hashable keys; returns (B,). Equal rewards, and so a group of one, give
    exactly 0: they say nothing about what to do differently. With weights (B,), row b counts
    weights[b] times in its group's mean and spread.
    """
    # float64: in float32 the mean of equal large rewards is off by more than the spread we ignore
    r = rewards.detach().double()
    w = torch.ones_like(r) if weights is None else weights.double()
    advantages = torch.zeros_like(r)
    for group in set(groups):
        members = torch.tensor([key == group for key in groups], device=r.device)
        share = w[members] / w[members].sum().clamp(min=1e-12)
        centred = r[members] - (share * r[members]).sum()
        spread = (share * centred**2).sum().sqrt()  # of the population, not of a sample
        if spread >= 1e-6:
            advantages[members] = centred / (spread + 1e-6)
    return advantages.float()


def token_whitened_advantages(
    rewards: Tensor, groups: Sequence[Hashable], lengths: Tensor
) -> Tensor:
    """As the official code: mean and spread over tokens, so a long row weighs more. (B,)"""
    return task_relative_advantages(rewards, groups, weights=lengths)


def role_advantages(rewards: Tensor, groups: Sequence[tuple]) -> Tensor:
    """Rewards standardised inside each role, the three task types together. (B,)"""
    return task_relative_advantages(rewards, [role for role, _ in groups])


def global_advantages(rewards: Tensor, groups: Sequence[Hashable]) -> Tensor:
    """Rewards standardised over the whole batch, as in plain REINFORCE++. (B,)"""
    return task_relative_advantages(rewards, [None] * len(groups))


def grpo_advantages(
    rewards: Tensor, groups: Sequence[Hashable], tasks: Sequence[Hashable | None]
) -> Tensor:
    """Rewards standardised among the attempts at one task, as in GRPO. (B,)

    tasks: B keys, one per task inside its group; None for a proposal, which has no siblings and so
    keeps its (role, task type) group.
    """
    return task_relative_advantages(rewards, list(zip(groups, tasks, strict=True)))


# one signature for all, so that a configuration can name one
ADVANTAGES: dict[str, Callable[..., Tensor]] = {
    "task_relative": lambda rewards, groups, lengths, tasks: task_relative_advantages(
        rewards, groups
    ),
    "token_whitened": lambda rewards, groups, lengths, tasks: token_whitened_advantages(
        rewards, groups, lengths
    ),
    "role": lambda rewards, groups, lengths, tasks: role_advantages(rewards, groups),
    "global": lambda rewards, groups, lengths, tasks: global_advantages(rewards, groups),
    "grpo": lambda rewards, groups, lengths, tasks: grpo_advantages(rewards, groups, tasks),
}


def advantages_by(kind: str) -> Callable[..., Tensor]:
    """The named function (rewards, groups, lengths, tasks) -> (B,); ValueError if unknown."""
    if kind not in ADVANTAGES:
        raise ValueError(f"no advantage {kind!r}: use one of {', '.join(ADVANTAGES)}")
    return ADVANTAGES[kind]


def loss_weights(
    lengths: Tensor,
    groups: Sequence[Hashable],
    *,
    group_weight: str = "equal",
    loss_norm: str = "token_mean",
    norm_tokens: int | None = None,
) -> Tensor:
    """What one token of each row counts in the loss of the whole batch.

    lengths: (B,) completion tokens, EOS included; returns (B,) float32. `group_weight` "equal": the
    groups count the same, "tokens": as one group. `loss_norm` inside a group: "token_mean",
    "sequence_mean" (rows count the same) or "constant" (a row's sum over `norm_tokens`).
    """
    if group_weight not in ("equal", "tokens"):
        raise ValueError(f"no group_weight {group_weight!r}: use 'equal' or 'tokens'")
    if loss_norm not in ("token_mean", "sequence_mean", "constant"):
        raise ValueError(
            f"no loss_norm {loss_norm!r}: use 'token_mean', 'sequence_mean' or 'constant'"
        )
    if loss_norm == "constant" and not norm_tokens:
        raise ValueError("loss_norm 'constant' needs norm_tokens, for example max_new_tokens")
    keys = list(groups) if group_weight == "equal" else [None] * len(lengths)
    assert len(keys) == len(lengths), (len(keys), len(lengths))
    lengths = lengths.double()
    weights = torch.zeros_like(lengths)
    for key in set(keys):
        members = torch.tensor([k == key for k in keys], device=lengths.device)
        if loss_norm == "token_mean":
            weights[members] = 1 / lengths[members].sum().clamp(min=1)
        elif loss_norm == "sequence_mean":
            weights[members] = 1 / (members.sum() * lengths[members].clamp(min=1))
        else:
            weights[members] = 1 / (members.sum() * norm_tokens)
    return (weights / len(set(keys))).float()


def clipped_objective(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> Tensor:
    """PPO's pessimistic objective of each token: the clip is on the ratio, not on the advantage.

    logprobs, old_logprobs: (B, C); advantages: (B,); returns (B, C).
    """
    ratio = torch.exp(logprobs - old_logprobs)  # (B, C)
    advantages = advantages[:, None].to(ratio.dtype)
    clipped_ratio = ratio.clamp(1 - clip_low, 1 + clip_high)
    return torch.minimum(ratio * advantages, clipped_ratio * advantages)


def importance_weights(old_logprobs: Tensor, sampled_logprobs: Tensor, cap: float) -> Tensor:
    """How much likelier each sampled token is to the learner than to the engine that sampled it,
    at most `cap`; constants to the gradient. All (B, C).

    On average over sampled tokens they undo the difference of the two, but for what the cap cuts.
    """
    return torch.exp(old_logprobs - sampled_logprobs).clamp(max=cap).detach()


def micro_batch_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    completion_mask: Tensor,
    weights: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    importance_weights: Tensor | None = None,
    entropies: Tensor | None = None,
    entropy_coef: float = 0.0,
    ref_logprobs: Tensor | None = None,
    kl_coef: float = 0.0,
) -> Tensor:
    """These rows' part of the loss of a batch, a scalar; parts of a batch add up to its loss.

    logprobs, old_logprobs, completion_mask, importance_weights, entropies, ref_logprobs: (B, C);
    advantages, weights: (B,), both computed over the whole batch. Entropy is paid, divergence from
    the reference costs.
    """
    mask = completion_mask.bool()
    old_logprobs = old_logprobs.detach()
    # filled before the exponential: whatever stands in the padding, even inf, never matters
    logprobs = logprobs.masked_fill(~mask, 0.0)
    objective = clipped_objective(
        logprobs,
        old_logprobs.masked_fill(~mask, 0.0),
        advantages,
        clip_low=clip_low,
        clip_high=clip_high,
    )
    if importance_weights is not None:  # sampled by another engine than the learner
        objective = objective * importance_weights.detach().masked_fill(~mask, 1.0)
    if entropy_coef:
        objective = objective + entropy_coef * entropies.masked_fill(~mask, 0.0)
    if kl_coef:
        ref_logprobs = ref_logprobs.detach().masked_fill(~mask, 0.0)
        objective = objective - kl_coef * kl_estimate(logprobs, ref_logprobs)
    return -(weights[:, None].to(objective.dtype) * objective * mask).sum()


def policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    completion_mask: Tensor,
    groups: Sequence[Hashable],
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    group_weight: str = "equal",
    loss_norm: str = "token_mean",
    norm_tokens: int | None = None,
) -> Tensor:
    """The clipped policy-gradient loss of a whole batch, a scalar: its gradient is REINFORCE's at
    the first update, where every ratio is 1.

    logprobs, old_logprobs, completion_mask: (B, C); advantages: (B,); groups: B hashable keys.
    """
    weights = loss_weights(
        completion_mask.sum(dim=1),
        groups,
        group_weight=group_weight,
        loss_norm=loss_norm,
        norm_tokens=norm_tokens,
    )
    return micro_batch_loss(
        logprobs,
        old_logprobs,
        advantages,
        completion_mask,
        weights,
        clip_low=clip_low,
        clip_high=clip_high,
    )


def clip_binds(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> Tensor:
    """Where the clip stops the gradient: (B, C) booleans."""
    ratio = torch.exp(logprobs - old_logprobs)
    advantages = advantages[:, None]
    return ((ratio > 1 + clip_high) & (advantages > 0)) | (
        (ratio < 1 - clip_low) & (advantages < 0)
    )


def kl_estimate(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Schulman's k3 estimate of KL(policy || reference) at each sampled token: never negative,
    unbiased. (B, C)
    """
    log_ratio = ref_logprobs - logprobs
    return torch.exp(log_ratio) - log_ratio - 1


def entropy(logits: Tensor) -> Tensor:
    """The entropy in nats of the full next-token distribution. logits: (..., V); returns (...)."""
    log_p = torch.log_softmax(logits.float(), dim=-1)
    return -(log_p.exp() * log_p).sum(dim=-1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over the entries of `values` where `mask` is set, a scalar; 0 if there is none."""
    return (values.masked_fill(~mask.bool(), 0.0)).sum() / mask.sum().clamp(min=1)
