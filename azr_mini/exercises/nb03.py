"""Checks of notebook 03: equal rewards, a loss over a constant length, and two faulty losses."""

from collections.abc import Callable, Iterable

from azr_mini.exercises.answer import Checked
from azr_mini.trr import clipped_objective, policy_loss

DIRECTIONS = ("up", "down", "still")
FAULTS = {
    "none": "the loss is the notebook's",
    "sign": "right answers are pushed down",
    "eos": "the token that ends an answer is left out",
    "rows": "the advantages belong to other rows",
    "ratio": "old_logprobs is not old, so the ratio has no gradient",
    "padding": "the padding is pushed as well",
}


# ---- exercise 1 ---------------------------------------------------------------------------------


def check_equal_rewards(answer: object) -> Checked:
    """Whether the two words say what equal rewards do with a baseline, and without."""
    if unread := _not_two_words(answer, DIRECTIONS, example=("up", "down")):
        return unread
    with_baseline, without = answer
    if with_baseline != "still":
        return Checked(False, "with a baseline: what is a reward minus the mean of equal rewards?")
    if without != "up":
        return Checked(False, "without one the advantage is the reward itself, and it is +1")
    return Checked(True, "equal rewards teach nothing, and only a baseline makes that so")


def _not_two_words(
    answer: object, words: Iterable[str], example: tuple[str, str]
) -> Checked | None:
    """What to do if the answer is not two of these words; None if it is."""
    if isinstance(answer, tuple | list) and any(word is ... for word in answer):
        return Checked(None, "two words are wanted, and one is still ...")
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return Checked(False, f'give two words, such as ("{example[0]}", "{example[1]}")')
    if not all(isinstance(word, str) and word in words for word in answer):
        return Checked(False, f"each word is one of {', '.join(words)}")
    return None


# ---- exercise 2 ---------------------------------------------------------------------------------


def check_constant_loss(answer: Callable) -> Checked:
    """Whether it is the clipped loss in which each row's sum is divided by a constant length."""
    import torch

    logprobs, old_logprobs, advantages, mask = _rows()
    ours, norm_tokens = logprobs.clone().requires_grad_(), 10
    value = answer(ours, old_logprobs, advantages, mask, norm_tokens)
    if value is None or value is ...:
        return Checked(None, "write the body of the function and run the cell again")
    if not isinstance(value, torch.Tensor) or value.shape != ():
        return Checked(False, "return one number: a tensor without dimensions")
    reference = logprobs.clone().requires_grad_()
    right = policy_loss(
        reference,
        old_logprobs,
        advantages,
        mask,
        [0] * len(mask),
        loss_norm="constant",
        norm_tokens=norm_tokens,
    )
    if not value.requires_grad:
        return Checked(False, "its gradient does not reach logprobs: do not detach them")
    if torch.allclose(value, right, rtol=1e-4):
        gradient, expected = (
            torch.autograd.grad(loss, at)[0] for loss, at in ((value, ours), (right, reference))
        )
        if torch.allclose(gradient, expected, rtol=1e-4, atol=1e-7):
            return Checked(True, "value and gradient are those of policy_loss")
        return Checked(False, "the value is right but not the gradient")
    return Checked(False, _what_else(value, logprobs, old_logprobs, advantages, mask, norm_tokens))


def _what_else(value, logprobs, old_logprobs, advantages, mask, norm_tokens: int) -> str:
    """What a wrong constant-length loss seems to have done instead."""
    import torch

    objective = clipped_objective(logprobs, old_logprobs, advantages)
    total, rows = (objective * mask).sum(), len(mask)
    unclipped = (torch.exp(logprobs - old_logprobs) * advantages[:, None] * mask).sum()
    wrong = {
        "the sign is wrong: an optimizer makes a loss smaller": total / (rows * norm_tokens),
        "that is the mean over all tokens: divide by rows * norm_tokens": -total / mask.sum(),
        "that divides each row by its own length": -(
            (objective * mask).sum(1) / mask.sum(1)
        ).mean(),
        "that divides by the longest row of this batch, not by norm_tokens": -total
        / (rows * mask.shape[1]),
        "padding counts: multiply by completion_mask": -objective.sum() / (rows * norm_tokens),
        "that is the sum of the rows: divide by their number too": -total / norm_tokens,
        "the ratio is not clipped: use clipped_objective": -unclipped / (rows * norm_tokens),
    }
    for sentence, other in wrong.items():
        if torch.allclose(value.detach(), other, rtol=1e-4):
            return sentence
    return f"it gives {value.item():.4f} where policy_loss with loss_norm='constant' does not"


def _rows():
    """Three rows of 2, 5 and 7 tokens, some ratios outside the clip, rubbish in the padding."""
    import torch

    generator = torch.Generator().manual_seed(0)
    old_logprobs = -2 * torch.rand(3, 7, generator=generator)
    logprobs = old_logprobs + torch.randn(3, 7, generator=generator) / 3
    mask = torch.arange(7) < torch.tensor([[2], [5], [7]])
    logprobs, old_logprobs = logprobs.where(mask, 0.5), old_logprobs.where(mask, 0.1)
    return logprobs, old_logprobs, torch.tensor([1.5, -0.7, -0.4]), mask


# ---- exercise 3: do not read on before you have named the faults --------------------------------


def loss_a(logprobs, old_logprobs, advantages, completion_mask):
    """Somebody's clipped loss, with the arguments of the notebook's. A scalar."""
    order = completion_mask.sum(dim=1).argsort(stable=True)  # short rows first, for less padding
    logprobs, old_logprobs = logprobs[order], old_logprobs[order]
    return _sequence_mean(logprobs, old_logprobs, advantages, completion_mask[order])


def loss_b(logprobs, old_logprobs, advantages, completion_mask):
    """Another's clipped loss, with the arguments of the notebook's. A scalar."""
    columns = completion_mask.cumsum(dim=1)
    written = completion_mask & (columns < completion_mask.sum(dim=1, keepdim=True))
    return _sequence_mean(logprobs, old_logprobs, advantages, written)


def check_faults(answer: object) -> Checked:
    """Whether the two names are the faults of loss_a and loss_b."""
    if unread := _not_two_words(answer, FAULTS, example=("sign", "none")):
        return unread
    right = {"loss_a": "rows", "loss_b": "eos"}
    wrong = [loss for loss, name in zip(right, answer, strict=True) if name != right[loss]]
    if wrong:
        return Checked(False, f"look again at the pushes of {' and '.join(wrong)}")
    return Checked(True, "the first showed in the curve; the second only under the microscope")


def _sequence_mean(logprobs, old_logprobs, advantages, completion_mask):
    one_group = [0] * len(advantages)
    return policy_loss(
        logprobs, old_logprobs, advantages, completion_mask, one_group, loss_norm="sequence_mean"
    )
