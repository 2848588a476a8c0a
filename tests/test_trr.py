"""Advantages against NumPy, the loss against formulas written by hand."""

import math
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_policy

from azr_mini.tasks import Role, TaskType
from azr_mini.trr import (
    ADVANTAGES,
    advantages_by,
    clip_binds,
    clipped_objective,
    entropy,
    global_advantages,
    grpo_advantages,
    importance_weights,
    kl_estimate,
    loss_weights,
    masked_mean,
    micro_batch_loss,
    policy_loss,
    role_advantages,
    task_relative_advantages,
    token_whitened_advantages,
)

SIX_GROUPS = [(role, task_type) for role in Role for task_type in TaskType]


def numpy_advantages(rewards, keys, weights=None):
    """The oracle: explicit loops over NumPy arrays, population standard deviation."""
    rewards = np.asarray(rewards, dtype=np.float64)
    weights = np.ones(len(rewards)) if weights is None else np.asarray(weights, dtype=np.float64)
    out = np.zeros(len(rewards))
    for key in set(keys):
        rows = np.array([k == key for k in keys])
        copies = np.repeat(rewards[rows], weights[rows].astype(int))
        if len(copies) and copies.std() >= 1e-6:
            out[rows] = (rewards[rows] - copies.mean()) / (copies.std() + 1e-6)
    return out


def random_batch(seed=0, rows=24, tokens=7):
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randint(-2, 3, (rows,), generator=generator).float() / 2
    groups = [SIX_GROUPS[i % 6] for i in range(rows)]
    lengths = torch.randint(1, tokens + 1, (rows,), generator=generator)
    mask = torch.arange(tokens) < lengths[:, None]
    logprobs = -torch.rand(rows, tokens, generator=generator) * 3
    old = logprobs + 0.3 * torch.randn(rows, tokens, generator=generator)
    return rewards, groups, lengths, mask, logprobs.requires_grad_(), old


@given(
    st.lists(
        st.tuples(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), st.integers(0, 5)), max_size=40
    )
)
@settings(deadline=None, max_examples=100)
def test_task_relative_advantages_equal_numpy(rows):
    rewards = [reward for reward, _ in rows]
    groups = [SIX_GROUPS[group] for _, group in rows]
    found = task_relative_advantages(torch.tensor(rewards), groups)
    np.testing.assert_allclose(found.numpy(), numpy_advantages(rewards, groups), atol=1e-5)


def test_every_kind_equals_numpy():
    rewards, groups, lengths, *_ = random_batch(seed=3, rows=60)
    tasks = [i % 4 if role is Role.SOLVE else None for i, (role, _) in enumerate(groups)]
    expected = {
        "task_relative": numpy_advantages(rewards, groups),
        "token_whitened": numpy_advantages(rewards, groups, lengths),
        "role": numpy_advantages(rewards, [role for role, _ in groups]),
        "global": numpy_advantages(rewards, [0] * 60),
        "grpo": numpy_advantages(rewards, list(zip(groups, tasks, strict=True))),
    }
    assert set(expected) == set(ADVANTAGES)
    for kind, values in expected.items():
        found = advantages_by(kind)(rewards, groups, lengths, tasks)
        np.testing.assert_allclose(found.numpy(), values, atol=1e-5, err_msg=kind)


def test_named_functions_are_the_table():
    rewards, groups, lengths, *_ = random_batch(seed=4)
    tasks = list(range(24))
    for kind, values in {
        "token_whitened": token_whitened_advantages(rewards, groups, lengths),
        "role": role_advantages(rewards, groups),
        "global": global_advantages(rewards, groups),
        "grpo": grpo_advantages(rewards, groups, tasks),
    }.items():
        assert torch.equal(values, ADVANTAGES[kind](rewards, groups, lengths, tasks))


def test_unknown_kind_names_the_choices():
    with pytest.raises(ValueError, match="no advantage 'ppo'.*task_relative"):
        advantages_by("ppo")


@pytest.mark.parametrize("reward", [0.0, 1.0, -0.5, 0.1, 1000.1, 1e-8])
def test_equal_rewards_give_no_signal(reward):
    found = task_relative_advantages(torch.full((7,), reward), ["a"] * 7)
    assert torch.equal(found, torch.zeros(7))


def test_spread_below_a_millionth_gives_no_signal():
    rewards = torch.tensor([0.0, 1e-7, -1e-7])
    assert torch.equal(task_relative_advantages(rewards, "aaa"), torch.zeros(3))


