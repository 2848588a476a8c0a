"""The sampler against transformers' `generate`, the policy's own log-probabilities, and itself."""

import random

import pytest
import torch
from tiny_models import byte_tokenizer, tiny_model, tiny_policy

from azr_mini.adapters import add_adapter
from azr_mini.policy import Policy
from azr_mini.sampler import Completion, Sampler, draw, nucleus, stream_keys, uniform

EOS = 1


def prompts(count=7, seed=0, longest=30):
    rng = random.Random(seed)
    return [[rng.randrange(2, 300) for _ in range(rng.randint(1, longest))] for _ in range(count)]


def sample(policy, prompt_ids, max_batch=256, seeds=None, **settings):
    settings = {"num_completions": 3, "max_new_tokens": 40} | settings
    seeds = range(100, 100 + len(prompt_ids)) if seeds is None else seeds
    return Sampler(policy, max_batch).generate(prompt_ids, seeds=seeds, **settings)


def flat(completions):
    return [completion for row in completions for completion in row]


def ended_policy(architecture="llama", **changes):
    """A policy whose completions end after about ten tokens, very unevenly."""
    return tiny_policy(architecture, eos_bias=4.5, **changes)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("max_batch", [2, 256])
def test_greedy_equals_transformers_generate(architecture, max_batch):
    policy = ended_policy(architecture, seed=3)
    prompt_ids = prompts(9, seed=1)
    found = sample(policy, prompt_ids, max_batch, temperature=0, num_completions=1)
    ends = 0
    for prompt, (completion,) in zip(prompt_ids, found, strict=True):
        expected = policy.model.generate(
            torch.tensor([prompt]), do_sample=False, max_new_tokens=40, attention_mask=None
        )[0, len(prompt) :]
        assert list(completion.ids) == expected.tolist()
        ends += not completion.truncated
    assert 0 < ends


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_sampled_logprobs_are_the_policys(architecture):
    """So the ratio to the learner is one before the first update, whatever the temperature."""
    policy = ended_policy(architecture)
    prompt_ids = prompts(6)
    for settings in ({}, {"temperature": 0.7, "top_p": 0.9}):
        rows = sample(policy, prompt_ids, max_batch=5, **settings)
        with torch.no_grad():
            logprobs, _, mask = policy.logprobs(
                [prompt for prompt in prompt_ids for _ in range(3)],
                [completion.ids for completion in flat(rows)],
            )
        sampled = torch.tensor([p for completion in flat(rows) for p in completion.logprobs])
        assert (logprobs[mask] - sampled).abs().max() < 1e-4


