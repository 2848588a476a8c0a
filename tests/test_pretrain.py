"""Pre-training: what it reads is decided by seed and pool, processes agree, the result loads."""

import itertools
import json
import subprocess
import sys

import pytest
import torch

from azr_mini.__main__ import main
from azr_mini.nano import batches as reading
from azr_mini.nano.pretrain import PretrainConfig, learning_rate_at, loss_of, make_model
from azr_mini.nano.tokenizer import build_tokenizer
from azr_mini.policy import load_policy
from azr_mini.sampler import Sampler


@pytest.fixture
def small_pools(monkeypatch):
    monkeypatch.setattr(reading, "POOL", 64)


def stream(pool: int, seen: int):
    config = PretrainConfig(tokens=100_000, batch_tokens=1024)
    return reading.batches(build_tokenizer(), config, frozenset(), pool, seen)


def test_going_on_after_a_pool_reads_what_the_unbroken_run_reads(small_pools):
    whole = list(itertools.islice(stream(0, 0), 30))
    seen = sum(int((ids != 0).sum()) for pool, ids, _ in whole if pool == 0)
    later = [(ids, weights) for pool, ids, weights in whole if pool == 1]
    assert later
    for (ids, weights), (pool, new_ids, new_weights) in zip(later, stream(1, seen), strict=False):
        assert pool == 1 and torch.equal(ids, new_ids) and torch.equal(weights, new_weights)


def test_only_completions_are_learned_and_their_end_is(small_pools):
    tokenizer = build_tokenizer()
    for _, ids, weights in itertools.islice(stream(0, 0), 5):
        assert torch.all((weights > 0).sum(dim=1) >= 3)
        assert torch.all(weights[ids == tokenizer.eos_token_id] > 0)
        assert torch.all(weights[ids == tokenizer.pad_token_id] == 0)
        for tag in ("<solve>", "<propose>", "<program>"):
            first = ids[:, 0] == tokenizer.convert_tokens_to_ids(tag)
            assert torch.all(weights[first, 0] == 0)


def test_padding_does_not_change_the_loss():
    model = make_model(PretrainConfig(hidden_size=64, num_layers=1, intermediate_size=64), 512)
    ids = torch.randint(2, 400, (3, 20))
    weights = torch.rand(3, 20)
    padded = torch.nn.functional.pad(ids, (0, 12)), torch.nn.functional.pad(weights, (0, 12))
    torch.testing.assert_close(loss_of(model, ids, weights), loss_of(model, *padded))


def test_the_learning_rate_warms_up_and_decays():
    assert learning_rate_at(0.0) == 0.0 and learning_rate_at(0.3) == 1.0
    rates = [learning_rate_at(p / 100) for p in range(60, 101)]
    assert rates == sorted(rates, reverse=True) and rates[-1] == 0.02


def test_the_recipe_moves_from_easy_to_hard_and_stays_a_distribution():
    config = PretrainConfig(curriculum=0.5)
    recipes = [reading.recipe_at(progress, config) for progress in (0.0, 0.25, 0.5, 1.0)]
    assert recipes[0].operations == reading.EASY.operations
    assert recipes[2] == recipes[3] and recipes[3].operations == reading.HARD.operations
    for recipe in recipes:
        assert sum(recipe.operations) == pytest.approx(1) and sum(recipe.mix) == pytest.approx(1)


def test_the_command_lowers_the_loss_and_writes_a_model_with_its_record(small_pools, tmp_path):
    out = tmp_path / "base"
    words = ["pretrain-nano", "--out", str(out), "--tokens", "40000", "--batch-tokens", "1024"]
    words += ["--hidden-size", "64", "--num-layers", "1", "--intermediate-size", "64"]
    assert main(words) == 0
    record = json.loads((out / "pretraining.json").read_text(encoding="utf-8"))
    assert record["tokens"] >= 40_000 and record["loss"] < 6.0  # 6.2 is the loss of guessing
    assert record["command"] == " ".join(["python -m azr_mini", *words])
    assert main([*words, "--resume"]) == 0  # nothing is left to do, and the record stays
    assert json.loads((out / "pretraining.json").read_text(encoding="utf-8")) == record
    policy = load_policy(str(out))
    prompt = policy.encode("<solve><deduction><program>def f(a):\n    return a<input>3")
    ((completion,),) = Sampler(policy).generate([prompt], seeds=[0], max_new_tokens=5)
    assert 1 <= len(completion.ids) <= 5


SHARE = """
import pathlib, sys, torch
from azr_mini.nano.processes import first_ones, process_group, rank, share_gradients
with process_group():
    layer = torch.nn.Linear(2, 1)
    for p in layer.parameters():
        p.grad = torch.full_like(p, 1.0 + 2.0 * rank())
    tokens = share_gradients(layer, 10 + rank())
    assert tokens == 21, tokens
    assert all(torch.all(p.grad == 2.0) for p in layer.parameters())
    assert first_ones(5.0 + rank()) == 5.0
pathlib.Path(sys.argv[1], f"agreed {rank()}").touch()
"""


@pytest.mark.slow
def test_two_processes_share_the_mean_gradient_and_stop_together(tmp_path):
    script = tmp_path / "share.py"
    script.write_text(SHARE, encoding="utf-8")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launch += [str(script), str(tmp_path)]
    done = subprocess.run(launch, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {path.name for path in tmp_path.glob("agreed *")} == {"agreed 0", "agreed 1"}
