"""Each part of the estimate against what tiny models really hold."""

import gzip
import json
from dataclasses import replace

import pytest
import torch
from live_memory import LiveMemory
from tiny import tiny_policy as nano_tiny_policy
from tiny_models import byte_tokenizer, tiny_model

from azr_mini import (
    decoding,
    held_memory,
    packing,
    replay,
    running,
    sampler,
    sampler_vllm,
    segments,
    working_memory,
)
from azr_mini.config import Config
from azr_mini.estimate import estimate
from azr_mini.lean import lean_layers
from azr_mini.policy import Policy, load_policy
from azr_mini.presets import PRESETS
from azr_mini.recompute import recomputed_layers
from azr_mini.resources import data_path
from azr_mini.shapes import KNOWN, shape_of
from azr_mini.train import TrainState

WAYS = {
    "all weights": {},
    "adapter": {"lora_rank": 4},
    "4 bits": {"lora_rank": 4, "quantize": "nf4"},
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
architectures = pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model of each architecture, its layers wide beside its vocabulary, as in large ones."""
    found = {}
    for name in ("llama", "qwen2", "qwen3"):
        folder = tmp_path_factory.mktemp(name)
        sizes = {"hidden_size": 256, "intermediate_size": 1024, "head_dim": 32}
        model = tiny_model(name, num_attention_heads=8, num_hidden_layers=4, **sizes)
        Policy(model, byte_tokenizer()).save(folder)
        found[name] = str(folder), shape_of(model.config)
    return found


def loaded(folder, dtype="float32", **way):
    """The policy, with a frozen base as small as on a GPU: on a CPU it would be float32."""
    policy = load_policy(folder, dtype=dtype, device="cpu", **way)
    for weight in policy.model.parameters():
        if not weight.requires_grad and weight.is_floating_point():
            weight.data = weight.data.to(policy.dtype)
    return policy


def held(model, adapter):
    """Bytes of the weights, 4-bit tables included, that belong to the adapter or do not."""
    storages = {}
    for name, weight in model.named_parameters():
        if ("lora_" in name) == adapter:
            state = getattr(weight, "quant_state", None)
            tables = (state.absmax, state.code, state.offset, *second(state)) if state else ()
            for tensor in (weight.data, *tables):
                storage = tensor.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def second(state):
    return state.state2.absmax, state.state2.code


@ways
@architectures
def test_what_stays_is_counted_to_the_byte(folders, architecture, way):
    folder, shape = folders[architecture]
    config = Config(model=folder, dtype="float32", device="cpu", max_prompt_tokens=64, **way)
    found = estimate(config, shape, "cpu")
    state = TrainState.create(config)
    model, parameters = state.policy.model, state.policy.parameters()
    assert found["weights"].sampling == found["weights"].learning == held(model, adapter=False)
    assert found["LoRA adapter"].learning == held(model, adapter=True)
    copy = state.reference.model.num_parameters() * 4 if state.reference else 0
    assert found["frozen copy of the base"].learning == copy

    logprobs, _, _ = state.policy.logprobs([[5, 6, 7]], [[8, 9]])
    logprobs.sum().backward()
    gradients = sum(p.grad.nbytes for p in parameters)
    assert found["gradients (sum and newest)"].learning == 2 * gradients
    state.optimizer.step()
    moments = [(s["exp_avg"], s["exp_avg_sq"]) for s in state.optimizer.state.values()]
    assert found["optimizer (two moments)"].learning == sum(m.nbytes for p in moments for m in p)


def test_nf4_takes_4_127_bits_of_each_weight():
    for inputs, outputs in KNOWN["Qwen/Qwen2.5-7B"].matrices:
        weights = inputs * outputs
        assert 8 * held_memory.nf4_bytes(weights) / weights == pytest.approx(4.127, abs=5e-3)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("way", [WAYS["all weights"], WAYS["adapter"]], ids=["all", "adapter"])
@architectures
def test_what_a_layer_saves_is_counted(tmp_path, architecture, way, dtype):
    prompt, completion, saved = [*range(10, 60)], [*range(10, 61)], {}
    for layers in (2, 3):
        model = tiny_model(architecture, num_hidden_layers=layers, num_key_value_heads=2)
        Policy(model, byte_tokenizer()).save(tmp_path / str(layers))
        policy = loaded(tmp_path / str(layers), dtype, **way)
        with lean_layers(policy):
            saved[layers] = saved_bytes(policy, prompt, completion)
    config = Config(dtype=dtype, **way)
    width = 2 if dtype == "float16" else 4
    tokens = len(prompt) + len(completion) - 1
    layer = working_memory.layer_activations(
        config, shape_of(model.config), width, "cpu", tokens, tokens
    )
    # of one row alone the values are still a part of their product with queries and keys
    assert layer == pytest.approx(saved[3] - saved[2], rel=0.08 if way else 0.02)


def saved_bytes(policy, prompt, completion):
    """Bytes of what the forward pass keeps for the backward pass, apart from the weights."""
    weights = {p.untyped_storage().data_ptr() for p in policy.model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        policy.logprobs([prompt], [completion])
    return sum(storage.nbytes() for storage in kept.values())


class Kept(torch.autograd.Function):
    """Keeps what a GPU's attention keeps, and computes nothing."""

    @staticmethod
    def forward(ctx, query, key, value):
        out = torch.zeros_like(query)
        ctx.save_for_backward(query, key, value, out, out[..., 0].float())
        return out

    @staticmethod
    def backward(ctx, gradient):
        return tuple(map(torch.zeros_like, ctx.saved_tensors[:3]))


@pytest.mark.parametrize("again", [False, True], ids=["all kept", "checkpointed"])
@pytest.mark.parametrize(("dtype", "device"), [("float32", "cpu"), ("float16", "cuda")])
@pytest.mark.parametrize("way", [WAYS["adapter"], WAYS["4 bits"]], ids=["adapter", "4 bits"])
@architectures
def test_a_pass_of_the_learner_takes_what_is_estimated(
    folders, architecture, way, dtype, device, again, monkeypatch
):
    folder, shape = folders[architecture]
    policy = loaded(folder, dtype, **way)
    if device == "cuda":  # the same operations as there, on a CPU
        monkeypatch.setattr(segments, "_kernel", lambda q, k, v, *_, **__: Kept.apply(q, k, v))
        policy.segmented = True
    prompt, completion = [*range(10, 60)], [*range(10, 161)]
    with lean_layers(policy):
        pass  # puts the matrices of the base where they stay
    with recomputed_layers(policy.base, again), LiveMemory() as live, lean_layers(policy):
        logprobs, _, _ = policy.logprobs([prompt], [completion])
        gradients = torch.autograd.grad(logprobs.sum(), policy.parameters())
    config = Config(
        dtype=dtype,
        gradient_checkpointing=again,
        max_prompt_tokens=len(prompt),
        max_new_tokens=len(completion),
        micro_batch_tokens=1,  # so the longest row decides
        **way,
    )
    width = 2 if dtype == "float16" else 4
    estimated = (
        working_memory.learning_activations(config, shape, width, device)
        + working_memory.learning_logits(config, shape, width)
        + sum(gradient.nbytes for gradient in gradients)
    )
    assert estimated == pytest.approx(live.peak, rel=0.15)


def test_before_ampere_the_mask_of_shared_prompts_and_copied_keys_are_counted(folders, monkeypatch):
    folder, shape = folders["qwen2"]
    policy = loaded(folder, "float16", lora_rank=4)
    policy.pair_cost = 0.0  # so that both completions share their prompt
    # as on such a GPU; what attention computes is not asked
    monkeypatch.setattr(packing, "copies_keys", lambda queries, packing: True)
    monkeypatch.setattr(
        packing, "scaled_dot_product_attention", lambda q, k, v, **_: Kept.apply(q, k, v)
    )
    prompts, completions = [[5] * 10] * 2, [[6] * 996] * 2
    with lean_layers(policy):
        pass  # puts the matrices of the base where they stay
    with recomputed_layers(policy.base, True), LiveMemory() as live, lean_layers(policy):
        logprobs, _, _ = policy.logprobs(prompts, completions)
        gradients = torch.autograd.grad(logprobs.sum(), policy.parameters())
    config = Config(
        dtype="float16", gradient_checkpointing=True, micro_batch_tokens=2000, lora_rank=4
    )

    def estimated(segmented):
        return (
            working_memory.learning_activations(config, shape, 2, "cuda", segmented)
            + working_memory.learning_logits(config, shape, 2)
            + sum(gradient.nbytes for gradient in gradients)
        )

    assert estimated(False) == pytest.approx(live.peak, rel=0.15)
    assert estimated(True) < 0.9 * live.peak  # and without them it is too little


def test_the_estimate_of_a_card_before_ampere_counts_its_mask():
    config = replace(PRESETS["gpu-16gb"], max_batch=8, micro_batch_tokens=16_384)
    shape = KNOWN[config.model]
    old, new = (estimate(config, shape, segmented=segmented) for segmented in (False, True))
    assert old.sampling == new.sampling
    mask = 2 * 16_384**2
    assert old.peak == old.learning > new.learning + mask


def test_logits_of_a_large_vocabulary_are_counted_in_chunks():
    config, shape = Config(micro_batch_tokens=8192), KNOWN["Qwen/Qwen2.5-7B"]
    chunk = working_memory.learning_logits(config, shape, 2)
    assert chunk == working_memory.LOGITS_CHUNK * shape.vocabulary * 22
    assert (
        working_memory.learning_logits(replace(config, micro_batch_tokens=16_384), shape, 2)
        == chunk
    )


# ---- sampling -----------------------------------------------------------------------------------


# steps for which a batch makes room at once, and what makes it do so
ways_to_step = pytest.mark.parametrize(
    ("steps", "recorder"),
    [
        (working_memory.STEPS_RUN, None),
        (working_memory.STEPS_REPLAYED, replay.Recorder(lambda step: step)),
    ],
    ids=["run", "replayed"],
)


def store_of(policy, prompts, lengths, max_batch=512, recorder=None):
    """The sampler's real store after rows of these lengths; lengths: a list a prompt.

    Prompts enter as in `Sampler.generate`, the longest last.
    """
    attempts = len(lengths[0])
    limits = torch.tensor([n for rows in lengths for n in rows])
    done = torch.zeros_like(limits)
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    waiting = [range(i * attempts, (i + 1) * attempts) for i in order]
    ids = [prompts[row // attempts] for row in range(len(limits))]
    batch, writer = running.RunningBatch(policy, recorder), sampler.Sampler(policy, max_batch)
    with torch.inference_mode():
        while waiting or len(batch.rows):
            entering = writer._entering(waiting, len(batch.rows), prompts, attempts)
            if entering:
                logits = batch.admit([ids[rows[0]] for rows in entering], entering)
                new = batch.rows[len(batch.rows) - len(logits) :]
            else:
                logits, new = batch.decode(), batch.rows
            done[new] += 1
            batch.take(torch.full((len(new),), 5), done[new] >= limits[new])
    return batch.store


@ways_to_step
@pytest.mark.parametrize(
    ("rows", "attempts", "prompt", "new"),
    [(16, 1, 30, 70), (16, 8, 30, 70), (24, 4, 100, 9), (5, 8, 7, 40), (60, 1, 900, 3)],
)
def test_the_store_of_full_rows_is_known_to_the_slot(rows, attempts, prompt, new, steps, recorder):
    policy = nano_tiny_policy()
    prompts = [[7] * prompt for _ in range(-(-rows // attempts))]
    lengths = [[new] * min(attempts, rows)] * len(prompts)
    store = store_of(policy, prompts, lengths, recorder=recorder)
    assert working_memory.store_slots(rows, attempts, prompt, new, steps) == store.size


@ways_to_step
def test_keys_and_values_are_those_of_the_store(steps, recorder):
    policy = nano_tiny_policy()
    config = Config(batch_size=1, max_batch=24, max_prompt_tokens=30, max_new_tokens=70)
    store = store_of(policy, [[7] * 30] * 3, [[70] * 8] * 3, recorder=recorder)
    kept = sum(tensor.nbytes for pair in store.layers.values() for tensor in pair)
    shape = shape_of(policy.model.config)
    moving = store.layers[0][0].nbytes + store.layers[0][1].nbytes
    device = "cuda" if recorder else "cpu"
    assert working_memory.key_value_bytes(config, shape, 4, device) == kept + moving


@ways_to_step
@pytest.mark.parametrize(("run", "most"), [("live-1", 2), ("live-0", 6)])
def test_recorded_rollouts_in_waves_take_at_most_the_estimate(run, most, steps, recorder):
    """And at least half of it; less where one row in a thousand is ten times as long as the rest,
    as in live-0, since the estimate lets every row be the longest.
    """
    policy = nano_tiny_policy()
    path = data_path("recorded_runs") / run / "rollouts.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rollouts = [r for r in map(json.loads, lines) if r["role"] == "solve"]
    taken = sorted({r["step"] for r in rollouts})
    for step in (taken[0], taken[2], taken[-2]):
        entries = {}
        for r in rollouts:
            if r["step"] == step:
                entry = (policy.tokenizer.encode(r["prompt"]), [])
                entry = entries.setdefault((r["type"], r["task_index"]), entry)
                entry[1].append(len(r["completion_ids"]))
        prompts, lengths = zip(*entries.values(), strict=True)
        longest = max(map(len, prompts)), max(map(max, lengths))
        slots = working_memory.store_slots(48, len(lengths[0]), *longest, steps, waves=True)
        size = store_of(policy, prompts, lengths, 48, recorder).size
        assert size <= slots <= most * size


def test_what_a_generation_casts_is_counted():
    """Without an adapter the sampler has its own weights, joined and cast."""
    policy = nano_tiny_policy()
    policy.dtype = torch.bfloat16
    shape = shape_of(policy.model.config)
    config = Config(dtype="bfloat16")
    decoder = decoding.forward_pass(policy)
    joined = [j for layer in decoder.layers for j in (layer.inputs, layer.output, layer.up)]
    joined += [layer.down for layer in decoder.layers] + [decoder.head]
    real = sum(j.weight.nbytes + (0 if j.bias is None else j.bias.nbytes) for j in joined)
    counted = held_memory.sampler_weight_bytes(config, shape, 2)
    assert real <= counted <= 1.1 * real


@pytest.mark.parametrize("way", [WAYS["adapter"], WAYS["4 bits"]], ids=["adapter", "4 bits"])
@architectures
def test_what_a_generation_with_an_adapter_holds_is_counted_to_the_byte(folders, architecture, way):
    folder, shape = folders[architecture]
    policy = loaded(folder, "bfloat16", **way)
    decoder = decoding.forward_pass(policy)
    theirs = {p.untyped_storage().data_ptr() for p in policy.model.parameters()}
    kept = {}
    for layer in decoder.layers:
        for joined in (layer.inputs, layer.output, layer.up, layer.down):
            scales = joined.packed[1].absmax if joined.packed else None
            for tensor in (joined.weight, *joined.adapter, scales, joined.bias):
                if tensor is not None and tensor.untyped_storage().data_ptr() not in theirs:
                    kept[tensor.data_ptr()] = tensor.nbytes
    config = Config(dtype="bfloat16", **way)
    assert held_memory.sampler_weight_bytes(config, shape, 2) == sum(kept.values())


@pytest.mark.parametrize(("prompt", "new"), [(400, 8), (20, 120)], ids=["prompts", "last steps"])
@pytest.mark.parametrize("way", [WAYS["adapter"], WAYS["4 bits"]], ids=["adapter", "4 bits"])
@architectures
def test_a_generation_takes_what_is_estimated(folders, architecture, way, prompt, new):
    """Whether its peak is when the prompts enter or in the last steps."""
    folder, shape = folders[architecture]
    policy = loaded(folder, "bfloat16", **way)
    policy.stop_ids = (-1,)
    config = Config(
        dtype="bfloat16", batch_size=4, num_attempts=8, max_prompt_tokens=prompt,
        max_new_tokens=new, **way,
    )  # fmt: skip
    prompts = [[5 + i] * prompt for i in range(12)]
    decoding.forward_pass(policy)  # puts the matrices of the base where they stay
    with LiveMemory() as live:
        sampler.Sampler(policy).generate(
            prompts, seeds=range(12), num_completions=8, max_new_tokens=new
        )
    moment = working_memory.sampling_moment(config, shape, 2, "cpu")
    estimated = moment.total + held_memory.sampler_weight_bytes(config, shape, 2)
    assert (moment.logits == 0) == (prompt > new)
    assert estimated == pytest.approx(live.peak, rel=0.15)


@pytest.mark.parametrize("way", [WAYS["adapter"], WAYS["4 bits"]], ids=["adapter", "4 bits"])
@architectures
def test_what_a_recorded_step_holds_is_counted(folders, architecture, way):
    """The step that a graph of the last tokens would hold, on a CPU."""
    folder, shape = folders[architecture]
    policy = loaded(folder, "bfloat16", **way)
    policy.stop_ids = (-1,)
    config = Config(
        dtype="bfloat16", batch_size=4, num_attempts=8, max_prompt_tokens=20, max_new_tokens=120,
        **way,
    )  # fmt: skip
    held = []

    def capture(step):
        with LiveMemory() as live:
            step()
        held.append(live.peak)
        return step

    writer = sampler.Sampler(policy)
    writer.recorder = replay.Recorder(capture)
    writer.generate([[5] * 20] * 12, seeds=range(12), num_completions=8, max_new_tokens=120)
    counted = working_memory.recorded_step(config, shape, 2)
    assert counted == pytest.approx(max(held), rel=0.15)


def test_vllm_holds_a_base_of_its_own_and_sleeps_while_the_learner_works():
    shape = KNOWN["Qwen/Qwen2.5-7B"]
    config = Config(lora_rank=16, quantize="nf4", sampler="vllm", max_batch=1000, batch_size=64)
    found = {
        held: estimate(replace(config, sampler_quantize=held), shape, memory=40e9)
        for held in (None, "nf4")
    }
    copy = "sampler's copy of the weights"
    assert found[None][copy].sampling == 2 * shape.parameters
    assert found["nf4"][copy].sampling == found["nf4"]["weights"].sampling
    for estimated in found.values():
        assert estimated[copy].learning == estimated["keys and values"].learning == 0
        free = 40e9 - estimated["weights"].sampling
        assert estimated["keys and values"].sampling == int(free // 4)


def test_vllm_is_counted_with_the_rows_and_the_cache_that_its_engine_is_asked_for(folders):
    folder, shape = folders["qwen2"]
    policy = load_policy(folder, lora_rank=4, dtype="float32", device="cpu")
    small = Config(
        lora_rank=4, dtype="float32", sampler="vllm", batch_size=2, max_prompt_tokens=64,
        max_new_tokens=64,
    )  # fmt: skip
    for config in (small, replace(small, max_batch=3), replace(small, batch_size=64)):
        options = sampler_vllm.engine_options(policy, config)
        assert working_memory.sampled_rows(config) == options["max_num_seqs"]
        counted = working_memory.sampling_moment(config, shape, 4, "cuda").keys_values
        assert counted == options["kv_cache_memory_bytes"]
    least = working_memory.sampling_moment(small, shape, 4, "cuda", most=1)
    assert least.keys_values == sampler_vllm.cache_bytes(policy, 2, 128)


def test_constants_are_those_of_the_modules_that_need_torch():
    head = pytest.importorskip("azr_mini.head")
    assert (working_memory.LOGITS_CHUNK, working_memory.FEW_LOGITS) == (
        head.LOGITS_CHUNK,
        head.FEW_LOGITS,
    )


def test_sampler_constants_are_those_of_the_sampler():
    assert working_memory.PREFILL_TOKENS == sampler.PREFILL_TOKENS
    assert working_memory.VLLM_ROWS == sampler_vllm.MAX_ROWS
    assert (working_memory.STEPS_RUN, working_memory.STEPS_REPLAYED) == (
        running.RUN.steps,
        running.REPLAYED.steps,
    )
    assert held_memory.COPIED_PARAMETERS == decoding.COPIED_PARAMETERS