@pytest.mark.parametrize("max_batch", [1, 2, 4, 10])
def test_batching_changes_nothing(max_batch):
    """Rows leave and enter in different company; several attempts may not fit at once."""
    policy = ended_policy()
    whole = flat(sample(policy, prompts(8), num_completions=4))
    split = flat(sample(policy, prompts(8), max_batch, num_completions=4))
    assert [c.ids for c in split] == [c.ids for c in whole]
    assert [c.truncated for c in split] == [c.truncated for c in whole]
    for one, other in zip(split, whole, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_order_of_the_prompts_changes_nothing():
    policy, prompt_ids, seeds = ended_policy(), prompts(8), list(range(8))
    forward = sample(policy, prompt_ids, 6, seeds)
    backward = sample(policy, prompt_ids[::-1], 6, seeds[::-1])[::-1]
    assert [c.ids for c in flat(forward)] == [c.ids for c in flat(backward)]


def test_fewer_attempts_are_the_first_of_more():
    policy = ended_policy()
    few, many = (sample(policy, prompts(4), num_completions=n) for n in (2, 5))
    for some, all_ in zip(few, many, strict=True):
        assert [c.ids for c in some] == [c.ids for c in all_[:2]]


def test_same_inputs_give_the_same_bits():
    first, second = (flat(sample(ended_policy(), prompts(8), max_batch=6)) for _ in range(2))
    assert first == second


def test_seeds_and_attempts_differ():
    policy, prompt_ids = ended_policy(), [[5, 6, 7]] * 2
    (a, b), (c, d) = sample(policy, prompt_ids, seeds=[1, 2], num_completions=2)
    assert len({a.ids, b.ids, c.ids, d.ids}) == 4
    again = sample(policy, prompt_ids, seeds=[1, 1], num_completions=2)
    assert [x.ids for x in again[0]] == [x.ids for x in again[1]] == [a.ids, b.ids]


def test_eos_ends_a_completion_and_is_part_of_it():
    completions = flat(sample(ended_policy(), prompts(12)))
    lengths = {len(completion.ids) for completion in completions}
    assert len(lengths) > 5  # uneven, so rows left at different times
    for completion in completions:
        assert len(completion.ids) == len(completion.logprobs)
        assert EOS not in completion.ids[:-1]
        assert completion.truncated == (completion.ids[-1] != EOS)
        assert completion.truncated <= (len(completion.ids) == 40)


def test_truncated_is_flagged():
    policy = tiny_policy()
    for completion in flat(sample(policy, prompts(4), max_new_tokens=3)):
        assert completion.truncated == (EOS not in completion.ids)
        assert not completion.truncated or len(completion.ids) == 3


def test_eos_as_the_last_possible_token_is_not_truncation():
    policy = tiny_policy(eos_bias=100.0)
    (completion,) = sample(policy, [[5]], max_new_tokens=1, num_completions=1)[0]
    assert completion == Completion((EOS,), completion.logprobs, truncated=False)


def test_every_stop_token_of_a_chat_model_ends():
    model = tiny_model()
    model.generation_config.eos_token_id = [EOS, *range(50, 200)]
    policy = Policy(model, byte_tokenizer())
    for completion in flat(sample(policy, prompts(5))):
        assert all(i != EOS and not 50 <= i < 200 for i in completion.ids[:-1])


def test_completions_never_leave_the_models_positions():
    policy = tiny_policy(max_position_embeddings=20)
    short, long = sample(policy, [[5] * 3, [5] * 18], num_completions=2)
    assert {len(c.ids) for c in short if c.truncated} <= {17}
    assert all(len(c.ids) <= 2 for c in long)
    with pytest.raises(ValueError, match="a prompt has 20 tokens but the model only 20"):
        sample(policy, [[5] * 20])


def test_draws_follow_the_distribution():
    logits = torch.tensor([[0.0, 1.0, 2.0, -30.0, 0.5]]).expand(20_000, -1)
    keys = stream_keys(range(20_000), [0] * 20_000)
    for temperature in (1.0, 0.5):
        tokens, logprobs = draw(logits, keys, torch.zeros_like(keys), temperature, 1.0)
        shares = torch.bincount(tokens, minlength=5) / 20_000
        torch.testing.assert_close(
            shares, torch.softmax(logits[0] / temperature, -1), atol=0.02, rtol=0
        )
        assert torch.equal(logprobs, torch.log_softmax(logits[0], -1)[tokens])


def test_top_p_keeps_the_likeliest_tokens_that_reach_it():
    p = torch.tensor([[0.1, 0.5, 0.15, 0.25]])
    for top_p, kept in ((0.4, [1]), (0.5, [1]), (0.6, [1, 3]), (0.8, [1, 2, 3])):
        assert nucleus(p, top_p)[0].nonzero()[:, 0].tolist() == kept
    keys = stream_keys(range(500), [0] * 500)
    logits = p.log().expand(500, -1)
    tokens, _ = draw(logits, keys, torch.zeros_like(keys), 1.0, 0.6)
    assert set(tokens.tolist()) == {1, 3}


def test_a_token_of_probability_zero_is_never_drawn():
    logits = torch.full((4, 6), -torch.inf)
    logits[:, 2] = 0.0
    logits[:, 4] = 0.0
    keys = torch.zeros(4, dtype=torch.long)
    for number in (0.0, 0.25, 0.5, 1 - 2.0**-23):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("azr_mini.sampler.uniform", lambda k, p, n=number: torch.full((4,), n))
            tokens, _ = draw(logits, keys, keys, 1.0, 1.0)
        assert set(tokens.tolist()) <= {2, 4}


def test_random_numbers_depend_on_seed_row_and_position_only():
    keys = stream_keys([0, 0, 1, 2**63 - 1, -5], [0, 1, 0, 0, 7])
    numbers = torch.stack([uniform(keys, torch.full((5,), t)) for t in range(200)])
    assert numbers.unique().numel() > 990
    assert 0 <= numbers.min() and numbers.max() < 1 and abs(numbers.mean() - 0.5) < 0.04
    assert torch.equal(uniform(keys[[4, 0]], torch.tensor([9, 3])), numbers[[9, 3], [4, 0]])
    # splitmix64 by hand, in Python's own integers
    assert [int(k) % 2**64 for k in stream_keys([1], [2])] == [_key_by_hand(1, 2)]


def _key_by_hand(seed, row):
    def mix(x):
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
        return x ^ (x >> 31)

    return mix((mix(seed) + (row + 1) * 0x9E3779B97F4A7C15) % 2**64)


def test_global_random_state_is_neither_used_nor_changed():
    policy = ended_policy()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = sample(policy, prompts(3))
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    assert sample(policy, prompts(3)) == first


def test_sampler_sees_updated_weights():
    policy = ended_policy()
    sampler = Sampler(policy)
    settings = {"seeds": [1], "max_new_tokens": 20, "temperature": 0}
    before = sampler.generate([[5, 6]], **settings)
    with torch.no_grad():
        policy.model.get_output_embeddings().bias[77] = 50.0
    sampler.refresh()
    assert before != sampler.generate([[5, 6]], **settings)
    assert sampler.generate([[5, 6]], **settings)[0][0].ids == (77,) * 20


def test_gradients_flow_after_sampling():
    policy = ended_policy()
    rows = sample(policy, prompts(2))
    logprobs, _, _ = policy.logprobs([[5, 6]], [rows[0][0].ids])
    logprobs.sum().backward()
    assert all(p.grad is not None for p in policy.parameters())


def test_gradients_beside_a_whole_base_are_the_same_after_sampling():
    policy = Policy(add_adapter(tiny_model(), rank=2), byte_tokenizer())

    def gradients():
        logprobs, _, _ = policy.logprobs([[5, 6]], [[7, 8, 9]])
        return torch.autograd.grad(logprobs.sum(), policy.parameters())

    before = gradients()
    sample(policy, prompts(2))
    assert all(map(torch.equal, gradients(), before))


def test_nothing_to_write_gives_nothing():
    assert sample(ended_policy(), []) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_completions": 0}, "num_completions is 0"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"temperature": -1}, "temperature is -1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        sample(ended_policy(), [[5]], **settings)


def test_empty_prompt_and_empty_batch_are_refused():
    with pytest.raises(ValueError, match="no tokens"):
        sample(ended_policy(), [[5], []])
    with pytest.raises(ValueError, match="max_batch is 0"):
        Sampler(ended_policy(), max_batch=0)


def test_bfloat16_stays_close_to_its_own_learner():
    policy = Policy(tiny_model(eos_bias=4.0), byte_tokenizer(), dtype=torch.bfloat16)
    rows = sample(policy, prompts(4))
    with torch.no_grad():
        logprobs, _, mask = policy.logprobs(
            [p for p in prompts(4) for _ in range(3)], [c.ids for c in flat(rows)]
        )
    sampled = torch.tensor([p for completion in flat(rows) for p in completion.logprobs])
    assert (logprobs[mask] - sampled).abs().mean() < 0.05
