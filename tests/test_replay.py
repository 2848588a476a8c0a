"""Replayed decoding steps against steps that are run one by one."""

import random

import pytest
import torch
from tape import TapeCapture
from tiny_models import in_four_bits, tiny_policy

from azr_mini import running
from azr_mini.decoding import Decoder
from azr_mini.replay import CudaGraphs, Recorder, recorder_for
from azr_mini.running import RunningBatch
from azr_mini.sampler import Sampler

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def prompts(count=6, seed=0):
    rng = random.Random(seed)
    return [[rng.randrange(2, 300) for _ in range(rng.randint(1, 30))] for _ in range(count)]


def sample(policy, recorder, max_batch=256, **settings):
    """All completions, with steps recorded by `recorder` or all run."""
    sampler = Sampler(policy, max_batch)
    sampler.recorder = recorder
    settings = {"num_completions": 4, "max_new_tokens": 70} | settings
    found = sampler.generate(prompts(), seeds=range(6), **settings)
    return [completion for row in found for completion in row]


def assert_equal(replayed, run, tolerance=1e-5):
    assert [c.ids for c in replayed] == [c.ids for c in run]
    assert [c.truncated for c in replayed] == [c.truncated for c in run]
    for one, other in zip(replayed, run, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=tolerance)


@pytest.mark.parametrize("eos_bias", [0, 4.5], ids=["all are long", "most end early"])
@pytest.mark.parametrize("max_batch", [5, 256], ids=["in waves", "all at once"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_replayed_completions_are_those_of_steps_that_run(architecture, max_batch, eos_bias):
    policy = tiny_policy(architecture, eos_bias=eos_bias)
    capture = TapeCapture()
    replayed = sample(policy, Recorder(capture), max_batch)
    assert_equal(replayed, sample(policy, None, max_batch))
    assert sum(capture.replays) > 2 * len(capture.replays)


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"num_completions": 1}], ids=str)
def test_greedy_and_single_completions_are_the_same_too(settings):
    policy = tiny_policy("qwen2", eos_bias=4.5, seed=3)
    run = sample(policy, None, **settings)
    assert_equal(sample(policy, Recorder(TapeCapture()), **settings), run)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_layers_in_four_bits_with_an_adapter_are_replayed(architecture):
    policy = in_four_bits(tiny_policy(architecture))
    capture = TapeCapture()
    replayed = sample(policy, Recorder(capture), max_new_tokens=20)
    assert_equal(replayed, sample(policy, None, max_new_tokens=20))
    assert capture.replays


def started(capture, rows=3):
    """A running batch of two prompts after its first step, and that step's logits."""
    batch = RunningBatch(tiny_policy("qwen2"), Recorder(capture))
    first = batch.admit([[5, 6, 7], [8, 9]], [range(rows), range(rows, 2 * rows)])
    batch.take(first.argmax(dim=1), torch.zeros(2 * rows, dtype=torch.bool))
    return batch, batch.decode()


@torch.inference_mode()
def test_each_rebuild_records_once_and_nothing_older_is_replayed(monkeypatch):
    """By steps, by rows that end, and by prompts that enter; the tape itself checks the latter."""
    monkeypatch.setattr(running, "REPLAYED", running.Rebuilds(16, 0.5))
    capture = TapeCapture()
    batch, logits = started(capture)
    for step in range(40):
        done = torch.zeros(len(logits), dtype=torch.bool)
        done[:2] = step in (5, 6)  # four of six
        batch.take(logits.argmax(dim=1), done)
        logits = batch.decode()
    assert capture.replays[0] == 7  # the seventh step had four rows, the next two
    assert capture.replays[1:] == [16, 16, 2], capture.replays
    new = batch.admit([[4]], [range(6, 7)])
    batch.take(new.argmax(dim=1), torch.zeros(1, dtype=torch.bool))
    assert len(batch.decode()) == 3 and capture.replays[-1] == 1


