"""The path of real models on a CPU: tiny models of three families, 4-bit base, LoRA, `train`."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from families import family_policy
from test_policy import rows_that_share_prompts
from test_resume import assert_same_run, every_rollout_pulls, go_on

from azr_mini.config import Config
from azr_mini.policy import Policy, load_policy
from azr_mini.runs import Run
from azr_mini.sampler import Sampler
from azr_mini.sandbox import Executor
from azr_mini.train import TrainState, train

pytest.importorskip("bitsandbytes")
torch.set_num_threads(1)
FAMILIES = ("Qwen2.5-Coder-Instruct", "Qwen3", "Llama-3.1-Instruct")
SHAPE = {"hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 4096}
CONFIG = Config(
    quantize="nf4",
    lora_rank=4,
    gradient_checkpointing=True,
    dtype="float32",
    device="cpu",
    threads=1,
    num_steps=3,
    batch_size=1,
    num_attempts=2,
    num_references=1,
    max_new_tokens=6,
    max_prompt_tokens=4000,
    micro_batch_tokens=8000,
    learning_rate=1e-3,
    heldout_path="",
)


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tmp_path_factory):
    """A saved tiny model of each family."""
    path = tmp_path_factory.mktemp("models") / request.param
    family_policy(request.param, **SHAPE).save(path)
    return path


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


def four_bit(folder, **options):
    options = {"quantize": "nf4", "lora_rank": 4, "dtype": "float32", "device": "cpu"} | options
    torch.manual_seed(0)
    policy = load_policy(str(folder), **options)
    with torch.no_grad():  # an adapter that does something
        for parameter in policy.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return policy


def dequantized(policy, folder):
    """The same policy in plain float32: the 4-bit weights, multiplied out, and the same adapter."""
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    plain = four_bit(folder, quantize=None)
    names = {}
    for name, module in policy.model.named_modules():
        if isinstance(module, Linear4bit):
            names[name] = dequantize_4bit(module.weight.data, module.weight.quant_state)
    assert len(names) == 2 * 7  # all linear layers of two decoder layers
    with torch.no_grad():
        for name, weight in names.items():
            plain.model.get_submodule(name).weight.copy_(weight)
        for mine, theirs in zip(plain.parameters(), policy.parameters(), strict=True):
            mine.copy_(theirs)
    return plain


def gradient(policy):
    policy.model.zero_grad()
    policy.logprobs(*rows_that_share_prompts(seed=15))[0].mean().backward()
    return torch.cat([parameter.grad.flatten() for parameter in policy.parameters()])


def test_gradients_are_those_of_the_dequantized_model_also_after_generating(folder):
    policy = four_bit(folder)
    exact = gradient(dequantized(policy, folder))
    torch.testing.assert_close(gradient(policy), exact, atol=1e-5 * exact.abs().max(), rtol=1e-3)
    before = gradient(policy)
    Sampler(policy).generate([[5, 6, 7]], seeds=[0], num_completions=3, max_new_tokens=5)
    assert torch.equal(gradient(policy), before)
    policy.model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=4)
    assert torch.equal(gradient(policy), before)


def test_the_samplers_log_probabilities_are_the_learners(folder):
    policy = four_bit(folder)
    prompts = [policy.encode("What is 1 + 1?"), policy.encode("Why?")]
    rows = Sampler(policy).generate(prompts, seeds=[1, 2], num_completions=3, max_new_tokens=20)
    pairs = [(p, list(c.ids), c.logprobs) for p, cs in zip(prompts, rows, strict=True) for c in cs]
    with torch.no_grad():
        found, _, mask = policy.logprobs([p for p, _, _ in pairs], [ids for _, ids, _ in pairs])
    for row, (_, _, logprobs) in enumerate(pairs):
        torch.testing.assert_close(
            found[row, mask[row]], torch.tensor(logprobs), atol=2e-5, rtol=1e-4
        )


def test_a_reloaded_adapter_gives_the_same_log_probabilities_bit_for_bit(folder, tmp_path):
    policy, rows = four_bit(folder), rows_that_share_prompts(seed=16)
    policy.save(tmp_path)
    again = load_policy(str(tmp_path), "nf4", dtype="float32", device="cpu")
    with torch.no_grad():
        assert torch.equal(again.logprobs(*rows)[0], policy.logprobs(*rows)[0])
    assert again.in_template and again.stop_ids == policy.stop_ids
    assert again.encode("x") == policy.encode("x")


def test_three_steps_train_the_adapter_and_nothing_else(folder, executor):
    config = replace(CONFIG, model=str(folder))
    state = TrainState.create(config)
    frozen = {n: p.clone() for n, p in state.policy.model.named_parameters() if not p.requires_grad}
    before = [p.detach().clone() for p in state.policy.parameters()]
    steps = list(train(config, state, executor, advantages=every_rollout_pulls))
    assert [step.step for step in steps] == [0, 1, 2]
    after = state.policy.parameters()
    assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    for name, parameter in state.policy.model.named_parameters():
        assert name not in frozen or torch.equal(parameter, frozen[name]), name
    for step in steps:
        assert step.metrics["logp_gap"] < 1e-4 and step.metrics["update_skipped"] == 0
        assert len(step.rollouts) == 3 * (1 + 2)
    assert steps[0].metrics["kl"] == 0 < steps[2].metrics["kl"]


def test_a_run_in_four_bits_goes_on_exactly(folder, executor, tmp_path):
    config = replace(CONFIG, model=str(folder), num_steps=4)
    whole, killed = (Run.create(tmp_path / name, config) for name in ("whole", "killed"))
    go_on(whole, whole.state(), executor, steps=4)
    go_on(killed, killed.state(), executor, steps=3, checkpoint_after=2)
    again = Run.open(killed.folder)
    state = again.state()
    again.rewind()
    assert state.step == 2 and state.policy.has_adapter and isinstance(state.policy, Policy)
    go_on(again, state, executor, steps=4)
    assert_same_run(whole.folder, killed.folder)
    assert "Trained by azr-mini" in Path(killed.folder, "checkpoint", "README.md").read_text()
