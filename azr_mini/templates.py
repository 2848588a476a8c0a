"""A prompt as a model reads it: inside its chat template, or as plain text for a base model."""

from azr_mini.chat_wording import PLAIN
from azr_mini.hub import first_sentence
from azr_mini.prompts import THINK_OPEN

# Llama 3's template prints a date, today's if none is given: a prompt must not change overnight.
# Qwen3's leaves out its empty <think></think> and lets the model open the thought itself.
SETTINGS = {"date_string": "26 Jul 2024", "enable_thinking": True}


def in_template(tokenizer, prompt: str) -> str:
    """The prompt as a user's turn, with the beginning of the model's; all of it but the ids.

    What a template opens of the model's turn beyond its header (`<think>`) is cut: a completion is
    to open its thought itself, or to answer at once.
    """
    text = _rendered(tokenizer, [{"role": "user", "content": prompt}], add_generation_prompt=True)
    body = text.rstrip()
    return body.removesuffix(THINK_OPEN) if body.endswith(THINK_OPEN) else text


def in_plain_text(prompt: str) -> str:
    """The prompt as the first turn of a conversation in plain text, for a model that knows none."""
    return PLAIN.format(prompt=prompt)


def speaks_in_turns(tokenizer, stop_ids: tuple[int, ...]) -> bool:
    """Whether a model was trained on its tokenizer's chat template.

    Base models (Qwen2.5 among them) often ship the template of their chat models but do not end a
    text with the token that ends a turn in it. Chat models do: it is one of their stop ids.
    """
    if not tokenizer.chat_template:
        return False
    said = "Nothing to add."
    turns = [{"role": "user", "content": said}, {"role": "assistant", "content": said}]
    text = _rendered(tokenizer, turns)
    after = text.rpartition(said)[2].strip()
    ends = tokenizer.convert_ids_to_tokens(list(stop_ids))
    return any(after.startswith(end) for end in ends)


def _rendered(tokenizer, turns: list[dict], add_generation_prompt: bool = False) -> str:
    """The turns as the tokenizer's template writes them; ValueError if it cannot."""
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template(
            turns, add_generation_prompt=add_generation_prompt, tokenize=False, **SETTINGS
        )
    except (TemplateError, TypeError) as error:
        raise ValueError(
            f"the chat template of {tokenizer.name_or_path} does not work "
            f"({first_sentence(error)}): get the tokenizer's files again, or delete the template "
            "and use --dialect plain"
        ) from error


def stop_ids(model, tokenizer) -> tuple[int, ...]:
    """Every token that ends a completion; chat models often have several."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    configured = configured if isinstance(configured, list) else [configured]
    found = {i for i in (*configured, tokenizer.eos_token_id) if i is not None}
    if tokenizer.eos_token_id is None:
        raise ValueError(
            "the tokenizer has no end-of-sequence token, so that completions could not end: name "
            "its eos_token in tokenizer_config.json"
        )
    return tuple(sorted(found))
