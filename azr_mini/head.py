"""Scores of completion tokens from a model's head, in chunks where the vocabulary is large.

A float32 number for each of 8,000 tokens and 152,000 words is 5 GB, and a softmax with its gradient
holds it several times. In chunks, whose logits the backward pass computes again, no tensor of all
tokens by all words ever exists. K positions predict T tokens; H hidden width, V words.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

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
    head: Callable[[Tensor], Tensor],
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
    for number, (chunk, tokens) in enumerate(zip(chunks, order.split(sizes), strict=True)):
        found = checkpoint(
            lambda *arguments: scores(head(arguments[0]), *arguments[1:]),
            chunk,
            predicted_by[tokens] - number * LOGITS_CHUNK,
            targets[tokens],
            entropy_gradient,
            use_reentrant=False,
            preserve_rng_state=False,  # nothing here is random
        )
        logprobs.append(found[0])
        entropies.append(found[1])
    return torch.cat(logprobs)[order.argsort()], torch.cat(entropies)
