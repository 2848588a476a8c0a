"""Batched log-probabilities against one row at a time; loading, saving and its error messages."""

import random

import pytest
import torch
from tiny_models import byte_tokenizer, tiny_model, tiny_policy
from transformers import AutoModelForCausalLM

from azr_mini.models import choose_dtype
from azr_mini.policy import Policy, load_policy
from azr_mini.prompts import Dialect
from azr_mini.trr import micro_batch_loss

EOS = 1


def rows_that_share_prompts(seed=0, prompts=4, attempts=3):
    """Prompts of 3 to 40 tokens, each with several completions of 1 to 30, most of which end."""
    rng = random.Random(seed)
    prompt_ids, completion_ids = [], []
    for _ in range(prompts):
        prompt = [rng.randrange(2, 300) for _ in range(rng.randint(3, 40))]
        for _ in range(attempts):
            prompt_ids.append(prompt)
            ending = [EOS] if rng.random() < 0.8 else []
            completion_ids.append(
                [rng.randrange(2, 300) for _ in range(rng.randint(1, 29))] + ending
            )
    return prompt_ids, completion_ids


def one_row(model, prompt, completion):
    """The oracle: the stock forward of one unpadded row, scored with float64 softmax."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
    log_p = torch.log_softmax(logits.double(), -1)
    scores = log_p[torch.arange(len(completion)), torch.tensor(completion)]
    return scores.float(), -(log_p.exp() * log_p).sum(-1).float()


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_batched_logprobs_equal_one_row_at_a_time(architecture):
    policy = tiny_policy(architecture)
    untouched = tiny_model(architecture)  # transformers' own attention
    prompt_ids, completion_ids = rows_that_share_prompts()
    logprobs, entropies, mask = policy.logprobs(prompt_ids, completion_ids)
    assert logprobs.shape == entropies.shape == mask.shape == (12, max(map(len, completion_ids)))
    for row, (prompt, completion) in enumerate(zip(prompt_ids, completion_ids, strict=True)):
        scores, entropy = one_row(untouched, prompt, completion)
        assert mask[row].sum() == len(completion) and mask[row, : len(completion)].all()
        torch.testing.assert_close(logprobs[row, mask[row]], scores, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(entropies[row, mask[row]], entropy, atol=1e-5, rtol=1e-5)
        assert (logprobs[row, ~mask[row]] == 0).all()


def test_sharing_a_prompt_changes_nothing():
    prompt_ids, completion_ids = rows_that_share_prompts(seed=1)
    policy = tiny_policy()
    shared, _, _ = policy.logprobs(prompt_ids, completion_ids)
    policy.pair_cost = float("inf")  # attention is never worth it: every row alone
    alone, _, _ = policy.logprobs(prompt_ids, completion_ids)
    torch.testing.assert_close(shared, alone, atol=1e-5, rtol=1e-5)


def test_gradients_equal_those_of_one_row_at_a_time():
    prompt_ids, completion_ids = rows_that_share_prompts(seed=2)
    policy, model = tiny_policy(), tiny_model()
    policy.logprobs(prompt_ids, completion_ids)[0].sum().backward()
    for prompt, completion in zip(prompt_ids, completion_ids, strict=True):
        logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
        log_p = torch.log_softmax(logits, -1)
        log_p[torch.arange(len(completion)), torch.tensor(completion)].sum().backward()
    for (name, mine), theirs in zip(
        policy.model.named_parameters(), model.parameters(), strict=True
    ):
        torch.testing.assert_close(mine.grad, theirs.grad, atol=2e-4, rtol=1e-4, msg=name)


def test_padding_never_matters():
    prompt_ids, completion_ids = rows_that_share_prompts(seed=3)
    policy = tiny_policy()
    before, _, mask = policy.logprobs(prompt_ids, completion_ids)
    longer, _, _ = policy.logprobs([*prompt_ids, [5] * 60], [*completion_ids, [7] * 50])
    width = before.shape[1]
    torch.testing.assert_close(longer[:-1, :width][mask], before[mask], atol=1e-5, rtol=1e-5)


def test_eos_is_trained_and_padding_is_not():
    """Even when padding is the end-of-sequence token itself."""
    model, tokenizer = tiny_model(), byte_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    policy = Policy(model, tokenizer)
    assert policy.pad_id == policy.eos_id == EOS
    logprobs, _, mask = policy.logprobs([[5, 6], [5, 6]], [[7, 8, EOS], [9]])
    assert mask.tolist() == [[True, True, True], [True, False, False]]
    logprobs.retain_grad()
    weights = torch.ones(2) / 4
    micro_batch_loss(logprobs, logprobs.detach(), torch.ones(2), mask, weights).backward()
    assert logprobs.grad.tolist() == [[-0.25, -0.25, -0.25], [-0.25, 0.0, 0.0]]


@pytest.mark.parametrize("max_tokens", [1, 60, 200, 10_000])
def test_micro_batches_are_a_partition_and_change_no_gradient(max_tokens):
    prompt_ids, completion_ids = rows_that_share_prompts(seed=4)
    policy = tiny_policy()

    def gradient(batches):
        policy.model.zero_grad()
        for rows in batches:
            logprobs, _, _ = policy.logprobs(
                [prompt_ids[row] for row in rows], [completion_ids[row] for row in rows]
            )
            logprobs.sum().backward()
        return torch.cat([p.grad.flatten() for p in policy.parameters()])

    batches = policy.micro_batches(prompt_ids, completion_ids, max_tokens)
    assert sorted(row for rows in batches for row in rows) == list(range(12))
    if max_tokens == 1:
        assert len(batches) == 12
    if max_tokens == 10_000:
        assert len(batches) == 1
    whole = gradient([range(12)])
    torch.testing.assert_close(gradient(batches), whole, atol=1e-3, rtol=1e-4)


def test_rows_of_a_prompt_stay_together():
    prompt_ids, completion_ids = rows_that_share_prompts(seed=5, prompts=6)
    policy = tiny_policy()
    policy.pair_cost = 0.0
    for rows in policy.micro_batches(prompt_ids, completion_ids, 150):
        prompts = {tuple(prompt_ids[row]) for row in rows}
        assert len(rows) == 3 * len(prompts)


def test_no_logits_are_computed_for_prompt_tokens(monkeypatch):
    policy = tiny_policy()
    seen = []
    head = policy.model.get_output_embeddings()
    head.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    policy.logprobs([[5] * 50, [5] * 50], [[7, 8, EOS], [9, EOS]])
    assert seen == [(1, 4, 384)]  # 3 + 2 tokens; both first ones are predicted by one position


def test_logprobs_are_bit_for_bit_the_same_twice():
    prompt_ids, completion_ids = rows_that_share_prompts(seed=6)
    first, second = (tiny_policy() for _ in range(2))
    gradients = []
    for policy in (first, second):
        logprobs, _, _ = policy.logprobs(prompt_ids, completion_ids)
        logprobs.sum().backward()
        gradients.append([p.grad for p in policy.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_bfloat16_is_close_and_returns_float32():
    prompt_ids, completion_ids = rows_that_share_prompts(seed=7)
    exact, _, mask = tiny_policy(initializer_range=0.05).logprobs(prompt_ids, completion_ids)
    policy = Policy(tiny_model(initializer_range=0.05), byte_tokenizer(), dtype=torch.bfloat16)
    rounded, entropies, _ = policy.logprobs(prompt_ids, completion_ids)
    assert rounded.dtype == entropies.dtype == torch.float32
    assert 0 < (rounded - exact)[mask].abs().max() < 0.1


def test_text_survives_encoding_and_decoding():
    policy = tiny_policy()
    text = "<think>a = 'ü\n'</think><answer>[1, 2]</answer>"
    ids = policy.encode(text)
    assert policy.decode(ids) == text
    assert policy.decode([*ids, policy.eos_id, policy.pad_id]) == text


def test_dialect_follows_the_tokenizer():
    assert tiny_policy().dialect is Dialect.NANO
    plain = Policy(tiny_model(), byte_tokenizer(tags=()))
    assert plain.dialect is Dialect.CHAT and not plain.in_template


def test_plain_use_of_the_model_is_unchanged():
    """`generate` and padded batches work on a policy's model as on any other."""
    policy, untouched = tiny_policy("qwen2"), tiny_model("qwen2")
    ids = torch.tensor([[0, 0, 5, 6, 7], [9, 8, 7, 6, 5]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    settings = {"attention_mask": mask, "max_new_tokens": 12, "do_sample": False}
    assert torch.equal(policy.model.generate(ids, **settings), untouched.generate(ids, **settings))


def test_loading_is_quiet(tmp_path, capfd):
    tiny_policy().save(tmp_path)
    capfd.readouterr()
    load_policy(str(tmp_path), device="cpu")
    assert capfd.readouterr() == ("", "")


def test_saved_policy_loads_bit_for_bit(tmp_path):
    policy = tiny_policy("qwen2")
    policy.save(tmp_path / "model")
    again = load_policy(str(tmp_path / "model"), dtype="float32", device="cpu")
    assert again.dialect is Dialect.NANO and again.name == str(tmp_path / "model")
    state, loaded = policy.model.state_dict(), again.model.state_dict()
    assert state.keys() == loaded.keys()
    assert all(torch.equal(state[key], loaded[key]) for key in state)
    assert again.encode("<solve>x") == policy.encode("<solve>x")
    assert sum(p.numel() for p in again.parameters()) == again.model.num_parameters()


def test_adapter_trains_saves_and_loads(tmp_path):
    tiny_policy("llama").save(tmp_path / "base")
    policy = load_policy(str(tmp_path / "base"), lora_rank=4, dtype="float32", device="cpu")
    names = {n.split(".")[-4] for n, p in policy.model.named_parameters() if p.requires_grad}
    assert names >= {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    rows = rows_that_share_prompts(seed=8)
    base, _, _ = load_policy(str(tmp_path / "base"), dtype="float32", device="cpu").logprobs(*rows)
    before, _, _ = policy.logprobs(*rows)
    torch.testing.assert_close(before, base)

    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
    before.mean().backward()
    optimizer.step()
    with torch.no_grad():
        trained, _, _ = policy.logprobs(*rows)
    assert not torch.allclose(trained, before)
    policy.save(tmp_path / "adapter")
    again = load_policy(str(tmp_path / "adapter"), dtype="float32", device="cpu")
    with torch.no_grad():
        assert torch.equal(again.logprobs(*rows)[0], trained)
    assert [p.shape for p in again.parameters()] == [p.shape for p in policy.parameters()]


def test_four_bit_gradient_is_the_same_before_and_after_generate(tmp_path):
    pytest.importorskip("bitsandbytes")
    tiny_policy("qwen3", hidden_size=128).save(tmp_path)
    policy = load_policy(str(tmp_path), quantize="nf4", lora_rank=4, dtype="float32", device="cpu")
    assert any(type(m).__name__ == "Linear4bit" for m in policy.model.modules())
    rows = rows_that_share_prompts(seed=9)

    def gradient():
        policy.model.zero_grad()
        policy.logprobs(*rows)[0].mean().backward()
        return torch.cat([p.grad.flatten() for p in policy.parameters()])

    before = gradient()
    policy.model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=4)
    torch.testing.assert_close(gradient(), before)


@pytest.mark.parametrize("name", ["x", "", "no/such/model", "../elsewhere", "a b/c"])
def test_unknown_name_says_what_to_use(name):
    with pytest.raises(ValueError, match=f"no model {name!r}: use 'nano', a folder, or a Hugging"):
        load_policy(name)


def test_bad_folders_and_switches_say_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="holds no model"):
        load_policy(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be loaded .*not a valid JSON file.*: get its"):
        load_policy(str(tmp_path))
    with pytest.raises(ValueError, match="no quantize 'int8'"):
        load_policy(str(tmp_path), quantize="int8")
    with pytest.raises(ValueError, match="give lora_rank"):
        load_policy(str(tmp_path), quantize="nf4")
    with pytest.raises(ValueError, match="no dtype 'half'"):
        load_policy(str(tmp_path), dtype="half")


def test_missing_nano_base_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr("azr_mini.hub.data_path", lambda name: tmp_path / "data" / name)
    with pytest.raises(ValueError, match="pretrain-nano"):
        load_policy("nano")


def test_dtype_is_chosen_by_capability_and_can_be_forced():
    assert choose_dtype("auto", "cpu") is choose_dtype("auto", "cpu")
    assert choose_dtype("auto", "cpu") in (torch.float32, torch.bfloat16)
    assert choose_dtype("float16", "cpu") is torch.float16


def test_loaded_model_is_an_ordinary_transformers_model(tmp_path):
    tiny_policy().save(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("extra", ["softcap", "s_aux", "position_bias"])
def test_layer_that_needs_more_than_a_mask_is_refused(extra):
    policy = tiny_policy()
    with pytest.raises(ValueError, match=extra):
        policy.model(
            torch.tensor([[5, 6]]),
            attention_mask=torch.zeros(1, 1, 2, 2),
            packing=object(),
            **{extra: 30.0},
        )


def test_saving_an_adapter_asks_no_server(tmp_path, monkeypatch):
    import huggingface_hub

    def asked(*arguments, **options):
        raise AssertionError(arguments)

    tiny_policy().save(tmp_path / "base")
    policy = load_policy(str(tmp_path / "base"), lora_rank=2, dtype="float32", device="cpu")
    policy.model.peft_config["default"].base_model_name_or_path = "nano"  # no folder of that name
    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", asked)
    monkeypatch.setattr(huggingface_hub.HfApi, "file_exists", asked)
    policy.save(tmp_path / "adapter")
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
