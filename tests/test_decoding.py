"""The forward pass of generation computes what the model's own code computes."""

import pytest
import torch
from tiny_models import in_four_bits, tiny_model, tiny_policy

from azr_mini.decoding import Decoder, forward_pass
from azr_mini.joined import FEW_ROWS, Adapted, Joined, OneByOne, are_simple, join
from azr_mini.key_values import chunks_of
from azr_mini.packed_batch import pack
from azr_mini.packing import packed_logits
from azr_mini.policy import Policy
from azr_mini.sampler import Sampler

ARCHITECTURES = ("llama", "qwen2", "qwen3")


def batch_for(policy, rows=5):
    """Prompts and completions of random tokens, packed."""
    rng = torch.Generator().manual_seed(0)

    def text(low, high):
        length = int(torch.randint(low, high, (), generator=rng))
        return torch.randint(2, 384, (length,), generator=rng).tolist()

    prompts = [text(5, 30) for _ in range(rows)]
    completions = [text(2, 20) for _ in range(rows)]
    return pack(prompts, completions, policy.pair_cost, policy.dtype)


def both(policy, batch, decode):
    """The logits by the model's own code and by `decode`, each (K, V)."""
    arguments = (batch.ids, batch.positions, batch.keep, batch.packing)
    with torch.no_grad(), policy.autocast():
        own = packed_logits(policy.model, *arguments)
    with torch.no_grad():
        return own.float(), decode(*arguments).float()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_logits_are_those_of_the_model(architecture):
    policy = tiny_policy(architecture)
    decode = forward_pass(policy)
    assert isinstance(decode, Decoder)
    own, ours = both(policy, batch_for(policy), decode)
    torch.testing.assert_close(ours, own, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_biases_and_scales_that_training_moves_are_used(architecture):
    policy = tiny_policy(architecture)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            if parameter.ndim == 1:  # biases start at zero and norms at one
                parameter += torch.linspace(-0.5, 0.5, len(parameter))
    own, ours = both(policy, batch_for(policy), forward_pass(policy))
    torch.testing.assert_close(ours, own, rtol=1e-4, atol=1e-4)


def test_llama3_scaled_positions_are_those_of_the_model():
    rope = {
        "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 16,
    }  # fmt: skip
    policy = tiny_policy("llama", rope_parameters=rope)
    own, ours = both(policy, batch_for(policy), forward_pass(policy))
    torch.testing.assert_close(ours, own, rtol=1e-4, atol=1e-4)


def test_bfloat16_logits_are_as_close_as_two_roundings():
    policy = tiny_policy("llama")
    exact, _ = both(policy, batch_for(policy), forward_pass(policy))
    policy.dtype = torch.bfloat16
    own, ours = both(policy, batch_for(policy), forward_pass(policy))
    assert (ours - exact).abs().mean() < 1.2 * (own - exact).abs().mean()


@pytest.mark.parametrize("bias", [True, False])
def test_few_rows_give_the_same_product_as_many(bias):
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 96, bias=bias)
    joined = Joined([layer], torch.bfloat16)
    x = torch.randn(2 * FEW_ROWS, 64).to(torch.bfloat16)
    with torch.no_grad():
        many, few = joined(x), torch.cat([joined(row[None]) for row in x])
    # the same rounded numbers, summed in float32 in another order
    torch.testing.assert_close(few.float(), many.float(), rtol=2**-7, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_adapter_is_part_of_the_forward_pass(dtype):
    from peft import LoraConfig, get_peft_model

    policy = tiny_policy("qwen2")
    settings = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = Policy(get_peft_model(policy.model, settings), policy.tokenizer, dtype=dtype)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in adapted.model.named_parameters():
            if "lora_B" in name:  # starts at zero, so that it would not matter
                parameter.normal_(std=0.1)
    batch = batch_for(adapted)
    own, ours = both(adapted, batch, forward_pass(adapted))
    tolerance = 1e-4 if dtype is torch.float32 else 0.1
    torch.testing.assert_close(ours, own, rtol=tolerance, atol=tolerance)
    with adapted.model.disable_adapter():
        base, _ = both(adapted, batch, forward_pass(adapted))
    assert (ours - base).abs().max() > 1  # it did matter


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_act": "gelu"},
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
    ],
)
def test_arithmetic_that_it_does_not_know_is_left_to_the_model(changes):
    policy = tiny_policy("llama", **changes)
    decode = forward_pass(policy)
    assert not isinstance(decode, Decoder)
    own, ours = both(policy, batch_for(policy), decode)
    assert torch.equal(own, ours)


def test_a_model_too_large_to_be_held_twice_keeps_its_own_pass(monkeypatch):
    monkeypatch.setattr("azr_mini.decoding.COPIED_PARAMETERS", 1000)
    policy = Policy(tiny_model(), tiny_policy().tokenizer)
    assert not isinstance(forward_pass(policy), Decoder)