def test_a_millionth_is_added_to_the_spread():  # definition 16
    found = task_relative_advantages(torch.tensor([0.0, 1e-5]), "aa")  # mean and spread are 5e-6
    np.testing.assert_allclose(found.numpy(), [-5 / 6, 5 / 6], rtol=1e-5)


@pytest.mark.parametrize("kind", list(ADVANTAGES))
def test_group_of_one_gives_no_signal(kind):
    found = ADVANTAGES[kind](torch.tensor([1.0]), SIX_GROUPS[:1], torch.tensor([3]), [None])
    assert torch.equal(found, torch.zeros(1))


def test_groups_do_not_see_each_other():
    rewards = torch.tensor([0.0, 1.0, 0.0, 1.0])
    changed = torch.tensor([0.0, 1.0, -7.0, 5.0])
    before = task_relative_advantages(rewards, "aabb")
    after = task_relative_advantages(changed, "aabb")
    assert torch.equal(before[:2], after[:2])


def test_advantages_leave_the_rewards_alone():
    rewards = torch.tensor([0.0, 1.0, 1.0])
    task_relative_advantages(rewards, "aaa")
    assert rewards.tolist() == [0.0, 1.0, 1.0]


def test_token_whitening_lets_long_rows_dominate():
    rewards = torch.tensor([1.0, 0.0])
    found = token_whitened_advantages(rewards, "aa", torch.tensor([9, 1]))
    np.testing.assert_allclose(found.numpy(), [1 / 3, -3], atol=1e-4)


def test_ratio_is_one_before_the_first_update():
    _, _, _, _, logprobs, _ = random_batch()
    advantages = torch.randn(24)
    found = clipped_objective(logprobs, logprobs.detach(), advantages)
    assert torch.equal(found, advantages[:, None].expand(24, 7))


def test_first_step_gradient_is_reinforce():
    """One group: the gradient of each token's log-probability is exactly -A / N."""
    _, _, _, mask, logprobs, _ = random_batch()
    advantages = torch.randn(24, generator=torch.Generator().manual_seed(1))
    policy_loss(logprobs, logprobs.detach(), advantages, mask, ["g"] * 24).backward()
    expected = -advantages[:, None] * mask / mask.sum()
    torch.testing.assert_close(logprobs.grad, expected, rtol=1e-5, atol=1e-8)


def test_equal_group_weight_averages_the_groups_token_means():
    _, groups, _, mask, logprobs, old = random_batch()
    advantages = torch.randn(24)
    objective = clipped_objective(logprobs, old, advantages)
    means = []
    for group in SIX_GROUPS:
        rows = [i for i, g in enumerate(groups) if g == group]
        means.append((objective[rows] * mask[rows]).sum() / mask[rows].sum())
    found = policy_loss(logprobs, old, advantages, mask, groups)
    torch.testing.assert_close(found, -torch.stack(means).mean())


def loss_by_hand(objective, mask, loss_norm):
    rows = (objective * mask).sum(1)
    match loss_norm:
        case "token_mean":
            return -rows.sum() / mask.sum()
        case "sequence_mean":
            return -(rows / mask.sum(1)).mean()
        case "constant":
            return -(rows / 50).mean()


@pytest.mark.parametrize("loss_norm", ["token_mean", "sequence_mean", "constant"])
def test_loss_norms_equal_their_formulas(loss_norm):
    _, groups, _, mask, logprobs, old = random_batch(seed=7)
    advantages = torch.randn(24)
    objective = clipped_objective(logprobs, old, advantages)
    found = policy_loss(
        logprobs,
        old,
        advantages,
        mask,
        groups,
        group_weight="tokens",
        loss_norm=loss_norm,
        norm_tokens=50,
    )
    torch.testing.assert_close(found, loss_by_hand(objective, mask, loss_norm))


