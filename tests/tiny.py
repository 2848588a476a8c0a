"""A random two-layer model under the nano tokenizer: all of a real policy, in milliseconds."""

import torch

from azr_mini.policy import Policy


def tiny_policy(seed=0, lora_rank=None):
    """A new policy whose weights depend on the seed alone."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from azr_mini.nano.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=-(-len(tokenizer) // 64) * 64,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=1024,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    if lora_rank:
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(r=lora_rank, target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(model, config)
    return Policy(model, tokenizer, "tiny")
