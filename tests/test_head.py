"""Scores in chunks are the scores, and the tensor that they avoid is never made."""

import pytest
import torch
from live_memory import LiveMemory
from test_policy import rows_that_share_prompts
from tiny_models import tiny_policy
from torch.utils._python_dispatch import TorchDispatchMode

from azr_mini import head
from azr_mini.adapters import add_adapter
from azr_mini.policy import Policy

CHUNK, WORDS, WIDTH = 16, 384, 64


@pytest.fixture
def chunked(monkeypatch):
    """Every vocabulary is large, and few positions are a chunk."""
    monkeypatch.setattr(head, "FEW_LOGITS", 0)
    monkeypatch.setattr(head, "LOGITS_CHUNK", CHUNK)


def scored(policy, rows):
    """Log-probabilities, entropies and gradients of a sum of both."""
    policy.model.zero_grad()
    logprobs, entropies, _ = policy.logprobs(*rows)
    (logprobs.sum() + 0.3 * entropies.square().sum()).backward()
    return logprobs.detach(), entropies.detach(), [p.grad for p in policy.parameters()]


def policy_of(architecture, rank):
    policy = tiny_policy(architecture)
    if rank is None:
        return policy
    torch.manual_seed(0)
    model = add_adapter(policy.model, rank)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return Policy(model, policy.tokenizer)


