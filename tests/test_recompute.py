"""Gradient checkpointing changes what is kept, and nothing else."""

from dataclasses import replace

import pytest
import torch
from test_learner import BIG, ROLLOUTS, sgd_state, weights_of
from test_policy import rows_that_share_prompts
from tiny import tiny_policy as tiny_nano_policy
from tiny_models import tiny_model, tiny_policy

from azr_mini import recompute
from azr_mini.learner import update
from azr_mini.policy import load_policy
from azr_mini.recompute import recomputed_layers


def gradients_and_bytes(policy, wanted):
    """The gradient of the mean log-probability, and the bytes that its forward pass kept for it."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    policy.model.zero_grad()
    with recomputed_layers(policy.base, wanted):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = policy.logprobs(*rows_that_share_prompts(seed=12))[0].mean()
        loss.backward()
    return [p.grad for p in policy.parameters()], sum(kept.values())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for architecture in ("llama", "qwen2", "qwen3"):
        made[architecture] = tmp_path_factory.mktemp(architecture)
        tiny_policy(architecture, num_hidden_layers=4).save(made[architecture])
    return made


@pytest.mark.parametrize("quantize, rank", [(None, None), (None, 4), ("nf4", 4)])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_gradients_are_the_same_and_less_is_kept(folders, architecture, quantize, rank):
    if quantize:
        pytest.importorskip("bitsandbytes")
    torch.manual_seed(0)
    policy = load_policy(str(folders[architecture]), quantize, rank, "float32", "cpu")
    plain, kept = gradients_and_bytes(policy, wanted=False)
    recomputed, kept_less = gradients_and_bytes(policy, wanted=True)
    assert all(torch.equal(a, b) for a, b in zip(plain, recomputed, strict=True))
    assert any(gradient.any() for gradient in plain)
    assert kept_less < 0.5 * kept


def test_the_switch_reaches_the_learner_and_changes_no_bit(monkeypatch):
    ran = []
    forward = recompute._recomputed
    monkeypatch.setattr(recompute, "_recomputed", lambda *a: ran.append(1) or forward(*a))
    new = []
    for wanted in (False, True):
        state = sgd_state()
        metrics = update(state, ROLLOUTS, replace(BIG, gradient_checkpointing=wanted))
        new.append((weights_of(state.policy), metrics))
        assert bool(ran) == wanted
    assert torch.equal(new[0][0], new[1][0]) and new[0][1] == new[1][1]
    assert not torch.equal(new[0][0], weights_of(tiny_nano_policy()))


def test_afterwards_the_model_generates_with_its_cache():
    policy, untouched = tiny_policy("qwen3"), tiny_model("qwen3")
    gradients_and_bytes(policy, wanted=True)
    ids, settings = torch.tensor([[5, 6, 7]]), {"max_new_tokens": 9, "do_sample": False}
    assert torch.equal(policy.model.generate(ids, **settings), untouched.generate(ids, **settings))
    assert not any(part.training for part in policy.model.modules())


def test_a_model_without_such_layers_is_refused():
    with pytest.raises(ValueError, match="--no-gradient-checkpointing"):
        with recomputed_layers(torch.nn.Linear(2, 2)):
            pass


def test_a_layer_with_another_input_that_learns_gives_it_its_gradient():
    from transformers.modeling_layers import GradientCheckpointingLayer

    class Layer(GradientCheckpointingLayer):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(3.0))

        def forward(self, x, shift, scale):
            return (x + shift).square() * self.weight * scale

    model, shift = torch.nn.Sequential(Layer()), torch.tensor(2.0, requires_grad=True)
    x, scale = torch.tensor(5.0, requires_grad=True), torch.tensor(0.5)
    inputs = (x, shift, model[0].weight)
    plain = torch.autograd.grad(model[0](x, shift, scale=scale), inputs)
    with recomputed_layers(model):
        found = torch.autograd.grad(model[0](x, shift, scale=scale), inputs)
    assert found == plain and found[0] == found[1] == 2 * 7 * 3 * 0.5
