"""The branches of attention that a GPU takes, on a CPU."""

import pytest
import torch
from test_policy import rows_that_share_prompts
from tiny_models import tiny_policy

from azr_mini import packing
from azr_mini.packing import EMPTY, SHARED, as_mask, visible


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


def test_wider_masks_change_nothing(monkeypatch):
    exact = scored("qwen2")
    widths = []
    monkeypatch.setattr(packing, "column_multiple", lambda device: 8)
    monkeypatch.setattr(
        packing, "as_mask", lambda seen, dtype: widths.append(seen.shape[1]) or as_mask(seen, dtype)
    )
    wide = scored("qwen2")
    assert widths and all(width % 8 == 0 for width in widths)
    torch.testing.assert_close(wide, exact, atol=1e-5, rtol=1e-5)


def test_a_cpu_takes_neither_branch():
    queries = torch.zeros(1, 4, 3, 8)
    grid = packing.Packing(torch.zeros(1), torch.zeros(1, 1, 3, 3))
    assert not packing.copies_keys(queries, grid)
    assert packing.column_multiple(torch.device("cpu")) == 1
    assert packing.column_multiple(torch.device("cuda")) == 8


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
