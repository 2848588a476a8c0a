import copy
import math
from dataclasses import replace
from weakref import ref

import pytest
import torch
from tiny import tiny_policy

from azr_mini import learner
from azr_mini.buffer import TripleBuffer
from azr_mini.config import Config
from azr_mini.learner import accumulate, unscale, update
from azr_mini.micro_batches import KL_ROLLOUTS, split, watched_rows
from azr_mini.policy import Policy
from azr_mini.tasks import Role, Rollout, TaskType
from azr_mini.train import TrainState, frozen_copy

torch.set_num_threads(1)
BIG = Config(max_grad_norm=1e9, micro_batch_tokens=10**6, heldout_path="")


def sgd_state(policy=None, learning_rate=1.0, **optimizer):
    """A state whose optimizer adds minus the gradient to the weights."""
    policy = policy or tiny_policy()
    sgd = torch.optim.SGD(policy.parameters(), lr=learning_rate, **optimizer)
    has_adapter = hasattr(policy.model, "peft_config")
    return TrainState(
        policy, sgd, TripleBuffer(), reference=None if has_adapter else frozen_copy(policy)
    )


def rollouts_for(policy, count=12, seed=0):
    """Random completions of all six groups with advantages that differ, two at every prompt."""
    generator = torch.Generator().manual_seed(seed)
    groups = [(role, type) for role in Role for type in TaskType]
    made = []
    for i in range(count):
        role, type = groups[i % 6]
        prompt_ids = tuple(range(20, 23 + i // 6 % 3 + 2 * (i % 6)))
        length = 1 + int(torch.randint(1, 9, (), generator=generator))
        ids = (*torch.randint(20, 100, (length - 1,), generator=generator).tolist(), policy.eos_id)
        advantage = float(torch.randn((), generator=generator))
        made.append(
            Rollout(
                role,
                type,
                "",
                "",
                prompt_ids,
                ids,
                (-1.0,) * length,
                False,
                "",
                reward=advantage,
                advantage=advantage,
            )  # fmt: skip
        )
    return made


def weights_of(policy):
    return torch.cat([p.detach().flatten() for p in policy.parameters()])


def after(config, rollouts, sampler_differs=False, **kwargs):
    """The weights and metrics after one update from the same start."""
    state = sgd_state(**kwargs)
    metrics = update(state, rollouts, config, sampler_differs=sampler_differs)
    return weights_of(state.policy), metrics


ROLLOUTS = rollouts_for(tiny_policy())


def test_first_step_gradient_is_reinforce():  # definition 17
    policy = tiny_policy()
    loss = 0.0
    groups = {r.group for r in ROLLOUTS}
    for group in groups:
        members = [r for r in ROLLOUTS if r.group == group]
        tokens = sum(len(r.completion_ids) for r in members)
        for r in members:  # one at a time, through the model's own forward pass
            ids = torch.tensor([r.prompt_ids + r.completion_ids])
            log_p = policy.model(input_ids=ids).logits[0].log_softmax(-1)
            chosen = log_p[len(r.prompt_ids) - 1 : -1].gather(1, ids[0, len(r.prompt_ids) :, None])
            loss = loss - r.advantage * chosen.sum() / tokens / len(groups)
    loss.backward()
    expected = torch.cat([p.grad.flatten() for p in policy.parameters()])
    new, metrics = after(BIG, ROLLOUTS)
    assert torch.allclose(weights_of(policy) - new, expected, atol=2e-6)
    assert metrics["grad_norm"] == pytest.approx(float(expected.norm()), rel=1e-4)


@pytest.mark.parametrize("norm", ["token_mean", "sequence_mean", "constant"])
@pytest.mark.parametrize("weight", ["equal", "tokens"])
def test_micro_batching_does_not_change_loss_or_gradient(norm, weight):  # definition 17
    whole = replace(BIG, loss_norm=norm, group_weight=weight, kl_coef=0.1, entropy_coef=0.1)
    together, metrics = after(whole, ROLLOUTS)
    for tokens in (1, 40, 100):
        apart, pieces = after(replace(whole, micro_batch_tokens=tokens), ROLLOUTS)
        assert torch.allclose(together, apart, atol=1e-6)
        for name in ("loss", "entropy", "kl", "logp_gap", "grad_norm"):
            assert pieces[name] == pytest.approx(metrics[name], rel=1e-4, abs=1e-7), name


def test_a_rewarded_completion_becomes_more_likely():  # definition 17
    state = sgd_state(learning_rate=0.1)
    good, bad = rollouts_for(state.policy, 12)[6:8]
    good, bad = replace(good, advantage=1.0), replace(bad, advantage=-1.0)

    def likelihoods():
        with torch.no_grad():
            logprobs, _, _ = state.policy.logprobs(
                [r.prompt_ids for r in (good, bad)], [r.completion_ids for r in (good, bad)]
            )
        return logprobs.sum(dim=1)

    before = likelihoods()
    update(state, [good, bad], BIG)
    gain = likelihoods() - before
    assert gain[0] > 0 > gain[1]


def test_update_does_not_change_rewards():
    rollouts = rollouts_for(tiny_policy(), seed=1)  # that no update has met before
    copies = copy.deepcopy(rollouts)
    after(BIG, rollouts)
    assert rollouts == copies


def test_without_advantages_nothing_moves():
    rollouts = [replace(r, advantage=0.0) for r in ROLLOUTS]
    new, metrics = after(BIG, rollouts)
    assert torch.equal(new, weights_of(tiny_policy()))
    assert metrics["loss"] == metrics["grad_norm"] == metrics["clip_fraction"] == 0


def test_ratio_is_one_before_the_first_update_so_nothing_clips():  # definition 17
    _, metrics = after(replace(BIG, clip_low=0.0, clip_high=0.0), ROLLOUTS)
    assert metrics["clip_fraction"] == 0
    unclipped, _ = after(BIG, ROLLOUTS)
    clipped, _ = after(replace(BIG, clip_low=0.0, clip_high=0.0), ROLLOUTS)
    assert torch.allclose(unclipped, clipped, atol=1e-7)


def test_clipping_acts_with_four_updates():  # definition 17
    narrow = replace(BIG, updates_per_step=4, clip_low=0.01, clip_high=0.01)
    clipped, metrics = after(narrow, ROLLOUTS, learning_rate=1.0)
    free, unbound = after(replace(narrow, clip_low=1.0, clip_high=1e9), ROLLOUTS, learning_rate=1.0)
    assert metrics["clip_fraction"] > 0.1 and unbound["clip_fraction"] == 0
    start = weights_of(tiny_policy())
    assert (clipped - start).norm() < 0.7 * (free - start).norm()


def test_old_logprobs_are_the_learners_own():  # definition 17
    """What the sampler said changes only logp_gap."""
    liar = [replace(r, logprobs=(-9.0,) * len(r.logprobs)) for r in ROLLOUTS]
    config = replace(BIG, updates_per_step=3)
    honest_weights, honest = after(config, ROLLOUTS)
    liar_weights, lying = after(config, liar)
    assert torch.equal(honest_weights, liar_weights)
    assert abs(lying["logp_gap"] - honest["logp_gap"]) > 1


@pytest.mark.parametrize("weight", ["equal", "tokens"])
@pytest.mark.parametrize("norm", ["token_mean", "sequence_mean", "constant"])
def test_the_switches_name_what_a_token_counts(norm, weight):  # definition 17
    """At the first update every ratio is 1, so the loss is a mean of advantages."""
    rows = [*ROLLOUTS, *rollouts_for(tiny_policy(), 3, seed=1)]  # groups of different sizes
    means = []
    for group in {r.group for r in rows} if weight == "equal" else [None]:
        mine = [(r.advantage, len(r.completion_ids)) for r in rows if group in (None, r.group)]
        total = sum(advantage * length for advantage, length in mine)
        means.append(
            {
                "token_mean": total / sum(length for _, length in mine),
                "sequence_mean": sum(advantage for advantage, _ in mine) / len(mine),
                "constant": total / 50 / len(mine),
            }[norm]
        )
    config = replace(BIG, loss_norm=norm, group_weight=weight, max_new_tokens=50)
    _, metrics = after(config, rows)
    assert metrics["loss"] == pytest.approx(-sum(means) / len(means), rel=1e-4)


def test_clip_low_and_clip_high_guard_their_own_sides():  # definition 17
    better = [replace(r, advantage=1.0) for r in ROLLOUTS]  # ratios rise: only clip_high binds
    four = replace(BIG, updates_per_step=4)
    _, high = after(replace(four, clip_low=1.0, clip_high=0.01), better)
    _, low = after(replace(four, clip_low=0.01, clip_high=1e9), better)
    assert high["clip_fraction"] > 0.1 and low["clip_fraction"] == 0


def sampled_with(factor):
    """The rollouts as an engine would sample them to whom each token is 1/factor as likely."""
    (batch,) = split(tiny_policy(), ROLLOUTS, BIG, BIG.micro_batch_tokens)
    with torch.no_grad():
        logprobs, _, mask = tiny_policy().logprobs(batch.prompt_ids, batch.completion_ids)
    return [
        replace(r, logprobs=tuple((row[: int(kept.sum())] - math.log(factor)).tolist()))
        for r, row, kept in zip(batch.rollouts, logprobs, mask, strict=True)
    ]


def test_logp_gap_is_the_mean_distance_to_the_sampler():
    distant = sampled_with(math.exp(0.25))
    assert after(BIG, distant)[1]["logp_gap"] == pytest.approx(0.25, abs=1e-5)


def test_another_engine_that_agrees_changes_no_bit():  # definition 17
    config = replace(BIG, updates_per_step=3, kl_coef=0.1, entropy_coef=0.1)
    same, metrics = after(config, sampled_with(1))
    other, with_weights = after(config, sampled_with(1), sampler_differs=True)
    assert torch.equal(same, other)
    assert with_weights == {**metrics, "importance_capped": 0.0}


@pytest.mark.parametrize("factor, weight, capped", [(1.5, 1.5, 0.0), (0.5, 0.5, 0.0), (4, 2, 1.0)])
def test_a_token_weighs_by_how_much_likelier_it_is_to_the_learner(factor, weight, capped):
    """Also at the later updates, whose ratios start at the learner's own (definition 17)."""
    config = replace(BIG, updates_per_step=3, clip_low=0.01, clip_high=0.01)
    found, metrics = after(config, sampled_with(factor), sampler_differs=True)
    more = [replace(r, advantage=weight * r.advantage) for r in sampled_with(1)]
    expected, _ = after(config, more)
    assert torch.allclose(found, expected, atol=1e-6)
    assert metrics["importance_capped"] == capped


def test_the_cap_of_importance_weights_is_the_switch():  # definition 17
    _, metrics = after(replace(BIG, importance_cap=5.0), sampled_with(4), sampler_differs=True)
    assert metrics["importance_capped"] == 0
    _, free = after(BIG, sampled_with(1))
    assert metrics["loss"] == pytest.approx(4 * free["loss"], rel=1e-4)


def test_without_another_engine_nothing_is_weighed():  # definition 17
    near, metrics = after(BIG, sampled_with(1))
    far, _ = after(BIG, sampled_with(4))
    assert torch.equal(near, far) and "importance_capped" not in metrics


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_is_thrown_away_and_counted(value):
    broken = [replace(ROLLOUTS[0], advantage=value), *ROLLOUTS[1:]]
    new, metrics = after(replace(BIG, updates_per_step=2), broken)
    assert torch.equal(new, weights_of(tiny_policy()))
    assert metrics["update_skipped"] == 2


def test_a_thrown_away_gradient_does_not_hurt_the_next_update():
    state = sgd_state()
    update(state, [replace(ROLLOUTS[0], advantage=math.nan), *ROLLOUTS[1:]], BIG)
    metrics = update(state, ROLLOUTS, BIG)
    assert metrics["update_skipped"] == 0
    assert torch.equal(weights_of(state.policy), after(BIG, ROLLOUTS)[0])


def test_each_update_starts_from_a_clean_gradient():
    _, once = after(BIG, ROLLOUTS, learning_rate=1e-6)
    _, twice = after(replace(BIG, updates_per_step=2), ROLLOUTS, learning_rate=1e-6)
    assert twice["grad_norm"] == pytest.approx(once["grad_norm"], rel=1e-3)


def test_long_gradients_are_scaled_down():
    new, metrics = after(replace(BIG, max_grad_norm=0.01), ROLLOUTS)
    moved = (new - weights_of(tiny_policy())).norm()
    assert float(moved) == pytest.approx(0.01, rel=1e-3) and metrics["grad_norm"] > 0.01


@pytest.mark.parametrize("lora_rank", [None, 4])
def test_kl_of_the_base_to_itself_is_zero_and_grows_with_training(lora_rank):  # definition 18
    state = sgd_state(tiny_policy(lora_rank=lora_rank), learning_rate=10.0)
    seen = [update(state, ROLLOUTS, BIG)["kl"] for _ in range(3)]
    assert seen[0] == 0 and seen[1] > 0 and seen[2] > seen[1]


def test_kl_is_logged_on_at_most_64_rollouts_and_charged_on_all():  # definition 18
    assert KL_ROLLOUTS == 64
    assert len(watched_rows(432, Config())) == 64 and max(watched_rows(432, Config())) < 432
    assert watched_rows(10, Config()) == set(range(10))
    assert watched_rows(432, Config(kl_coef=0.1)) == set(range(432))


def test_kl_is_measured_on_the_watched_rows_only(monkeypatch):
    seen = []
    reference = frozen_copy(tiny_policy())
    monkeypatch.setattr(
        reference, "logprobs", lambda p, c: seen.extend(c) or Policy.logprobs(reference, p, c)
    )
    state = sgd_state()
    state.reference = reference
    update(state, rollouts_for(state.policy, 130), replace(BIG, micro_batch_tokens=200))
    assert len(seen) == 64


def test_kl_coef_holds_the_policy_near_its_base():  # definition 18
    moved = []
    for kl_coef in (0.0, 1.0):
        state = sgd_state(learning_rate=0.2)
        for _ in range(8):
            metrics = update(state, ROLLOUTS, replace(BIG, kl_coef=kl_coef))
        moved.append(metrics["kl"])
    assert moved[1] < 0.5 * moved[0]


def test_entropy_coef_pays_for_entropy():  # definition 18
    idle = [replace(r, advantage=0.0) for r in ROLLOUTS]
    state = sgd_state(learning_rate=0.01)
    with torch.no_grad():
        state.policy.model.lm_head.weight.mul_(20)  # a policy that has entropy to gain
    seen = [update(state, idle, replace(BIG, entropy_coef=1.0))["entropy"] for _ in range(4)]
    assert seen == sorted(seen) and seen[-1] > seen[0] + 0.01


@pytest.mark.parametrize("entropy_coef", [0.0, 0.1])
def test_entropies_have_a_gradient_where_they_are_paid_for(entropy_coef, monkeypatch):
    policy, found = tiny_policy(), []
    logprobs = policy.logprobs
    monkeypatch.setattr(
        policy, "logprobs", lambda *a, **how: found.append(logprobs(*a, **how)) or found[-1]
    )
    after(replace(BIG, entropy_coef=entropy_coef), ROLLOUTS, policy=policy)
    assert [entropies.requires_grad for _, entropies, _ in found] == [bool(entropy_coef)]


def test_only_the_sum_of_earlier_gradients_is_kept(monkeypatch):
    """The first micro-batch's become the sum."""
    kept, compute = [], learner.gradient

    def gradient(*arguments, **options):
        assert all(part() is None for part in kept[1:])
        found = compute(*arguments, **options)
        kept.append(ref(found[0][0]))
        return found

    monkeypatch.setattr(learner, "gradient", gradient)
    after(replace(BIG, micro_batch_tokens=30, threads=1), ROLLOUTS)
    assert len(kept) > 3


def test_a_weight_without_a_gradient_stays_without_one():
    used, unused = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    for part in (torch.ones(2), torch.full((2,), 3.0)):
        accumulate([used, unused], [part, None])
    unscale([used, unused], 8.0)
    assert used.grad.tolist() == [0.5, 0.5] and unused.grad is None


def test_entropy_is_that_of_the_full_distribution():  # definition 18
    policy = tiny_policy()
    with torch.no_grad():
        policy.model.lm_head.weight.zero_()  # uniform over the vocabulary
    _, metrics = after(BIG, ROLLOUTS, policy=policy)
    assert metrics["entropy"] == pytest.approx(math.log(policy.model.config.vocab_size), rel=1e-5)


def test_a_frozen_proposer_gives_no_gradient():
    config = replace(BIG, train_proposer=False)
    solver_only = [r for r in ROLLOUTS if r.role is Role.SOLVE]
    frozen, _ = after(config, ROLLOUTS)
    assert torch.equal(frozen, after(BIG, solver_only)[0])
    assert not torch.equal(frozen, after(BIG, ROLLOUTS)[0])


def test_the_frozen_copy_stays_what_it_was():
    state = sgd_state()
    update(state, ROLLOUTS, BIG)
    reference = torch.cat([p.flatten() for p in state.reference.model.parameters()])
    assert torch.equal(reference, weights_of(tiny_policy()))
    assert state.reference.parameters() == []


def test_equal_group_weight_ignores_how_long_a_groups_answers_are():  # definition 17
    """A group alone must pull as hard when another group's rows are doubled."""
    ours = [r for r in ROLLOUTS if r.group == (Role.SOLVE, TaskType.DEDUCTION)]
    others = [r for r in ROLLOUTS if r.group == (Role.SOLVE, TaskType.ABDUCTION)]
    others = [replace(r, advantage=0.0) for r in others]
    once, _ = after(BIG, ours + others)
    twice, _ = after(BIG, ours + others * 3)
    assert torch.allclose(once, twice, atol=1e-7)
    tokens = replace(BIG, group_weight="tokens")
    assert not torch.allclose(after(tokens, ours + others)[0], after(tokens, ours + others * 3)[0])
