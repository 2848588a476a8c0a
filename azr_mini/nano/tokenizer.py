"""The nano vocabulary: bytes, prompt tags, pieces of Python, and the numbers 10 to 99.

With a token for each two-digit number an addition is one step; digit by digit, additions came long
after every operation that needs no carry.
"""

import re

from azr_mini.nano.operations import CONDITIONS, OPERATIONS
from azr_mini.prompts import NANO_TAGS

PAD, EOS = "<pad>", "<eos>"
PIECES = (
    "def f(", "):\n    ", "\n    ", "\n        ", "\n            ", "return ", "if ", "else:",
    "for ", " in ", " if ", " for ", "range(", ":\n        ", " = 0\n    ",
    " = ", " + ", " - ", " * ", " // ", " % ", " > ", " < ", " == ", ", ", ": ", " % 2 == 0",
    "abs(", "max(", "min(", "sum(", "len(", "sorted(", "list(", "str(", "list(range(", "''.join(",
    "[::-1]", "[1:]", "[:-1]", "[:", "[0]", "[-1]", "[1]", ".upper()", ".values()", " + [",
    "[v + ", "[v * ", "[v for v in ", " for v in ", "{v: v + ", "for v in ", "for i in range(",
    "True", "False", "None", "if True", "if False", "Hello", "World", "set()",
    *map(str, range(10, 100)),
)  # fmt: skip
WORDS = tuple(
    sorted(
        {o.word for o in OPERATIONS + CONDITIONS} | {"if", "loop", "same", "the input, unchanged"}
    )
)


def vocabulary() -> list[str]:
    """Every piece that is a token of its own besides bytes and tags, longest first."""
    return sorted({*PIECES, *WORDS}, key=lambda piece: (-len(piece), piece))


def build_tokenizer():
    """A fast tokenizer that cuts text into known pieces and single bytes; any text round-trips."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    byte_symbols = _byte_symbols()
    pieces = vocabulary()
    vocab = {PAD: 0, EOS: 1}
    for tag in NANO_TAGS:
        vocab[tag] = len(vocab)
    for byte in range(256):
        vocab[byte_symbols[byte]] = len(vocab)
    for piece in pieces:
        vocab.setdefault("".join(byte_symbols[b] for b in piece.encode()), len(vocab))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[], ignore_merges=True))
    pattern = "|".join(map(re.escape, pieces)) + r"|[\s\S]"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(t, normalized=False, special=True) for t in (PAD, EOS)]
    )
    tokenizer.add_tokens([AddedToken(t, normalized=False, special=False) for t in NANO_TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )


def _byte_symbols() -> list[str]:
    """The printable character that the byte-level alphabet writes for each byte."""
    from tokenizers import pre_tokenizers

    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {b: chr(b) for b in printable}
    for n, b in enumerate(b for b in range(256) if b not in symbols):
        symbols[b] = chr(256 + n)
    assert set(symbols.values()) == set(level.alphabet())
    return [symbols[b] for b in range(256)]
