"""Real but tiny models with random weights, and a byte-level tokenizer: no mocks, no download."""

import pytest
import torch

from azr_mini.policy import Policy
from azr_mini.prompts import NANO_TAGS

PAD, EOS = "<pad>", "<eos>"


def byte_tokenizer(tags: tuple[str, ...] = NANO_TAGS):
    """A fast tokenizer of 256 bytes, padding, end of sequence and `tags`."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    symbols = [PAD, EOS, *tags, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(t, normalized=False, special=True) for t in (PAD, EOS)]
    )
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in tags])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS)


def tiny_model(architecture: str = "llama", seed: int = 0, eos_bias: float = 0.0, **changes):
    """A causal language model of 2 layers. Qwen2 and Qwen3 share keys between heads here.

    `eos_bias` is added to the end-of-sequence logit, so that lengths are short and uneven.
    """
    from transformers import (
        LlamaConfig,
        LlamaForCausalLM,
        Qwen2Config,
        Qwen2ForCausalLM,
        Qwen3Config,
        Qwen3ForCausalLM,
    )

    config_class, model_class, key_heads = {
        "llama": (LlamaConfig, LlamaForCausalLM, 4),
        "qwen2": (Qwen2Config, Qwen2ForCausalLM, 2),
        "qwen3": (Qwen3Config, Qwen3ForCausalLM, 1),
    }[architecture]
    settings = {
        "vocab_size": 384,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": key_heads,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "initializer_range": 0.15,
        "tie_word_embeddings": not eos_bias,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": None,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_class(config_class(**settings | changes)).eval()
        if eos_bias:
            head = torch.nn.Linear(model.config.hidden_size, model.config.vocab_size)
            head.weight.data.copy_(model.get_output_embeddings().weight)
            head.bias.data.zero_()[1] = eos_bias
            model.set_output_embeddings(head)
    return model


def tiny_policy(architecture: str = "llama", seed: int = 0, eos_bias: float = 0.0, **changes):
    """A nano-dialect policy around `tiny_model`."""
    return Policy(tiny_model(architecture, seed, eos_bias, **changes), byte_tokenizer())


def in_four_bits(policy, rank=4):
    """The policy with its layers in NF4 and an adapter that is no longer new."""
    pytest.importorskip("bitsandbytes")
    from bitsandbytes.nn import Linear4bit, Params4bit

    from azr_mini.adapters import add_adapter

    torch.manual_seed(0)
    for name, layer in list(policy.model.named_modules()):
        if isinstance(layer, torch.nn.Linear) and ".layers." in name:
            kind = {"compress_statistics": True, "quant_type": "nf4"}
            has_bias = layer.bias is not None
            packed = Linear4bit(layer.in_features, layer.out_features, has_bias, **kind)
            packed.weight = Params4bit(layer.weight.data, requires_grad=False, **kind).to("cpu")
            packed.bias, packed.support_avx512bf16_for_cpu = layer.bias, False
            policy.model.set_submodule(name, packed)
    policy.model.is_loaded_in_4bit = True
    adapted = Policy(add_adapter(policy.model, rank), policy.tokenizer)
    with torch.no_grad():
        for name, parameter in adapted.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return adapted
