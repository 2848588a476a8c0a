"""The texts of a completion's tokens, as far as a tokenizer is at hand without loading a model."""

from collections.abc import Callable, Sequence
from pathlib import Path

from azr_mini.hub import find_model
from azr_mini.runs import Run

TokenTexts = Callable[[Sequence[int]], list[str]]


def token_texts(run: Run) -> TokenTexts | None:
    """A function from completion ids to one text each; None if the tokenizer is not on this disk.

    A token that is only part of a character shows as U+FFFD.
    """
    from tokenizers import Tokenizer

    file = Path(find_model(run.record["config"]["model"]), "tokenizer.json")
    if not file.is_file():
        return None
    tokenizer = Tokenizer.from_file(str(file))
    return lambda ids: [tokenizer.decode([i], skip_special_tokens=False) for i in ids]
