"""vLLM as a sampler: what it is asked for, and, where it is installed, what it answers.

Where it is not, the second half is skipped; docs/results/vllm_cpu.json has a recorded run of it.
"""

import os
import signal
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.util import find_spec
from shutil import copytree
from types import SimpleNamespace

import pytest
import torch
from tiny_models import byte_tokenizer, tiny_model

from azr_mini.config import Config
from azr_mini.policy import load_policy
from azr_mini.sampler import Completion, Sampler
from azr_mini.sampler_vllm import (
    VllmSampler,
    completion,
    engine_options,
    import_vllm,
    requests,
    row_seed,
)
from azr_mini.samplers import make_sampler

CONFIG = Config(
    sampler="vllm",
    lora_rank=4,
    dtype="float32",
    batch_size=2,
    num_attempts=2,
    num_steps=3,
    max_prompt_tokens=200,
    max_new_tokens=40,
    learning_rate=1e-2,
    heldout_path="",
)


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """A random Qwen2 in a folder, loaded with a fresh adapter."""
    folder = tmp_path_factory.mktemp("qwen2")
    tiny_model(
        "qwen2", hidden_size=256, head_dim=64, initializer_range=0.05, max_position_embeddings=256
    ).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    torch.manual_seed(0)
    return load_policy(str(folder), lora_rank=4, dtype="float32", device="cpu")


# ---- what vLLM is asked for


def asked(prompt_ids, seeds, num_completions=1, **changes):
    """The requests with everything not given as it is in a run."""
    settings = {"max_new_tokens": 9, "max_positions": 16, "temperature": 1.0, "top_p": 1.0}
    return requests(prompt_ids, seeds, num_completions, (1, 7), **settings | changes)


def test_there_is_a_request_for_each_row_of_each_prompt_in_order():
    prompts, settings = asked([[5, 6], [8]], [3, 4], num_completions=3, temperature=0.7, top_p=0.9)
    assert [p["prompt_token_ids"] for p in prompts] == [[5, 6]] * 3 + [[8]] * 3
    assert [s["seed"] for s in settings] == [row_seed(s, row) for s in (3, 4) for row in range(3)]
    assert {(s["temperature"], s["top_p"]) for s in settings} == {(0.7, 0.9)}


def test_every_request_ends_at_a_stop_token_and_reports_the_chosen_token_alone():
    _, settings = asked([[5]], [0])
    (only,) = settings
    assert only["stop_token_ids"] == [1, 7] and only["logprobs"] == 0 and not only["detokenize"]


def test_prompt_and_completion_never_exceed_the_positions():
    _, settings = asked([[5] * 4, [5] * 12, [5] * 15], [0, 0, 0])
    assert [s["max_tokens"] for s in settings] == [9, 4, 1]


def test_seeds_of_rows_depend_on_both_numbers():
    seeds = [row_seed(seed, row) for seed in (0, 1, 2**63 - 1) for row in (0, 1, 10, 11)]
    assert len(set(seeds)) == 12 and all(0 <= seed < 2**63 for seed in seeds)
    assert row_seed(1, 11) != row_seed(11, 1)
    assert seeds[0] == row_seed(0, 0)


def test_a_completion_keeps_the_stop_token_and_its_log_probability():
    def written(*ids):
        at = [{i: SimpleNamespace(logprob=-float(i)), 99: SimpleNamespace(logprob=0)} for i in ids]
        return completion(SimpleNamespace(token_ids=list(ids), logprobs=at), (1, 7))

    assert written(4, 5, 7) == Completion((4, 5, 7), (-4.0, -5.0, -7.0), False)
    assert written(4, 5) == Completion((4, 5), (-4.0, -5.0), True)


def test_the_engine_gets_base_adapter_arithmetic_and_lengths_of_the_run(policy):
    options = engine_options(policy, CONFIG)
    assert options["model"] == policy.name and options["dtype"] == "float32"
    assert options["max_model_len"] == 240 and options["max_num_seqs"] == 12
    assert options["enable_lora"] and options["max_lora_rank"] == 8  # the smallest it has for 4
    assert options["logprobs_mode"] == "raw_logprobs" and "quantization" not in options
    longer = replace(CONFIG, max_new_tokens=5000)
    assert engine_options(policy, longer)["max_model_len"] == policy.max_positions == 256


def test_keys_and_values_have_room_for_every_row_but_no_more_than_the_bound(policy):
    token = 2 * 2 * 2 * 64 * 4  # keys and values, layers, heads, head size, bytes
    assert engine_options(policy, CONFIG)["kv_cache_memory_bytes"] == 12 * 256 * token
    many = engine_options(policy, replace(CONFIG, batch_size=1000, max_new_tokens=5000))
    assert many["max_num_seqs"] == 256 and many["kv_cache_memory_bytes"] <= 2**30
    few = engine_options(policy, replace(CONFIG, max_batch=3))
    assert few["max_num_seqs"] == 3 and few["kv_cache_memory_bytes"] == 3 * 256 * token


