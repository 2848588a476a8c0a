"""float16: without a scale gradients are lost, with one they are not, and overflow is survived."""

import json
from dataclasses import replace

import pytest
import torch
from test_learner import BIG, ROLLOUTS, rollouts_for, sgd_state, weights_of
from tiny import tiny_policy

from azr_mini.checkpoints import save
from azr_mini.config import Config
from azr_mini.learner import MAX_SKIPPED, NonFiniteError, gradient, update
from azr_mini.loss_scale import FIRST, LEAST, RAISE_AFTER, LossScale
from azr_mini.micro_batches import split
from azr_mini.policy import Policy
from azr_mini.train import TrainState


def half_state(scale=FIRST, **options):
    policy = tiny_policy()
    half = Policy(policy.model, policy.tokenizer, "tiny", torch.float16)
    state = sgd_state(half, **options)
    state.loss_scale = LossScale(scale)
    return state


def learned(policy, scale, share):
    """The gradient of one rollout that is so small a share of a batch."""
    config = replace(BIG, kl_coef=0.0)
    (batch,) = split(policy, [replace(ROLLOUTS[0], advantage=1.0)], config, 10**6)
    batch = replace(batch, weights=batch.weights * share, ref_logprobs=torch.zeros(1, 99))
    columns = len(ROLLOUTS[0].completion_ids)
    batch = replace(batch, ref_logprobs=torch.zeros(1, columns))
    gradients, _, _ = gradient(policy, batch, config, scale)
    return torch.cat([g.flatten() for g in gradients if g is not None]) / scale / share


def test_without_a_scale_small_weights_lose_their_gradient_in_float16():
    """A token counts about 1e-5 in a batch of 400 completions of 250 tokens."""
    policy = half_state().policy
    exact = learned(tiny_policy(), 1.0, 1e-4)
    plain, scaled = learned(policy, 1.0, 1e-4), learned(policy, FIRST, 1e-4)
    lost = ((plain == 0) & (exact != 0)).sum() / (exact != 0).sum()
    kept = ((scaled == 0) & (exact != 0)).sum() / (exact != 0).sum()
    assert lost > 0.2 > 0.02 > kept
    assert (scaled - exact).norm() < 0.01 * exact.norm() < (plain - exact).norm()


def test_a_float16_update_is_that_of_float32():
    state, exact = half_state(), sgd_state()
    metrics = update(state, ROLLOUTS, BIG)
    update(exact, ROLLOUTS, BIG)
    start = weights_of(tiny_policy())
    moved, expected = weights_of(state.policy) - start, weights_of(exact.policy) - start
    assert metrics["update_skipped"] == 0
    assert (moved - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_arithmetic_has_no_scale(dtype):
    assert LossScale.of(dtype) == LossScale(1.0) and LossScale.of(torch.float16).value == FIRST
    scale = LossScale.of(dtype)
    for _ in range(3):
        scale.lower()
        scale.keep()
    assert scale == LossScale(1.0)


def test_an_overflow_lowers_the_scale_and_is_counted():
    state = half_state(scale=2.0**40)  # its gradient is infinite in float16
    before = weights_of(state.policy)
    metrics = update(state, ROLLOUTS, BIG)
    assert metrics["update_skipped"] == 1 and state.skipped_in_a_row == 1
    assert torch.equal(weights_of(state.policy), before)
    assert state.loss_scale.value < 2.0**40
    state.loss_scale = LossScale(FIRST)
    assert update(state, ROLLOUTS, BIG)["update_skipped"] == state.skipped_in_a_row == 0
    assert not torch.equal(weights_of(state.policy), before)


def test_the_scale_reaches_its_least_before_a_run_ends_and_recovers():
    scale = LossScale(FIRST)
    for _ in range(MAX_SKIPPED - 1):
        scale.lower()
    assert scale.value == LEAST
    for _ in range(RAISE_AFTER):
        scale.keep()
    assert scale.value == 2 * LEAST
    for _ in range(100 * RAISE_AFTER):
        scale.keep()
    assert scale.value == FIRST


def test_endless_overflow_ends_the_run_and_says_what_to_do():
    state = half_state()
    with torch.no_grad():
        state.policy.model.lm_head.weight.mul_(1e30)  # beyond float16 in the forward pass
    with pytest.raises(NonFiniteError, match="in 5 updates in a row.*--dtype float32: float16"):
        for _ in range(MAX_SKIPPED):
            update(state, ROLLOUTS, BIG)


def test_the_scale_survives_a_checkpoint(tmp_path):
    tiny_policy().save(tmp_path / "model")
    config = Config(model=str(tmp_path / "model"), dtype="float16", heldout_path="", threads=1)
    state = TrainState.create(config)
    assert state.loss_scale == LossScale(FIRST)
    state.loss_scale.lower()
    update(state, rollouts_for(state.policy), config)
    save(tmp_path, state, (), {})
    record = json.loads((tmp_path / "checkpoint" / "state.json").read_text())
    assert record["loss_scale"] == [state.loss_scale.value, 1]
    assert TrainState.create(config, tmp_path / "checkpoint").loss_scale == state.loss_scale