def parts_of(decoder):
    """The joined layers of a decoder."""
    return [
        part
        for layer in decoder.layers
        for part in (layer.inputs, layer.output, layer.up, layer.down)
    ]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_layers_in_four_bits_with_an_adapter_are_computed_without_their_own_code(architecture):
    policy = in_four_bits(tiny_policy(architecture))
    batch, decoder = batch_for(policy), forward_pass(policy)
    assert all(isinstance(part, Adapted) for part in parts_of(decoder))
    own, ours = both(policy, batch, decoder)
    torch.testing.assert_close(ours, own, rtol=1e-4, atol=1e-4)
    with policy.model.disable_adapter():
        own, base = both(policy, batch, forward_pass(policy))
    torch.testing.assert_close(base, own, rtol=1e-4, atol=1e-4)
    assert (ours - base).abs().max() > 0.1


def test_what_is_more_than_a_matrix_and_an_adapter_is_left_to_its_own_code():
    policy = in_four_bits(tiny_policy("qwen2"))
    layers = policy.base.model.layers
    plain = torch.nn.Linear(64, 64)
    mixed = [layers[0].self_attn.q_proj, plain]
    assert isinstance(join(mixed, torch.float32), OneByOne)
    assert isinstance(join([torch.nn.Identity()], torch.float32), OneByOne)
    policy.model.add_adapter("second", policy.model.peft_config["default"])
    policy.model.base_model.set_adapter(["default", "second"])
    decoder = forward_pass(policy)
    assert all(isinstance(part, OneByOne) for part in parts_of(decoder))
    own, ours = both(policy, batch_for(policy), decoder)
    torch.testing.assert_close(ours, own, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("option", ["use_dora", "lora_bias"])
def test_an_adapter_of_another_kind_is_left_to_its_own_code(option):
    from peft import LoraConfig, get_peft_model

    policy = tiny_policy("qwen2")
    kind = {option: True, "init_lora_weights": False}
    settings = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], **kind)
    policy = Policy(get_peft_model(policy.model, settings), policy.tokenizer)
    decoder = forward_pass(policy)
    assert isinstance(decoder.layers[0].inputs, OneByOne)
    own, ours = both(policy, batch_for(policy), decoder)
    torch.testing.assert_close(ours, own, rtol=1e-4, atol=1e-4)


def test_a_merged_adapter_that_is_switched_off_is_left_to_its_own_code():
    """Which takes it out of the weights."""
    from peft import LoraConfig, get_peft_model

    policy = tiny_policy("qwen2")
    batch = batch_for(policy)
    exact, _ = both(policy, batch, forward_pass(policy))
    settings = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    policy = Policy(get_peft_model(policy.model, settings), policy.tokenizer)
    policy.model.base_model.merge_adapter()
    with policy.model.disable_adapter(), torch.no_grad():
        found = forward_pass(policy)(batch.ids, batch.positions, batch.keep, batch.packing)
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-3)


def test_layers_of_two_types_are_not_made_one():
    layer = in_four_bits(tiny_policy()).base.model.layers[0].self_attn
    half = torch.nn.Linear(64, 64, dtype=torch.bfloat16)
    assert are_simple([layer.q_proj, layer.k_proj])
    assert not are_simple([half, torch.nn.Linear(64, 64)])


def test_a_bias_beside_layers_without_one_is_added_where_it_belongs():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(8, 4, bias=has) for has in (True, False)]
    x = torch.randn(3, 8)
    with torch.no_grad():
        joined = Adapted(layers, torch.float32)(x)
        torch.testing.assert_close(joined, torch.cat([layer(x) for layer in layers], -1))


def test_a_gpu_attends_to_all_entries_at_once_and_a_cpu_to_no_more_slots_than_are_used():
    fill = torch.tensor([3, 9, 17, 25, 33, 41])
    assert chunks_of(fill) == ((2, 16), (4, 32), (6, 48))
    on_gpu = type("OnGpu", (), {"device": torch.device("cuda"), "__len__": lambda _: 6})()
    on_gpu.split = fill.split
    assert chunks_of(on_gpu) == ((6, 48),)


def test_weights_that_became_parts_of_one_can_be_learned_through():
    """By peft's own layers, which the learner uses where only some layers have an adapter."""
    from peft import LoraConfig, get_peft_model

    policy = tiny_policy("qwen2")
    settings = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    policy = Policy(get_peft_model(policy.model, settings), policy.tokenizer)

    def gradients():
        logprobs = policy.logprobs([[5, 6, 7], [8]], [[9, 10], [11, 12, 13]])[0]
        return torch.autograd.grad(logprobs.sum(), policy.parameters())

    before = gradients()
    Sampler(policy).generate([[5, 6]], seeds=[0], max_new_tokens=3)
    weight = policy.base.model.layers[0].self_attn.k_proj.weight
    assert weight.untyped_storage().nbytes() > weight.nbytes  # it is a part
    assert all(map(torch.equal, gradients(), before))
