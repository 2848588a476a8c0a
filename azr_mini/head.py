"""Scores of completion tokens from a model's head, in chunks where the vocabulary is large.

A float32 number for each of 8,000 tokens and 152,000 words is 5 GB, and a softmax with its gradient
holds it several times. In chunks, whose logits the backward pass computes again, no tensor of all
tokens by all words ever exists. K positions predict T tokens; H hidden width, V words.
"""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from azr_mini.recompute import autocast_of_now

LOGITS_CHUNK = 256  # positions whose logits exist at once
FEW_LOGITS = 2**25  # as many are made at once, 134 MB in float32: chunks only cost time there


def needs_chunks(positions: int, vocabulary: int) -> bool:
    """Whether the logits of so many positions are too many to exist at once."""
    return positions > LOGITS_CHUNK and positions * vocabulary > FEW_LOGITS


def scores(
    logits: Tensor, predicted_by: Tensor, targets: Tensor, entropy_gradient: bool = True
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the tokens (T,) and entropies of the positions (K,), float32.

    logits: (K, V); predicted_by: (T,) the position before each token; targets: (T,) token ids.
    """
    log_p = torch.log_softmax(logits.float(), dim=-1)  # (K, V)
    entropies = _entropies(log_p, entropy_gradient)
    return log_p[predicted_by, targets], entropies


def _entropies(log_p: Tensor, gradient: bool) -> Tensor:
    """(K,) from (K, V). Without a gradient nothing is kept for one: what a backward pass that never
    comes would need stays as long as the log-probabilities do.
    """
    log_p = log_p if gradient else log_p.detach()
    return -(log_p.exp() * log_p).sum(dim=-1)


def chunked_scores(
    hidden: Tensor,
    head: nn.Module,
    predicted_by: Tensor,
    targets: Tensor,
    entropy_gradient: bool = True,
) -> tuple[Tensor, Tensor]:
    """`scores` of head(hidden), without the logits of more than LOGITS_CHUNK positions at a time.

    hidden: (K, H); predicted_by, targets: (T,).
    """
    order = predicted_by.argsort(stable=True)
    chunks = hidden.split(LOGITS_CHUNK)
    sizes = torch.bincount(predicted_by // LOGITS_CHUNK, minlength=len(chunks)).tolist()
    logprobs, entropies = [], []
    of_chunk = _with_entropy_gradient if entropy_gradient else _without_entropy_gradient
    for number, (chunk, tokens) in enumerate(zip(chunks, order.split(sizes), strict=True)):
        positions = predicted_by[tokens] - number * LOGITS_CHUNK
        found = of_chunk(head, chunk, positions, targets[tokens])
        logprobs.append(found[0])
        entropies.append(found[1])
    return torch.cat(logprobs)[order.argsort()], torch.cat(entropies)


def _with_entropy_gradient(head: nn.Module, *chunk: Tensor) -> tuple[Tensor, Tensor]:
    return checkpoint(
        lambda hidden, *others: scores(head(hidden), *others),
        *chunk,
        use_reentrant=False,
        preserve_rng_state=False,  # nothing here is random
    )


def _without_entropy_gradient(head: nn.Module, *chunk: Tensor) -> tuple[Tensor, Tensor]:
    weights = [weight for weight in head.parameters() if weight.requires_grad]
    return _Scores.apply(head, *chunk, *weights)


class _Scores(torch.autograd.Function):
    """`scores` of head(hidden), of which it keeps only the hidden states. The gradient of a token's
    log-probability is 1 at its own logit less the probabilities: that takes no second entropy.
    """

    @staticmethod
    def forward(ctx, head, hidden: Tensor, predicted_by: Tensor, targets: Tensor, *weights: Tensor):
        ctx.save_for_backward(hidden, predicted_by, targets)
        ctx.head, ctx.weights = head, weights
        ctx.autocast = autocast_of_now(hidden.device.type)
        logprobs, entropies = scores(head(hidden), predicted_by, targets, False)
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    def backward(ctx, gradient: Tensor, _) -> tuple[Tensor | None, ...]:
        hidden, predicted_by, targets = ctx.saved_tensors
        hidden = hidden.detach().requires_grad_(ctx.needs_input_grad[1])
        with torch.enable_grad(), ctx.autocast():
            logits = ctx.head(hidden)
        of_logits = torch.softmax(logits.detach().float(), dim=-1)  # (K, V)
        of_position = gradient.new_zeros(len(hidden)).index_add_(0, predicted_by, gradient)
        of_logits.mul_(-of_position[:, None])
        of_logits.index_put_((predicted_by, targets), gradient, accumulate=True)
        inputs = [x for x in (hidden, *ctx.weights) if x.requires_grad]
        found = iter(torch.autograd.grad(logits, inputs, of_logits.to(logits.dtype)))
        return None, next(found) if hidden.requires_grad else None, None, None, *found
