"""Attention without a grid: what a newer GPU's kernel is asked for gives what the grid gives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_policy import rows_that_share_prompts
from tiny_models import tiny_policy

from azr_mini import segments as module
from azr_mini.packed_batch import pack
from azr_mini.segments import attend_segments, has_kernel, segments

architectures = pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
needs_kernel = pytest.mark.skipif(
    not has_kernel(torch.device("cuda"), torch.bfloat16, 64) if torch.cuda.is_available() else True,
    reason="needs a CUDA GPU of compute capability 8.0 or newer",
)


def one_by_one(query, key, value, query_ends, key_ends, most_queries, most_keys, scale=None, **how):
    """The kernel's promise in plain arithmetic: causal, the last query at the last key."""
    assert how == {"window_size": (-1, 0)}
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    parts, ends = [], zip(query_ends.tolist(), key_ends.tolist(), strict=True)
    first, first_key = next(ends)
    for last, last_key in ends:
        q, k, v = query[first:last], key[first_key:last_key], value[first_key:last_key]
        assert 0 < len(q) <= most_queries and len(q) <= len(k) <= most_keys
        scores = torch.einsum("qhd,khd->hqk", q, k) * scale
        later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1 + len(k) - len(q))
        probabilities = scores.masked_fill(later, -torch.inf).softmax(-1)
        parts.append(torch.einsum("hqk,khd->qhd", probabilities, v))
        first, first_key = last, last_key
    assert (first, first_key) == (len(query), len(key))
    return torch.cat(parts)


def scored(policy, rows):
    logprobs, _, mask = policy.logprobs(*rows)
    return logprobs.detach(), *torch.autograd.grad(logprobs[mask].mean(), policy.parameters())


def of_segments(policy):
    policy.segmented, policy.pair_cost = True, 0.0
    return policy


@architectures
@pytest.mark.parametrize("attempts", [1, 3])
def test_log_probabilities_and_gradients_are_those_of_the_grid(architecture, attempts, monkeypatch):
    rows = rows_that_share_prompts(seed=31, attempts=attempts)
    exact = scored(tiny_policy(architecture), rows)
    monkeypatch.setattr(module, "_kernel", one_by_one)
    found = scored(of_segments(tiny_policy(architecture)), rows)
    torch.testing.assert_close(found, exact, atol=1e-5, rtol=1e-5)


