"""The checks of notebook 03: right answers pass, typical wrong ones do not, nothing raises."""

import pytest
import torch

from azr_mini.exercises import nb03
from azr_mini.exercises.answer import ask
from azr_mini.trr import clipped_objective, policy_loss

# ---- exercise 1 ---------------------------------------------------------------------------------


def test_equal_rewards_pull_only_without_a_baseline():
    assert ask(nb03.check_equal_rewards, ("still", "up")).passed
    assert ask(nb03.check_equal_rewards, ["still", "up"]).passed


@pytest.mark.parametrize("answer", [("up", "up"), ("still", "still"), ("up", "still")])
def test_other_predictions_do_not_pass(answer):
    assert ask(nb03.check_equal_rewards, answer).passed is False


@pytest.mark.parametrize("check", [nb03.check_equal_rewards, nb03.check_faults])
def test_stubs_are_not_answered_and_wrong_types_are_a_sentence(check):
    assert ask(check, ...).passed is None
    assert ask(check, (..., ...)).passed is None
    for answer in (
        "still",
        3,
        ("still",),
        (1, 2),
        {"still": "up"},
        ("sideways", "up"),
        torch.ones(2),
    ):
        said = ask(check, answer)
        assert said.passed is False and "raised" not in said.sentence


# ---- exercise 2 ---------------------------------------------------------------------------------


def right_loss(logprobs, old_logprobs, advantages, completion_mask, norm_tokens):
    objective = clipped_objective(logprobs, old_logprobs, advantages)
    return -(objective * completion_mask).sum() / (len(completion_mask) * norm_tokens)


def wrong_sign(*arguments):
    return -right_loss(*arguments)


def token_mean(logprobs, old_logprobs, advantages, completion_mask, norm_tokens):
    objective = clipped_objective(logprobs, old_logprobs, advantages)
    return -(objective * completion_mask).sum() / completion_mask.sum()


def own_lengths(logprobs, old_logprobs, advantages, completion_mask, norm_tokens):
    objective = clipped_objective(logprobs, old_logprobs, advantages) * completion_mask
    return -(objective.sum(dim=1) / completion_mask.sum(dim=1)).mean()


def longest_row(logprobs, old_logprobs, advantages, completion_mask, norm_tokens):
    width = completion_mask.shape[1]
    return right_loss(logprobs, old_logprobs, advantages, completion_mask, width)


def padding_too(logprobs, old_logprobs, advantages, completion_mask, norm_tokens):
    everything = torch.ones_like(completion_mask)
    return right_loss(logprobs, old_logprobs, advantages, everything, norm_tokens)


def sum_of_rows(*arguments):
    return right_loss(*arguments) * len(arguments[0])


def unclipped(logprobs, old_logprobs, advantages, completion_mask, norm_tokens):
    objective = torch.exp(logprobs - old_logprobs) * advantages[:, None]
    return -(objective * completion_mask).sum() / (len(completion_mask) * norm_tokens)


def detached(logprobs, *rest):
    return right_loss(logprobs.detach(), *rest)


def gradient_of_another(logprobs, *rest):
    return right_loss(logprobs.detach(), *rest) + 0 * logprobs.sum()


def test_the_constant_loss_passes():
    assert ask(nb03.check_constant_loss, right_loss).passed


WRONG = {
    wrong_sign: "sign",
    token_mean: "all tokens",
    own_lengths: "own length",
    longest_row: "longest row",
    padding_too: "padding",
    sum_of_rows: "number",
    unclipped: "clipped",
    detached: "detach",
    gradient_of_another: "gradient",
}


@pytest.mark.parametrize("loss", WRONG, ids=lambda loss: loss.__name__)
def test_a_wrong_loss_is_told_what_it_did(loss):
    said = ask(nb03.check_constant_loss, loss)
    assert said.passed is False and WRONG[loss] in said.sentence


def stub(*arguments):
    raise NotImplementedError


def test_an_unwritten_loss_is_not_answered():
    assert ask(nb03.check_constant_loss, stub).passed is None
    assert ask(nb03.check_constant_loss, lambda *arguments: None).passed is None


@pytest.mark.parametrize("answer", [3, "loss", lambda: 0, lambda *arguments: 1.0, torch.ones(1)])
def test_what_is_no_loss_is_a_sentence(answer):
    said = ask(nb03.check_constant_loss, answer)
    assert said.passed is False and said.sentence


# ---- exercise 3 ---------------------------------------------------------------------------------


def pushes(loss, advantages, lengths, shift=0.0):
    """Minus the gradient of the loss, times rows and tokens, as the notebook prints it."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    old = torch.full(mask.shape, -0.7)
    logprobs = (old + shift).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logprobs, old, torch.tensor(advantages), mask), logprobs)
    return -gradient * mask.sum(dim=1, keepdim=True) * len(lengths), mask


def sound(logprobs, old_logprobs, advantages, mask):
    return policy_loss(
        logprobs, old_logprobs, advantages, mask, [0] * len(mask), loss_norm="sequence_mean"
    )


def test_loss_a_gives_advantages_to_other_rows():
    found, mask = pushes(nb03.loss_a, [1.0, -1.0], [5, 2])
    assert (found[0][mask[0]] == -1).all() and (found[1][mask[1]] == 1).all()
    in_order, _ = pushes(nb03.loss_a, [1.0, -1.0], [2, 5])
    assert torch.equal(in_order, pushes(sound, [1.0, -1.0], [2, 5])[0])  # by accident right


def test_loss_b_leaves_out_the_last_token_and_nothing_else():
    found, mask = pushes(nb03.loss_b, [1.0, -1.0], [5, 2])
    assert found[0, 4] == 0 and found[1, 1] == 0
    assert (found[0, :4] > 0).all() and found[1, 0] < 0


def test_the_faulty_losses_clip_as_the_sound_one_does():
    for loss in (nb03.loss_a, nb03.loss_b):
        assert not pushes(loss, [1.0, 1.0], [3, 3], shift=0.5)[0].any()


def test_the_two_faults_pass_and_other_names_do_not():
    assert ask(nb03.check_faults, ("rows", "eos")).passed
    for answer in (("eos", "rows"), ("sign", "eos"), ("rows", "none"), ("rows", "padding")):
        said = ask(nb03.check_faults, answer)
        assert said.passed is False and ("loss_a" in said.sentence) == (answer[0] != "rows")
