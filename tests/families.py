"""Tiny models of real families with their chat templates, shortened to what decides a prompt.

Left out of the templates: tools, other roles, and the lines about the model's maker.
"""

import re
from dataclasses import dataclass

from tiny_models import byte_tokenizer, tiny_model

from azr_mini import chat_wording
from azr_mini.policy import Policy

# Lines of the prompts, each one token: else a prompt has two thousand bytes and as many tokens.
LINES = tuple(
    sorted(
        {
            line
            for name, text in vars(chat_wording).items()
            if name.isupper()
            for line in re.split(r"\{.*?\}|\n", text)
            if len(line) > 20
        }
    )
)
_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN2 = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a helpful assistant."
    "<|im_end|>\n{% endif %}" + _CHATML
)
# its last answer is shown with its thought; without thinking a thought is closed at once
QWEN3 = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)
OPENS_THOUGHT = _CHATML.replace("assistant\n", "assistant\n<think>\n")  # Qwen3 Thinking, R1
LLAMA = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\n"
    "Today Date: {{ date_string if date_string is defined else strftime_now('%d %b %Y') }}\n\n"
    "<|eot_id|>{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
QWEN_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
LLAMA_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
)


@dataclass(frozen=True)
class Family:
    """What differs between families besides their weights."""

    architecture: str
    tokens: tuple[str, ...]
    template: str | None
    eos: str  # of the tokenizer
    stops: tuple[str, ...]  # of the generation configuration
    pad: str | None
    bos: str | None = None


FAMILIES = {
    "Qwen2.5-Coder-Instruct": Family(
        "qwen2", QWEN_TOKENS, QWEN2, "<|im_end|>", ("<|im_end|>", "<|endoftext|>"), "<|endoftext|>"
    ),
    "Qwen2.5": Family(  # a base model that ships the template of its chat model
        "qwen2", QWEN_TOKENS, QWEN2, "<|endoftext|>", ("<|endoftext|>",), "<|endoftext|>"
    ),
    "Qwen3": Family(
        "qwen3", QWEN_TOKENS, QWEN3, "<|im_end|>", ("<|im_end|>", "<|endoftext|>"), "<|endoftext|>"
    ),
    "Qwen3-Thinking": Family(
        "qwen3", QWEN_TOKENS, OPENS_THOUGHT, "<|im_end|>", ("<|im_end|>",), "<|endoftext|>"
    ),
    "Llama-3.1-Instruct": Family(
        "llama",
        LLAMA_TOKENS,
        LLAMA,
        "<|eot_id|>",
        ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
        None,
        "<|begin_of_text|>",
    ),
    "Llama-3.1": Family(
        "llama",
        LLAMA_TOKENS,
        None,
        "<|end_of_text|>",
        ("<|end_of_text|>",),
        None,
        "<|begin_of_text|>",
    ),
}
CHAT = ("Qwen2.5-Coder-Instruct", "Qwen3", "Qwen3-Thinking", "Llama-3.1-Instruct")


def family_tokenizer(family: Family):
    """A byte-level tokenizer with the family's special tokens and template."""
    tokenizer = byte_tokenizer((*family.tokens, *LINES))
    tokenizer.eos_token, tokenizer.pad_token = family.eos, family.pad
    tokenizer.bos_token, tokenizer.chat_template = family.bos, family.template
    return tokenizer


def family_policy(name: str, **changes) -> Policy:
    """A tiny model with random weights that stops and speaks as its family does."""
    family = FAMILIES[name]
    tokenizer = family_tokenizer(family)
    settings = {"max_position_embeddings": 4096, "bos_token_id": None, "pad_token_id": None}
    model = tiny_model(family.architecture, **settings | changes)
    stops = [tokenizer.convert_tokens_to_ids(stop) for stop in family.stops]
    model.generation_config.eos_token_id = stops if len(stops) > 1 else stops[0]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return Policy(model, tokenizer, name)