@pytest.mark.parametrize("group_weight", ["equal", "tokens"])
@pytest.mark.parametrize("loss_norm", ["token_mean", "sequence_mean", "constant"])
def test_micro_batching_changes_neither_loss_nor_gradient(group_weight, loss_norm):
    _, groups, lengths, mask, logprobs, old = random_batch(seed=5)
    advantages = torch.randn(24)
    norms = {"group_weight": group_weight, "loss_norm": loss_norm, "norm_tokens": 50}
    whole = policy_loss(logprobs, old, advantages, mask, groups, **norms)
    (whole_gradient,) = torch.autograd.grad(whole, logprobs)

    weights = loss_weights(lengths, groups, **norms)
    total = 0.0
    for rows in torch.arange(24).split(5):
        part = micro_batch_loss(
            logprobs[rows], old[rows], advantages[rows], mask[rows], weights[rows]
        )
        part.backward()
        total += part.item()
    assert math.isclose(total, whole.item(), rel_tol=1e-5, abs_tol=1e-7)
    torch.testing.assert_close(logprobs.grad, whole_gradient, rtol=1e-6, atol=1e-9)


def test_clipping_acts_on_the_ratio_not_on_the_advantage():
    """A large advantage passes whole; a large ratio stops the gradient, on the lower side only."""
    logprobs = torch.log(torch.tensor([[1.5, 1.1], [1.5, 0.5], [0.5, 0.9]])).requires_grad_()
    old = torch.zeros(3, 2)
    advantages = torch.tensor([30.0, -30.0, 30.0])
    mask = torch.ones(3, 2, dtype=torch.bool)
    objective = clipped_objective(logprobs, old, advantages)
    expected = torch.tensor([[36.0, 33.0], [-45.0, -24.0], [15.0, 27.0]])
    torch.testing.assert_close(objective, expected)
    policy_loss(logprobs, old, advantages, mask, "aaa").backward()
    stopped = logprobs.grad == 0
    assert stopped.tolist() == [[True, False], [False, True], [False, False]]
    assert torch.equal(stopped, clip_binds(logprobs, old, advantages))


def test_clip_low_and_clip_high_are_separate():
    logprobs = torch.log(torch.tensor([[1.25], [0.75]]))
    advantages = torch.tensor([1.0, -1.0])
    binds = clip_binds(logprobs, torch.zeros(2, 1), advantages, clip_low=0.2, clip_high=0.28)
    assert binds.tolist() == [[False], [True]]
    found = clipped_objective(logprobs, torch.zeros(2, 1), advantages, clip_low=0.2, clip_high=0.28)
    torch.testing.assert_close(found, torch.tensor([[1.25], [-0.8]]))


def test_clipping_binds_only_after_the_first_of_several_updates():
    logits = torch.zeros(1, 1, 5, requires_grad=True)
    mask, advantages = torch.ones(1, 1, dtype=torch.bool), torch.tensor([1.0])
    old, gradients = None, []
    for _ in range(4):
        logprobs = torch.log_softmax(logits, -1)[..., 2]
        old = logprobs.detach() if old is None else old
        (gradient,) = torch.autograd.grad(policy_loss(logprobs, old, advantages, mask, "a"), logits)
        gradients.append(gradient.abs().sum().item())
        logits = (logits - 0.5 * gradient).detach().requires_grad_()
    assert gradients[0] > 0 and gradients[1] == gradients[2] == gradients[3] == 0


@pytest.mark.parametrize("garbage", [5.0, math.inf, -math.inf, math.nan])
def test_padding_never_matters(garbage):
    _, groups, _, mask, logprobs, old = random_batch(seed=2)
    advantages = torch.randn(24)
    clean = policy_loss(logprobs, old, advantages, mask, groups)
    (clean_gradient,) = torch.autograd.grad(clean, logprobs)
    dirty = logprobs.detach().masked_fill(~mask, garbage).requires_grad_()
    loss = policy_loss(dirty, old.masked_fill(~mask, -garbage), advantages, mask, groups)
    loss.backward()
    assert torch.equal(loss, clean)
    assert torch.equal(dirty.grad, clean_gradient)


def test_equal_rewards_leave_the_policy_alone():
    _, groups, _, mask, logprobs, _ = random_batch()
    advantages = task_relative_advantages(torch.ones(24), groups)
    policy_loss(logprobs, logprobs.detach(), advantages, mask, groups).backward()
    assert torch.equal(logprobs.grad, torch.zeros_like(logprobs))


