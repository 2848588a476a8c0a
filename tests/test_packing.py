"""The branches of attention that a GPU takes, on a CPU."""

import pytest
import torch
from test_policy import rows_that_share_prompts
from tiny_models import tiny_policy
from torch.nn.functional import scaled_dot_product_attention

from azr_mini import packed_batch, packing
from azr_mini.packed_batch import in_micro_batches, share_prompts
from azr_mini.packing import EMPTY, SHARED, as_mask, dense_attention, visible
from azr_mini.sampler import Sampler


def scored(architecture):
    policy = tiny_policy(architecture)
    logprobs, entropies, _ = policy.logprobs(*rows_that_share_prompts(seed=13))
    logprobs.sum().backward()
    return logprobs.detach(), entropies.detach(), [p.grad for p in policy.parameters()]


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])  # 1, 2, 4 heads share keys
def test_copied_keys_give_what_rows_of_the_mask_give(architecture, monkeypatch):
    folded, asked = scored(architecture), []
    monkeypatch.setattr(packing, "copies_keys", lambda *_: asked.append(1) or True)
    copied = scored(architecture)
    assert bool(asked) == (architecture != "llama")
    torch.testing.assert_close(copied, folded, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_entries_of_one_attempt_need_no_mask_on_a_gpu(architecture, monkeypatch):
    alone, sharing = rows_that_share_prompts(seed=3, attempts=1), rows_that_share_prompts(seed=3)
    policy, causal = tiny_policy(architecture), []

    def attention(queries, keys, values, is_causal=False, **others):
        causal.append(is_causal)
        return scaled_dot_product_attention(queries, keys, values, is_causal=is_causal, **others)

    def scored_and_learned(rows):
        logprobs, _, mask = policy.logprobs(*rows)
        gradients = torch.autograd.grad(logprobs[mask].mean(), policy.parameters())
        return logprobs.detach(), *gradients

    masked = scored_and_learned(alone)
    monkeypatch.setattr(packing, "copies_keys", lambda *_: True)
    monkeypatch.setattr(packing, "scaled_dot_product_attention", attention)
    torch.testing.assert_close(scored_and_learned(alone), masked, atol=1e-5, rtol=1e-5)
    assert causal and all(causal)
    causal.clear()
    scored_and_learned(sharing)
    assert causal and not any(causal)


def test_prompts_that_enter_need_no_mask_on_a_gpu(monkeypatch):
    policy, causal = tiny_policy("qwen2"), []
    asked = {"seeds": [1, 2], "num_completions": 2, "max_new_tokens": 6}
    prompts = [[5, 6, 7, 8, 9], [10, 11]]
    masked = Sampler(policy).generate(prompts, **asked)

    def attention(*arguments, is_causal=False, **others):
        causal.append(is_causal)
        return scaled_dot_product_attention(*arguments, is_causal=is_causal, **others)

    monkeypatch.setattr(packing, "copies_keys", lambda _, grid: not grid.chunks)
    monkeypatch.setattr(packing, "scaled_dot_product_attention", attention)
    found = Sampler(policy).generate(prompts, **asked)
    assert any(causal) and not all(causal)
    for mine, theirs in zip(found, masked, strict=True):
        assert [c.ids for c in mine] == [c.ids for c in theirs]
        for a, b in zip(mine, theirs, strict=True):
            assert a.logprobs == pytest.approx(b.logprobs, abs=1e-5)


def test_wider_masks_change_nothing(monkeypatch):
    exact = scored("qwen2")
    widths = []
    monkeypatch.setattr(packed_batch, "column_multiple", lambda device: 8)
    monkeypatch.setattr(
        packed_batch,
        "as_mask",
        lambda seen, dtype: widths.append(seen.shape[1]) or as_mask(seen, dtype),
    )
    wide = scored("qwen2")
    assert widths and all(width % 8 == 0 for width in widths)
    torch.testing.assert_close(wide, exact, atol=1e-5, rtol=1e-5)


def test_a_cpu_takes_neither_branch():
    queries = torch.zeros(1, 4, 3, 8)
    grid = packing.Packing(torch.zeros(1), torch.zeros(1, 1, 3, 3))
    assert not packing.copies_keys(queries, grid)
    assert packed_batch.column_multiple(torch.device("cpu")) == 1
    assert packed_batch.column_multiple(torch.device("cuda")) == 8


def test_a_gpu_folds_heads_only_where_it_generates():
    queries = torch.zeros(1, 4, 3, 8, device="meta")
    on_gpu = type("OnGpu", (), {"device": torch.device("cuda")})()
    assert not packing.copies_keys(queries, packing.Packing(queries, queries))
    assert packing.copies_keys(on_gpu, packing.Packing(queries, queries))
    assert not packing.copies_keys(on_gpu, packing.Packing(queries, queries, chunks=((1, 8),)))


def test_a_query_sees_the_prompt_and_its_own():
    owners = torch.tensor([[SHARED, SHARED, 1, 2, EMPTY]])
    queries = torch.tensor([[SHARED, 1, 2]])
    assert visible(owners, queries).tolist() == [
        [
            [True, True, False, False, False],
            [True, True, True, False, False],
            [True, True, False, True, False],
        ]
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_query_that_may_see_nothing_is_a_number(dtype):
    torch.manual_seed(0)
    mask = as_mask(torch.zeros(1, 2, 3, dtype=torch.bool), dtype)
    queries, (keys, values) = torch.randn(1, 1, 2, 4), torch.randn(2, 1, 1, 3, 4)
    found = dense_attention(*(x.to(dtype) for x in (queries, keys, values)), mask, None)
    assert found.isfinite().all()


def test_a_row_shares_its_prompt_where_that_is_cheaper_by_hand():
    """Of 10 tokens; a pair costs 0.05. What nothing follows, the last token, is no input.

    4 more after 14: 4 + 0.05 (18^2 - 14^2) = 10.4, alone 14 + 0.05 * 14^2 = 23.8; a third time
    4 + 0.05 (22^2 - 18^2) = 12. 100 after 22: 100 + 0.05 (122^2 - 22^2) = 820, alone 715.
    """
    prompts, completions = [[7] * 10] * 4, [[8] * 5, [8] * 101, [8] * 5, [8] * 5]
    assert share_prompts(prompts, completions, 0.05) == [[0, 2, 3], [1]]
    assert share_prompts(prompts, completions, 0.0) == [[0, 2, 3, 1]]
    assert share_prompts(prompts, completions, 0.05, max_tokens=18) == [[0, 2], [3], [1]]


def test_padding_counts_where_there_is_a_grid():
    prompts, completions = [[n] * n for n in (60, 20, 19)], [[7]] * 3
    assert in_micro_batches(prompts, completions, 1.0, 150) == [[0, 1], [2]]  # 3 * 60 > 150
    assert in_micro_batches(prompts, completions, 1.0, 180) == [[0, 1, 2]]