def each_by_itself(query, key, value, entries, scaling):
    """The oracle: every prompt with one of its completions is a causal sequence of its own."""
    out, start = torch.zeros_like(query), 0
    shared = query.shape[1] // key.shape[1]
    for prompt, completions in entries:
        place = start + prompt
        for length in completions or [0]:
            own = [*range(start, start + prompt), *range(place, place + length)]
            place += length
            for number, token in enumerate(own):
                before = own[: number + 1]
                for head in range(query.shape[1]):
                    keys, values = (x[before, head // shared] for x in (key, value))
                    probabilities = (keys @ query[token, head] * scaling).softmax(0)
                    out = out.index_put(
                        (torch.tensor(token), torch.tensor(head)), probabilities @ values
                    )
        start = place
    return out


@settings(max_examples=25, deadline=None)
@given(
    entries=st.lists(
        st.tuples(st.integers(1, 4), st.lists(st.integers(0, 3), max_size=4)),
        min_size=1,
        max_size=3,
    ),
    shared=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
def test_any_entries_are_attended_to_and_learned_as_each_sequence_by_itself(entries, shared, seed):
    torch.manual_seed(seed)
    tokens = sum(prompt + sum(completions) for prompt, completions in entries)
    inputs = [
        torch.randn(tokens, heads, 4, dtype=torch.float64, requires_grad=True)
        for heads in (2 * shared, 2, 2)
    ]
    direction = torch.randn_like(inputs[0])

    def attended(attend, *how):
        out = attend(*inputs, *how)
        return out.detach(), *torch.autograd.grad(out, inputs, direction)

    exact = attended(each_by_itself, entries, 0.7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_kernel", one_by_one)
        found = attended(attend_segments, segments(entries, "cpu"), 0.7)
    torch.testing.assert_close(found, exact, atol=1e-5, rtol=1e-5)


def test_a_prompts_gradient_adds_up_in_float32():
    """300 completions give it 1 each; in bfloat16 256 + 1 is 256."""
    one = torch.ones(1, 1, 1, dtype=torch.bfloat16, requires_grad=True)
    gathered = module._Gathered.apply(one, torch.zeros(300, dtype=torch.long))
    gradient = torch.autograd.grad(gathered, one, torch.ones_like(gathered))[0]
    assert gradient.dtype is torch.bfloat16 and float(gradient) == 300


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3"])
def test_the_kernel_gets_what_it_computes_with(architecture, monkeypatch):
    """Rotated queries and keys are wider on the way there."""
    asked = []

    def kernel(*inputs, **how):
        asked.append({x.dtype for x in inputs[:3]})
        return one_by_one(*inputs, **how)

    monkeypatch.setattr(module, "_kernel", kernel)
    policy = of_segments(tiny_policy(architecture))
    policy.dtype = torch.bfloat16
    policy.logprobs(*rows_that_share_prompts())
    assert asked == [{torch.bfloat16}] * 2


@pytest.mark.parametrize("shared", [1, 2])
def test_heads_that_share_keys_are_named_where_the_kernel_asks(shared, monkeypatch):
    from torch.nn.attention import varlen

    query, key = torch.zeros(3, 2 * shared, 8), torch.zeros(3, 2, 8)
    monkeypatch.setattr(varlen, "varlen_attn", lambda *_, enable_gqa=False, **__: enable_gqa)
    assert attend_segments(query, key, key, segments([(3, [])], "cpu")) == (shared > 1)
    monkeypatch.setattr(varlen, "varlen_attn", lambda *_, scale, window_size: window_size)
    assert attend_segments(query, key, key, segments([(3, [])], "cpu")) == (-1, 0)


def test_completions_of_one_token_or_none_are_no_sequences(monkeypatch):
    prompts, completions = [[5, 6, 7]] * 4 + [[8, 9]], [[], [10], [11, 12, 13], [14, 15], [16]]
    exact = tiny_policy().logprobs(prompts, completions)
    monkeypatch.setattr(module, "_kernel", one_by_one)
    policy = of_segments(tiny_policy())
    torch.testing.assert_close(policy.logprobs(prompts, completions), exact, atol=1e-5, rtol=1e-5)


def test_keys_are_gathered_only_where_attempts_share_a_prompt():
    found = segments([(3, [2, 4]), (5, [1])], "cpu")
    assert found.query_ends.tolist() == [0, 5, 9, 15]
    assert found.key_ends.tolist() == [0, 5, 12, 18]
    assert (found.most_queries, found.most_keys) == (6, 7)
    assert found.keys.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, *range(5, 9), *range(9, 15)]
    assert segments([(3, [2]), (5, [1])], "cpu").keys is None


def test_no_mask_is_made_without_a_grid():
    prompts, completions = [[5] * 50] * 3, [[7] * 40] * 3
    packing = pack(prompts, completions, 0.0, torch.float32, segmented=True).packing
    assert packing.mask.numel() == 1 and not len(packing.places)


def test_micro_batches_hold_tokens_and_not_the_area_of_a_grid():
    policy, lengths = tiny_policy(), [60, 20, 19]
    prompts, completions = [[n] * n for n in lengths], [[7]] * 3
    assert len(policy.micro_batches(prompts, completions, 99)) == 2
    assert of_segments(policy).micro_batches(prompts, completions, 99) == [[0, 1, 2]]
    assert len(policy.micro_batches(prompts, completions, 98)) == 2


def test_a_cpu_and_float32_and_odd_heads_have_no_kernel():
    assert not has_kernel(torch.device("cpu"), torch.bfloat16, 64)
    for dtype, head_dim in ((torch.float32, 64), (torch.bfloat16, 20), (torch.bfloat16, 512)):
        assert not has_kernel(torch.device("cuda"), dtype, head_dim)


def test_an_older_gpu_or_a_build_or_user_without_it_has_no_kernel(monkeypatch):
    def has(capability=(8, 0), built=True, wanted=True):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: built)
        monkeypatch.setattr(torch.backends.cuda, "flash_sdp_enabled", lambda: wanted)
        return has_kernel(torch.device("cuda"), torch.float16, 64)

    assert has() and has(capability=(12, 0))
    assert not has(capability=(7, 5))
    assert not has(built=False) and not has(wanted=False)


@needs_kernel
@pytest.mark.parametrize("attempts", [1, 4])
def test_the_kernel_keeps_its_promise(attempts):
    torch.manual_seed(0)
    parts = segments([(300, [50] * attempts), (70, [129] * attempts)], "cuda")
    tokens = 370 + 179 * attempts
    inputs = [torch.randn(tokens, heads, 64, device="cuda") for heads in (12, 2, 2)]
    direction = torch.randn(tokens, 12, 64, device="cuda")

    def found(dtype, attend):
        given = [x.to(dtype).requires_grad_() for x in inputs]
        out = attend(*given)
        return out.detach(), *torch.autograd.grad(out, given, direction.to(dtype))

    def exactly(query, key, value):
        keys = slice(None) if parts.keys is None else parts.keys
        ends = parts.query_ends.cpu(), parts.key_ends.cpu()
        most = parts.most_queries, parts.most_keys
        given = (query.cpu(), key[keys].cpu(), value[keys].cpu())
        return one_by_one(*given, *ends, *most, window_size=(-1, 0)).to("cuda")

    exact = found(torch.float64, exactly)
    ours = found(torch.bfloat16, lambda *given: attend_segments(*given, parts))
    for mine, theirs in zip(ours, exact, strict=True):
        assert float((mine - theirs).norm() / theirs.norm()) < 0.01