@pytest.mark.parametrize("rank", [None, 4])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_chunks_have_the_values_and_gradients_of_the_plain_path(architecture, rank, request):
    rows = rows_that_share_prompts(seed=10)  # first tokens of attempts share a position
    plain = scored(policy_of(architecture, rank), rows)
    request.getfixturevalue("chunked")
    chunks = scored(policy_of(architecture, rank), rows)
    torch.testing.assert_close(chunks[:2], plain[:2], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(chunks[2], plain[2], atol=1e-4, rtol=1e-4)


class Shapes(TorchDispatchMode):
    """Notes the shape of every tensor that is made, in the backward pass too."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, torch.Tensor):
                self.seen.add(tuple(tensor.shape))
        return made


def rows_by_words(policy, rows):
    """How many rows the tensors have whose last axis is the vocabulary."""
    with Shapes() as shapes:
        scored(policy, rows)
    return {shape[-2] for shape in shapes.seen if len(shape) > 1 and shape[-1] == WORDS}


def test_no_tensor_of_all_tokens_by_all_words_exists(request):
    rows = rows_that_share_prompts(seed=11)
    tokens = sum(map(len, rows[1]))
    assert tokens > 2 * WIDTH
    positions = len(rows[1]) * 4 // 5  # at least; attempts share their first one
    assert max(rows_by_words(tiny_policy(), rows)) > positions
    request.getfixturevalue("chunked")
    attempts = 3  # first tokens that one position predicts
    seen = rows_by_words(tiny_policy(), rows) - {WIDTH}  # the head's own matrix, transposed
    assert seen and max(seen) <= CHUNK + attempts


def test_the_nano_model_and_few_tokens_take_the_plain_path():
    assert not head.needs_chunks(65_536, 476)  # nano, many times its micro-batch
    assert not head.needs_chunks(head.LOGITS_CHUNK, 10**6)
    assert head.needs_chunks(2_000, 151_936)


def test_an_architecture_whose_logits_are_more_than_its_head_stays_whole(chunked):
    from transformers import GraniteConfig, GraniteForCausalLM

    torch.manual_seed(0)
    config = GraniteConfig(
        vocab_size=WORDS,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        logits_scaling=8.0,
        initializer_range=0.15,
    )
    model = GraniteForCausalLM(config).eval()
    policy = Policy(model, tiny_policy().tokenizer)
    ids = [5, 6, 7] + list(range(20, 60))
    with torch.no_grad():
        found = policy.logprobs([ids[:3]], [ids[3:]])[0][0]
        expected = model(torch.tensor([ids])).logits[0, 2:-1].log_softmax(-1)
    torch.testing.assert_close(found, expected[range(40), ids[3:]], atol=1e-5, rtol=1e-5)


def peak_of_backward(policy, rows, entropy_gradient):
    """Bytes at most alive in a forward and backward pass beyond what was; entropies are looked at
    afterwards, as the learner does.
    """
    with LiveMemory() as memory:
        logprobs, entropies, _ = policy.logprobs(*rows, entropy_gradient=entropy_gradient)
        torch.autograd.grad(logprobs.sum(), policy.parameters())
        assert entropies.sum() > 0
    return memory.peak


def test_entropies_that_nobody_learns_from_keep_no_logits(chunked):
    """What a chunk computes again for their gradient would stay: nothing ever asks for it."""
    policy, rows = tiny_policy(vocab_size=4096), rows_that_share_prompts(seed=13, prompts=8)
    chunks = sum(map(len, rows[1])) // CHUNK
    logits = 4 * CHUNK * 4096  # bytes of a chunk
    kept = peak_of_backward(policy, rows, True) - peak_of_backward(policy, rows, False)
    assert kept > chunks * logits


def test_entropies_are_the_same_without_a_gradient():
    rows = rows_that_share_prompts(seed=14)
    with_gradient = tiny_policy().logprobs(*rows)
    without = tiny_policy().logprobs(*rows, entropy_gradient=False)
    assert all(torch.equal(a, b) for a, b in zip(with_gradient, without, strict=True))
    assert with_gradient[1].requires_grad and not without[1].requires_grad


@pytest.mark.parametrize("rank", [None, 4])
def test_without_a_gradient_of_entropies_values_and_the_other_gradient_stay(rank, request):
    rows = rows_that_share_prompts(seed=12)

    def scored_alone(policy):
        logprobs, entropies, mask = policy.logprobs(*rows, entropy_gradient=False)
        assert not entropies.requires_grad
        weights = torch.linspace(-1, 1, int(mask.sum()))
        found = torch.autograd.grad((weights * logprobs[mask]).sum(), policy.parameters())
        return logprobs.detach(), entropies, found

    plain = scored_alone(policy_of("qwen2", rank))
    request.getfixturevalue("chunked")
    chunks = scored_alone(policy_of("qwen2", rank))
    torch.testing.assert_close(chunks[:2], plain[:2], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(chunks[2], plain[2], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("entropy_gradient", [False, True])
def test_a_head_that_trains_alone_over_positions_in_any_order(chunked, entropy_gradient):
    """Some positions predict several tokens, some, at the end too, none."""
    torch.manual_seed(0)
    layer, hidden = torch.nn.Linear(8, WORDS), torch.randn(3 * CHUNK, 8)
    tokens = torch.randint(2 * CHUNK - 3, (40,)), torch.randint(WORDS, (40,))
    weights = torch.randn(40)

    def learned(logprobs, entropies):
        return torch.autograd.grad((weights * logprobs).sum(), layer.parameters()), entropies

    exact = learned(*head.scores(layer(hidden), *tokens))
    found = learned(*head.chunked_scores(hidden, layer, *tokens, entropy_gradient))
    torch.testing.assert_close(found, exact, atol=1e-5, rtol=1e-5)


def test_the_backward_pass_makes_the_logits_of_the_forward_pass(chunked):
    """In its arithmetic: the context that sets it is left by then."""
    policy, made = tiny_policy("qwen2"), []
    policy.dtype = torch.bfloat16
    policy.model.lm_head.register_forward_hook(lambda *arguments: made.append(arguments[-1]))
    logprobs = policy.logprobs(*rows_that_share_prompts(), entropy_gradient=False)[0]
    forward = len(made)
    torch.autograd.grad(logprobs.sum(), policy.parameters())
    assert len(made) == 2 * forward and {logits.dtype for logits in made} == {torch.bfloat16}
