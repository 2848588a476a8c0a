"""Fewer operations compute what peft's layers compute, and the model is left as it was found."""

import sys
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
import torch
from live_memory import LiveMemory
from test_learner import BIG, rollouts_for, sgd_state, weights_of
from test_policy import rows_that_share_prompts
from tiny_models import tiny_policy

from azr_mini.lean import lean_layers
from azr_mini.learner import update
from azr_mini.policy import load_policy
from azr_mini.recompute import recomputed_layers

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.operations import of_a_layer, of_learner  # noqa: E402

torch.set_num_threads(1)
ROWS = rows_that_share_prompts(seed=21)
# of attention's inputs biases, norms of heads, and biases everywhere
ARCHITECTURES = {"qwen2": {}, "qwen3": {}, "llama": {"attention_bias": True, "mlp_bias": True}}
architectures = pytest.mark.parametrize("architecture", ARCHITECTURES)
quantized = pytest.mark.parametrize("quantize", [None, "nf4"], ids=["plain", "4 bits"])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for architecture, changes in ARCHITECTURES.items():
        made[architecture] = tmp_path_factory.mktemp(architecture)
        policy = tiny_policy(architecture, rms_norm_eps=1e-2, **changes)
        for name, weight in policy.model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                torch.nn.init.normal_(weight, 1.0, 0.3)
        policy.save(made[architecture])
    return made


def adapted(folder, quantize=None, dtype="float32", scaling=None, on_cpu=False):
    """A policy with an adapter that does something, its frozen weights as small as on a GPU, or
    in float32 as on a CPU.
    """
    if quantize:
        pytest.importorskip("bitsandbytes")
    torch.manual_seed(0)
    policy = load_policy(str(folder), quantize, 4, dtype, "cpu")
    for weight in policy.model.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.1)
        elif weight.is_floating_point() and not on_cpu:
            weight.data = weight.data.to(policy.dtype)
    for module in layers_of(policy):
        module.scaling["default"] = scaling or module.scaling["default"]
    return policy


def layers_of(policy):
    return [part for part in policy.model.modules() if hasattr(part, "lora_A")]


def scored(policy, lean, recomputed=False):
    """Log-probabilities, and the gradient of their mean, which is one vector."""
    with ExitStack() as stack:
        stack.enter_context(recomputed_layers(policy.base, recomputed))
        stack.enter_context(lean_layers(policy) if lean else nullcontext())
        logprobs, _, mask = policy.logprobs(*ROWS)
        found = torch.autograd.grad(logprobs[mask].mean(), policy.parameters())
    return logprobs.detach(), torch.cat([part.flatten() for part in found])


def distance(found, exact):
    return float((found - exact).norm() / exact.norm())


@quantized
@architectures
@pytest.mark.parametrize("recomputed", [False, True], ids=["kept", "recomputed"])
def test_values_and_gradients_are_those_of_peft(folders, architecture, quantize, recomputed):
    policy = adapted(folders[architecture], quantize, scaling=1.7)
    exact, found = (scored(policy, lean, recomputed) for lean in (False, True))
    torch.testing.assert_close(found[0], exact[0], atol=1e-5, rtol=1e-5)
    assert distance(found[1], exact[1]) < 1e-5
    assert exact[1].abs().max() > 1e-3


@quantized
@architectures
@pytest.mark.parametrize("on_cpu", [False, True], ids=["as on a GPU", "as on a CPU"])
def test_half_precision_is_no_further_from_float32_than_peft(
    folders, architecture, quantize, on_cpu
):
    exact = scored(adapted(folders[architecture], quantize), lean=False)
    policy = adapted(folders[architecture], quantize, "bfloat16", on_cpu=on_cpu)
    theirs, ours = (scored(policy, lean, recomputed=True) for lean in (False, True))
    for name, reference, peft, lean in zip(
        ("logprobs", "gradient"), exact, theirs, ours, strict=True
    ):
        assert 0 < distance(lean, reference) <= 1.5 * distance(peft, reference), name


def several(policy):
    policy.model.add_adapter("other", policy.model.peft_config["default"])
    policy.model.base_model.set_adapter(["default", "other"])


def merged(policy):
    policy.model.base_model.merge_adapter(["default"])


def disabled(policy):
    policy.model.base_model.disable_adapter_layers()


@pytest.mark.parametrize("change", [several, merged, disabled])
def test_layers_with_several_or_merged_or_disabled_adapters_stay_pefts(folders, change):
    policy = adapted(folders["qwen2"])
    change(policy)
    with lean_layers(policy):
        assert not any("forward" in vars(module) for module in layers_of(policy))
        with torch.no_grad():
            found = policy.logprobs(*ROWS)[0]
    with torch.no_grad():
        torch.testing.assert_close(found, policy.logprobs(*ROWS)[0], atol=1e-5, rtol=1e-5)


def test_a_layer_that_the_adapter_leaves_out_stays_as_it_is(folders):
    policy = adapted(folders["qwen2"])
    left_out = policy.base.model.layers[0].self_attn.o_proj
    del left_out.lora_A["default"], left_out.lora_B["default"]
    with torch.no_grad(), lean_layers(policy):
        assert "forward" not in vars(left_out)
        found = policy.logprobs(*ROWS)[0]
    with torch.no_grad():
        torch.testing.assert_close(found, policy.logprobs(*ROWS)[0], atol=1e-5, rtol=1e-5)