def test_entropy_and_kl_coefficients_add_their_terms():
    _, groups, lengths, mask, logprobs, old = random_batch(seed=9)
    advantages, reference = torch.randn(24), old.detach()
    entropies = torch.rand(24, 7)
    weights = loss_weights(lengths, groups)
    plain = micro_batch_loss(logprobs, old, advantages, mask, weights)
    found = micro_batch_loss(
        logprobs,
        old,
        advantages,
        mask,
        weights,
        entropies=entropies,
        entropy_coef=0.3,
        ref_logprobs=reference,
        kl_coef=0.7,
    )
    bonus = (weights[:, None] * mask * entropies).sum()
    cost = (weights[:, None] * mask * kl_estimate(logprobs, reference)).sum()
    torch.testing.assert_close(found, plain - 0.3 * bonus + 0.7 * cost)


@pytest.mark.parametrize("cap", [2.0, 1.1, 1e9])
def test_importance_weights_equal_numpy(cap):  # definition 17
    _, _, _, _, logprobs, sampled = random_batch(seed=4)
    weights = importance_weights(logprobs, sampled, cap)
    ratio = np.exp(logprobs.detach().double().numpy()) / np.exp(sampled.detach().double().numpy())
    np.testing.assert_allclose(weights.numpy(), np.minimum(ratio, cap), rtol=1e-5)
    assert not weights.requires_grad


@pytest.mark.parametrize("change", [0.0, 0.4], ids=["first update", "later update"])
def test_importance_weights_undo_another_sampler(change):  # definition 17
    """Every token of a distribution weighed by how often another one samples it: the gradient is
    that of the distribution's own samples, and at the first update that of the expected reward.
    """
    generator = torch.Generator().manual_seed(3)
    old, other, step, rewards = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    old, other = old.log_softmax(0), other.log_softmax(0)
    mask = torch.ones(6, 1, dtype=torch.bool)

    def gradient(sampler, **weights):
        logits = (old + change * step).requires_grad_()
        logprobs = logits.log_softmax(0)[:, None]
        loss = micro_batch_loss(logprobs, old[:, None], rewards, mask, sampler.exp(), **weights)
        return torch.autograd.grad(loss, logits)[0]

    exact = importance_weights(old, other, cap=math.inf)[:, None]
    undone, own = gradient(other, importance_weights=exact), gradient(old)
    torch.testing.assert_close(undone, own, rtol=1e-12, atol=1e-14)
    assert not torch.allclose(gradient(other), own, rtol=0.05)
    if not change:
        logits = old.clone().requires_grad_()
        (logits.softmax(0) * -rewards).sum().backward()
        torch.testing.assert_close(own, logits.grad, rtol=1e-12, atol=1e-14)


def test_importance_weights_weigh_the_objective_alone():  # definition 17
    _, groups, lengths, mask, logprobs, old = random_batch(seed=9)
    sampled = old + 0.3 * torch.randn(24, 7, generator=torch.Generator().manual_seed(1))
    weights, advantages = loss_weights(lengths, groups), torch.ones(24)
    importance = importance_weights(old, sampled, 2.0)
    extras = {"entropies": torch.rand(24, 7), "entropy_coef": 0.3}
    extras |= {"ref_logprobs": old, "kl_coef": 0.7}

    def loss(**more):
        return micro_batch_loss(logprobs, old, advantages, mask, weights, **more)

    objective = clipped_objective(logprobs, old, advantages)
    added = -(weights[:, None] * mask * objective * (importance - 1)).sum()
    weighed = loss(importance_weights=importance, **extras)
    torch.testing.assert_close(weighed, loss(**extras) + added)


def test_equal_log_probabilities_weigh_nothing_bit_for_bit():  # definition 17
    _, groups, lengths, mask, logprobs, old = random_batch(seed=5)
    advantages, weights = torch.randn(24), loss_weights(lengths, groups)
    ones = importance_weights(old, old.clone(), 2.0)
    found = [
        (loss, *torch.autograd.grad(loss, logprobs))
        for more in ({}, {"importance_weights": ones})
        for loss in [micro_batch_loss(logprobs, old, advantages, mask, weights, **more)]
    ]
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize("garbage", [math.inf, math.nan])
def test_importance_weights_of_padding_never_matter(garbage):
    _, groups, lengths, mask, logprobs, old = random_batch(seed=6)
    advantages, weights = torch.randn(24), loss_weights(lengths, groups)
    clean = importance_weights(old, logprobs.detach(), 2.0)
    losses = [
        micro_batch_loss(logprobs, old, advantages, mask, weights, importance_weights=some)
        for some in (clean, clean.masked_fill(~mask, garbage))
    ]
    assert torch.equal(*losses) and torch.isfinite(losses[0])