def test_a_base_in_four_bits_is_asked_for_by_name(policy):
    config = replace(CONFIG, quantize="nf4", sampler_quantize="nf4")
    assert engine_options(policy, config)["quantization"] == "bitsandbytes"
    apart = engine_options(policy, replace(config, sampler_quantize=None))
    assert "quantization" not in apart  # a second model, in 16 bits


def test_all_weights_are_refused_in_one_sentence(policy):
    whole = load_policy(policy.name, dtype="float32", device="cpu")
    with pytest.raises(ValueError, match="all weights: give lora_rank"):
        engine_options(whole, CONFIG)


def test_a_rank_beyond_what_vllm_has_is_named(policy):
    high = load_policy(policy.name, lora_rank=513, dtype="float32", device="cpu")
    with pytest.raises(ValueError, match="lora_rank is 513.*at most 512"):
        engine_options(high, CONFIG)


def test_the_engine_lives_in_this_process_whatever_the_user_has_set(monkeypatch):
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    with suppress(ImportError):
        import_vllm()
    assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert os.environ["VLLM_LOGGING_LEVEL"] == "DEBUG"


# ---- what vLLM answers

needs_vllm = pytest.mark.skipif(
    find_spec("vllm") is None, reason="vllm is not installed: its recorded run is in docs/results"
)


@pytest.fixture(scope="module")
def vllm_sampler(policy):
    """One engine for almost all tests."""
    pytest.importorskip("vllm", reason="vllm is not installed")
    sampler = make_sampler(policy, CONFIG, tell=pytest.fail)
    assert sampler.differs
    return sampler