def test_two_threads_do_not_take_each_others_products(folders):
    policy, (mine, other) = adapted(folders["qwen2"]), torch.randn(2, 1, 5, 64)
    attention = policy.base.model.layers[0].self_attn
    exact = attention.k_proj(mine)
    with lean_layers(policy):
        attention.q_proj(mine)
        thread = Thread(target=attention.q_proj, args=(other,))
        thread.start()
        thread.join()
        torch.testing.assert_close(attention.k_proj(mine), exact, atol=1e-5, rtol=1e-5)


@quantized
def test_a_disabled_adapter_is_left_out(folders, quantize):
    policy = adapted(folders["qwen2"], quantize)
    with torch.no_grad(), policy.model.disable_adapter():
        exact = policy.logprobs(*ROWS)[0]
    with torch.no_grad(), lean_layers(policy):
        with_adapter = policy.logprobs(*ROWS)[0]
        with policy.model.disable_adapter():
            found = policy.logprobs(*ROWS)[0]
        assert torch.equal(policy.logprobs(*ROWS)[0], with_adapter)
    torch.testing.assert_close(found, exact, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, with_adapter, atol=1e-3)


@architectures
def test_the_model_is_left_as_it_was_found(folders, architecture):
    policy = adapted(folders[architecture])
    before = scored(policy, lean=False)
    code = sys.modules[type(policy.base.model.layers[0].self_attn).__module__]
    rotate = code.apply_rotary_pos_emb
    with pytest.raises(KeyError), lean_layers(policy):
        assert code.apply_rotary_pos_emb is not rotate
        for layer in policy.base.model.layers:
            assert all("forward" in vars(m) for m in (layer.self_attn.q_proj, layer.mlp))
        raise KeyError
    assert code.apply_rotary_pos_emb is rotate
    assert not any("forward" in vars(module) for module in policy.model.modules())
    assert all(map(torch.equal, scored(policy, lean=False), before))


def test_a_policy_without_adapter_is_not_touched():
    policy = tiny_policy("qwen2")
    with lean_layers(policy):
        assert not any("forward" in vars(module) for module in policy.model.modules())


@pytest.mark.parametrize("factor", ["lora_A", "lora_B"])
def test_a_step_of_the_optimizer_is_seen(folders, factor):
    policy = adapted(folders["qwen2"])
    moved = [weight for name, weight in policy.model.named_parameters() if factor in name]
    optimizer = torch.optim.AdamW(moved, lr=0.1)
    with lean_layers(policy):
        policy.logprobs(*ROWS)[0].sum().backward()
        optimizer.step()
        with torch.no_grad():
            found = policy.logprobs(*ROWS)[0]
    with torch.no_grad():
        torch.testing.assert_close(found, policy.logprobs(*ROWS)[0], atol=1e-5, rtol=1e-5)


def test_a_pass_that_fails_leaves_nothing_behind(folders):
    """Else memory that runs out between queries and values would not come back."""
    policy = adapted(folders["qwen3"])

    def fail(*_):
        raise torch.OutOfMemoryError

    policy.base.model.layers[1].self_attn.q_norm.register_forward_pre_hook(fail)
    with lean_layers(policy), LiveMemory() as memory:
        with pytest.raises(torch.OutOfMemoryError):
            policy.logprobs(*ROWS)
        assert memory.peak > 0 and memory.now == 0


def test_an_update_goes_through_them_also_side_by_side(folders, monkeypatch):
    config = replace(BIG, updates_per_step=2, micro_batch_tokens=40, gradient_checkpointing=True)
    found = {}
    for threads, lean in ((1, True), (3, True), (1, False)):
        policy = adapted(folders["qwen3"], "nf4")
        if not lean:
            monkeypatch.setattr("azr_mini.learner.lean_layers", lambda _: nullcontext())
        state = sgd_state(policy, learning_rate=0.1)
        update(state, rollouts_for(policy), replace(config, threads=threads))
        found[threads, lean] = weights_of(policy)
    assert torch.equal(found[1, True], found[3, True])
    torch.testing.assert_close(found[1, True], found[1, False], atol=1e-5, rtol=1e-4)
    assert not torch.equal(found[1, True], found[1, False])  # another order of sums


def test_no_unpacked_matrix_waits_for_the_backward_pass(folders):
    """What a layer keeps for it is its input and a product of the adapter's rank."""
    policy, kept = adapted(folders["qwen2"], "nf4"), {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    weights = {weight.untyped_storage().data_ptr() for weight in policy.model.parameters()}
    with lean_layers(policy), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        policy.logprobs(*ROWS)
    shapes = {tuple(t.shape) for pointer, t in kept.items() if pointer not in weights}
    unpacked = {(128, 64), (64, 64), (256, 64), (64, 128)}  # q, k, v; o; gate, up; down
    assert shapes and not shapes & unpacked


@quantized
def test_a_layer_takes_less_than_half_of_the_operations(quantize):
    theirs, ours = (
        of_a_layer(partial(of_learner, lean=lean, quantize=bool(quantize)))
        for lean in (False, True)
    )
    assert 2 * ours["launched"] < theirs["launched"]
    if quantize:  # four matrices, three times; the last one not when the layer runs again
        assert ours["by_name"]["bitsandbytes.dequantize_4bit"] == 11


def test_a_gate_of_another_activation_stays_the_models_own(tmp_path):
    tiny_policy("llama", hidden_act="gelu").save(tmp_path)
    policy = adapted(tmp_path)
    exact = scored(policy, lean=False)
    with lean_layers(policy):
        assert "forward" not in vars(policy.base.model.layers[0].mlp)
    torch.testing.assert_close(scored(policy, lean=True), exact, atol=1e-5, rtol=1e-5)