def test_entropy_equals_numpy():
    logits = torch.randn(3, 4, 11, generator=torch.Generator().manual_seed(0))
    p = np.exp(logits.double().numpy())
    p /= p.sum(-1, keepdims=True)
    np.testing.assert_allclose(entropy(logits).numpy(), -(p * np.log(p)).sum(-1), atol=1e-5)


def test_kl_to_itself_is_zero_and_its_mean_is_the_divergence():
    logits, reference = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    log_p, log_q = torch.log_softmax(logits, -1), torch.log_softmax(reference, -1)
    assert torch.equal(kl_estimate(log_p, log_p), torch.zeros(8))
    estimate = kl_estimate(log_p, log_q)
    assert (estimate >= 0).all()
    exact = (log_p.exp() * (log_p - log_q)).sum()
    torch.testing.assert_close((log_p.exp() * estimate).sum(), exact)


def test_masked_mean_of_nothing_is_zero():
    assert masked_mean(torch.tensor([math.nan]), torch.tensor([False])) == 0
    assert masked_mean(torch.tensor([3.0, 5.0, 9.0]), torch.tensor([True, True, False])) == 4


def test_unknown_switches_say_what_to_use():
    lengths = torch.tensor([1])
    with pytest.raises(ValueError, match="no group_weight 'x'"):
        loss_weights(lengths, "a", group_weight="x")
    with pytest.raises(ValueError, match="no loss_norm 'x'"):
        loss_weights(lengths, "a", loss_norm="x")
    with pytest.raises(ValueError, match="needs norm_tokens"):
        loss_weights(lengths, "a", loss_norm="constant")


@pytest.mark.parametrize(
    ("loss_type", "loss_norm"),
    [("bnpo", "token_mean"), ("grpo", "sequence_mean"), ("dr_grpo", "constant")],
)
def test_loss_equals_trls(loss_type, loss_norm):
    """TRL's own loss on the same log-probabilities; with one group the three norms coincide."""
    trainer = pytest.importorskip("trl.trainer.grpo_trainer", reason="trl is not installed")
    _, groups, _, mask, logprobs, old = random_batch(seed=11)
    advantages, reference, entropies = torch.randn(24), old + 0.1, torch.rand(24, 7)
    settings = SimpleNamespace(  # what `_compute_loss` reads of a trainer
        _get_per_token_logps_and_entropies=lambda *a, **k: (logprobs, entropies, None),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level="token",
        beta=0.3,
        loss_type=loss_type,
        epsilon_low=0.1,
        epsilon_high=0.25,
        use_vllm=False,
        max_completion_length=50,
        model=SimpleNamespace(training=False),
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False),
        _entropy_bonus_enabled=False,
        accelerator=SimpleNamespace(gather=lambda x: x, reduce=lambda x, reduction: x),
        _metrics=defaultdict(lambda: defaultdict(list)),
    )
    ids = torch.zeros(24, 7, dtype=torch.long)
    theirs = trainer.GRPOTrainer._compute_loss(
        settings,
        None,
        {
            "prompt_ids": ids,
            "prompt_mask": ids,
            "completion_ids": ids,
            "completion_mask": mask.int(),
            "advantages": advantages,
            "old_per_token_logps": old,
            "ref_per_token_logps": reference,
        },
    )
    weights = loss_weights(
        mask.sum(1), groups, group_weight="tokens", loss_norm=loss_norm, norm_tokens=50
    )
    ours = micro_batch_loss(
        logprobs,
        old,
        advantages,
        mask,
        weights,
        clip_low=0.1,
        clip_high=0.25,
        ref_logprobs=reference,
        kl_coef=0.3,
    )
    torch.testing.assert_close(ours, theirs)


def test_a_rewarded_completion_becomes_more_likely():
    policy = tiny_policy()
    prompts, completions = [[5, 6, 7]] * 3, [[8, 9, 1], [10, 1], [11, 12, 13, 1]]
    rewards, groups = torch.tensor([1.0, 0.0, -1.0]), ["g"] * 3
    advantages = task_relative_advantages(rewards, groups)
    before, _, mask = policy.logprobs(prompts, completions)
    policy_loss(before, before.detach(), advantages, mask, groups).backward()
    torch.optim.SGD(policy.parameters(), lr=0.01).step()
    with torch.no_grad():
        after, _, _ = policy.logprobs(prompts, completions)
    change = (after - before.detach()).sum(1)
    assert change[0] > 0 > change[2]