def give_adapter(policy, seed):
    """Another adapter, large enough to change what is likely."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))


def largest_gap(policy, prompts, completions):
    """The largest distance of a sampled token's log-probability to the learner's."""
    rows = [(p, c) for p, cs in zip(prompts, completions, strict=True) for c in cs]
    with torch.no_grad():
        logprobs, _, _ = policy.logprobs([p for p, _ in rows], [c.ids for _, c in rows])
    return max(
        (logprobs[i, : len(c.ids)] - torch.tensor(c.logprobs)).abs().max().item()
        for i, (_, c) in enumerate(rows)
    )


PROMPTS = [[20 + i] * 3 + list(range(30, 70 + i)) for i in range(3)]
ASKED = {"seeds": [7, 8, 9], "num_completions": 4, "max_new_tokens": 30}


@needs_vllm
def test_greedy_tokens_are_those_of_the_torch_sampler(policy, vllm_sampler):
    for seed in (1, 2):
        give_adapter(policy, seed)
        vllm_sampler.refresh()
        both = [
            s.generate(PROMPTS, **ASKED, temperature=0) for s in (vllm_sampler, Sampler(policy))
        ]
        assert [[c.ids for c in cs] for cs in both[0]] == [[c.ids for c in cs] for cs in both[1]]


@needs_vllm
@pytest.mark.parametrize("temperature, top_p", [(1.0, 1.0), (0.6, 0.8), (0.0, 1.0)])
def test_log_probabilities_are_the_policys_own(policy, vllm_sampler, temperature, top_p):
    vllm_sampler.refresh()
    found = vllm_sampler.generate(PROMPTS, **ASKED, temperature=temperature, top_p=top_p)
    assert largest_gap(policy, PROMPTS, found) < 1e-4


@needs_vllm
def test_one_prompt_follows_the_adapter_that_is_there(policy, vllm_sampler):
    """A, B, A: keys and values kept of another adapter would show."""
    seen = []
    for seed in (1, 2, 1):
        give_adapter(policy, seed)
        vllm_sampler.refresh()
        seen.append(vllm_sampler.generate(PROMPTS, **ASKED))
        assert largest_gap(policy, PROMPTS, seen[-1]) < 1e-4
    assert seen[0] == seen[2] != seen[1]


@needs_vllm
def test_adapters_of_the_past_leave_no_folder(vllm_sampler):
    before = vllm_sampler._adapters.name
    vllm_sampler.refresh()
    assert not os.path.exists(before) and os.path.exists(vllm_sampler._adapters.name)


@needs_vllm
def test_the_same_call_gives_the_same_and_rows_differ(policy, vllm_sampler):
    first, again = (vllm_sampler.generate(PROMPTS, **ASKED) for _ in range(2))
    assert first == again
    assert all(len({c.ids for c in cs}) > 1 for cs in first)
    alone = vllm_sampler.generate(PROMPTS[1:2], seeds=[8], num_completions=1, max_new_tokens=30)
    assert alone[0][0].ids == first[1][0].ids


@needs_vllm
def test_completions_end_at_stop_tokens_or_at_the_limit(policy, vllm_sampler):
    found = vllm_sampler.generate(PROMPTS, **{**ASKED, "num_completions": 40})
    completions = [c for cs in found for c in cs]
    for c in completions:
        assert c.truncated == (c.ids[-1] not in policy.stop_ids)
        assert not set(c.ids[:-1]) & set(policy.stop_ids) and len(c.ids) == len(c.logprobs)
        assert len(c.ids) == 30 or not c.truncated
    assert {c.truncated for c in completions} == {True, False}
    long = [[25] * 238]
    (((last),),) = vllm_sampler.generate(long, seeds=[0], max_new_tokens=30, temperature=0)
    assert len(last.ids) <= 2
    with pytest.raises(ValueError, match="for 240 positions: raise max_prompt_tokens"):
        vllm_sampler.generate([[25] * 240], seeds=[0], max_new_tokens=1)
    with pytest.raises(ValueError, match="the model only 256 positions"):
        vllm_sampler.generate([[25] * 256], seeds=[0], max_new_tokens=1)


@contextmanager
def alarm(seconds):
    """After so many seconds TimeoutError, as Ctrl-C would come: between any two operations."""

    def ring(number, frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@needs_vllm
def test_it_sleeps_whenever_it_does_not_write_and_a_call_that_was_cut_is_its_last(vllm_sampler):
    """A CPU frees nothing, but the engine stops, forgets its prefixes and goes on all the same.

    Cut in the middle it would wait for ever for rows that nobody computes.
    """
    sleeper = VllmSampler(vllm_sampler.policy, CONFIG, sleep=True)

    def sleeps():
        return sleeper._engine.llm_engine.is_sleeping()

    assert sleeps()
    vllm_sampler.refresh()
    awake = vllm_sampler.generate(PROMPTS, **ASKED)
    for _ in range(2):
        assert sleeper.generate(PROMPTS, **ASKED) == awake and sleeps()
    with pytest.raises(TimeoutError), alarm(0.2):
        sleeper.generate(PROMPTS, **{**ASKED, "num_completions": 100})
    assert sleeps()
    with pytest.raises(ValueError, match="make a new sampler"), alarm(60):
        sleeper.generate(PROMPTS, **ASKED)
    assert vllm_sampler.generate(PROMPTS, **ASKED) == awake  # another engine is not harmed


@needs_vllm
def test_an_engine_that_does_not_start_is_named_and_torch_samples(policy, tmp_path):
    copytree(policy.name, tmp_path / "base")
    lost = load_policy(str(tmp_path / "base"), lora_rank=4, dtype="float32", device="cpu")
    (tmp_path / "base" / "model.safetensors").unlink()
    said = []
    sampler = make_sampler(lost, CONFIG, tell=said.append)
    assert type(sampler) is Sampler
    (sentence,) = said
    assert "torch instead of vllm: it did not start (RuntimeError: " in sentence
    assert "\n" not in sentence
    torch.set_num_threads(1)
    assert torch.get_num_threads() == 1


@needs_vllm
def test_the_number_of_threads_can_still_be_set(vllm_sampler):
    torch.set_num_threads(2)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert torch.get_num_threads() == 1


@needs_vllm
def test_three_steps_of_train_agree_with_vllm_after_every_update(policy, vllm_sampler):
    from azr_mini.buffer import TripleBuffer
    from azr_mini.resources import data_path
    from azr_mini.sandbox import Executor
    from azr_mini.tasks import load_seed_tasks
    from azr_mini.train import TrainState, train

    buffer = TripleBuffer()
    for task in load_seed_tasks(data_path("seed_triples.json")):
        buffer.add(task)
    state = TrainState(policy, torch.optim.SGD(policy.parameters(), lr=1.0), buffer)
    before = [p.detach().clone() for p in policy.parameters()]
    vllm_sampler.refresh()
    # random weights earn one and the same reward: advantages that differ move them all the same
    with Executor(workers=1) as executor:
        steps = list(
            train(
                CONFIG, state, executor, sampler=vllm_sampler,
                advantages=lambda rewards, groups: torch.arange(len(rewards)) % 2 - 0.5,
            )
        )  # fmt: skip
    assert len(steps) == 3
    for step in steps:
        assert step.metrics["logp_gap"] < 1e-4 and step.metrics["importance_capped"] == 0
    assert any(
        not torch.equal(old, new) for old, new in zip(before, policy.parameters(), strict=True)
    )