@torch.inference_mode()
def test_steps_may_reach_fewer_slots_than_there_are():
    """Entries of unlike prompts and attempts: the full steps of one end before its last slots."""
    found = []
    for recorder in (Recorder(TapeCapture()), None):
        batch = RunningBatch(tiny_policy("qwen2"), recorder)
        logits = batch.admit([[*range(20, 40)], [8, 9]], [range(1), range(1, 13)])
        for _ in range(4):
            batch.take(logits.argmax(dim=1), torch.zeros(13, dtype=torch.bool))
            logits = batch.decode()
        found.append(logits)
        if batch.fixed:
            assert batch.fixed.packing.mask.shape[-1] < batch.store.capacity
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_a_row_that_ended_writes_nothing_new():
    batch, logits = started(TapeCapture())
    batch.take(logits.argmax(dim=1), torch.tensor([False, True] + [False] * 4))
    owners, fixed = batch.owners.clone(), batch.fixed
    kept = {layer: [x.clone() for x in pair] for layer, pair in batch.store.layers.items()}
    assert len(batch.decode()) == 5 and batch.fixed is fixed
    marked = (batch.owners != owners).nonzero()
    assert batch.owners[tuple(marked.T)].tolist() == [1, 3, 1, 2, 3]
    slots = set((marked[:, 0] * batch.store.capacity + marked[:, 1]).tolist())
    for layer, pair in batch.store.layers.items():
        for old, new in zip(kept[layer], pair, strict=True):
            changed = (old != new).flatten(1).any(dim=1).nonzero()[:, 0].tolist()
            assert set(changed) == slots


@torch.inference_mode()
def test_logits_outlive_the_next_step():
    batch, logits = started(TapeCapture())
    before = logits.clone()
    batch.take(logits.argmax(dim=1), torch.zeros(6, dtype=torch.bool))
    assert not torch.equal(batch.decode(), before) and torch.equal(logits, before)


def test_a_step_that_cannot_be_recorded_is_run_and_this_is_said_once():
    policy, said, tried = tiny_policy(eos_bias=4.5), [], []

    def capture(step):
        step()
        tried.append(step)
        try:
            raise RuntimeError("operation not permitted\nCUDA kernel errors might be")
        except RuntimeError:
            raise RuntimeError("a previous error during capture")  # noqa: B904

    recorder = Recorder(capture, said.append)
    run = sample(policy, None, 5)
    assert_equal(sample(policy, recorder, 5), run)
    assert_equal(sample(policy, recorder, 5), run)
    assert len(tried) == 1
    assert said == ["decoding without CUDA graphs, which is slower: operation not permitted"]


def test_a_step_in_which_python_reads_a_number_is_not_recorded(monkeypatch):
    call, said = Decoder.__call__, []
    monkeypatch.setattr(
        Decoder, "__call__", lambda self, ids, *rest: int(ids[0]) and call(self, ids, *rest)
    )
    policy = tiny_policy()
    run = sample(policy, None, max_new_tokens=5)
    assert_equal(sample(policy, Recorder(TapeCapture(), said.append), max_new_tokens=5), run)
    assert len(said) == 1


def test_the_models_own_code_is_not_recorded():
    policy, capture = tiny_policy("llama", hidden_act="gelu"), TapeCapture()
    assert sample(policy, Recorder(capture), max_new_tokens=5) == sample(
        policy, None, max_new_tokens=5
    )
    assert not capture.replays


def test_a_cpu_records_nothing():
    assert recorder_for(torch.device("cpu")) is None
    assert Sampler(tiny_policy()).recorder is None


# ---- on a GPU -----------------------------------------------------------------------------------


@on_gpu
@pytest.mark.parametrize("max_batch", [5, 256], ids=["in waves", "all at once"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_graphs_write_what_steps_that_run_write(architecture, max_batch):
    policy = tiny_policy(architecture, eos_bias=4.5)
    policy.model.to("cuda")
    said = []
    recorder = Recorder(CudaGraphs(policy.device), said.append)
    assert_equal(sample(policy, recorder, max_batch), sample(policy, None, max_batch), 1e-4)
    assert recorder.works, said


@on_gpu
def test_the_memory_of_a_graph_goes_back():
    policy = tiny_policy(eos_bias=4.5)
    policy.model.to("cuda")
    held = []
    for _ in range(3):
        sample(policy, Recorder(CudaGraphs(policy.device)))
        torch.cuda.empty_cache()
        held.append(torch.cuda.memory_reserved())
    assert held[1] == held[2]


@on_gpu
def test_a_failed_capture_leaves_the_gpu_as_it_was():
    policy, said = tiny_policy(eos_bias=4.5), []
    policy.model.to("cuda")
    graphs, stream = CudaGraphs(policy.device), torch.cuda.current_stream()

    def capture(step):
        return graphs(lambda: step()[int(policy.stop_ids[0] * torch.ones((), device="cuda")) :])

    run = sample(policy, None, 5)
    graphs.is_warm = True  # so that the capture itself meets what it may not do
    assert_equal(sample(policy, Recorder(capture, said.append), 5), run, 1e-4)
    assert len(said) == 1 and torch.cuda.current_stream() == stream
    assert torch.randn(3, device="cuda").isfinite().all()  # no longer captured
