"""Operations and bytes that an update and a decoding step need at least, and what cards can do.

Pure arithmetic. An entry is a prompt with the completions that share it: (its tokens, [theirs]).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from azr_mini.held_memory import FLOAT, nf4_bytes
from azr_mini.shapes import Shape

Entry = tuple[int, Sequence[int]]

# Dense matrix products in 16 bits (operations a second) and memory (bytes a second), as in the
# data sheets of the maker, by words of the device's name
PEAKS = {
    "H200": (989e12, 4.8e12),
    "H100 80GB HBM3": (989e12, 3.35e12),
    "A100-SXM4-80GB": (312e12, 2.039e12),
    "A100-SXM4-40GB": (312e12, 1.555e12),
    "L40S": (362e12, 0.864e12),
    "RTX 4090": (165e12, 1.008e12),
    "L4": (121e12, 0.3e12),
    "T4": (65e12, 0.32e12),
}


def peaks_of(device: str) -> tuple[float, float] | None:
    """(operations a second, bytes a second) of a card by its name; None if it is not known here."""
    known = (found for name, found in PEAKS.items() if f" {name} " in f" {device} ")
    return next(known, None)


@dataclass(frozen=True)
class Work:
    """What the tokens of some entries ask for: tokens in the layers, pairs in attention, tokens
    whose successor is scored.
    """

    tokens: int
    pairs: int
    scored: int


def work_of(entries: Sequence[Entry]) -> Work:
    """The work of these entries; a token sees itself and what is before it."""
    tokens = pairs = scored = 0
    for prompt, completions in entries:
        tokens += prompt
        pairs += prompt * (prompt + 1) // 2
        scored += 1 if completions else 0  # the prompt's last token predicts every first one
        for length in completions:
            new = max(0, length - 1)  # nothing follows the last token
            tokens += new
            pairs += new * prompt + new * (new + 1) // 2
            scored += new
    return Work(tokens, pairs, scored)


def forward_flops(shape: Shape, work: Work, rank: int = 0) -> dict[str, int]:
    """Operations of a forward pass by kind: a product of (m, k) and (k, n) takes 2 m k n."""
    widths = sum(map(sum, shape.matrices))
    return {
        "matrices": 2 * work.tokens * shape.layers * shape.matrix_parameters,
        "adapter": 2 * work.tokens * shape.layers * rank * widths,
        "attention": 4 * work.pairs * shape.layers * shape.queries,
        "head": 2 * work.scored * shape.vocabulary * shape.hidden,
    }


def update_flops(shape: Shape, work: Work, rank: int) -> int:
    """Operations of a forward and a backward pass that train an adapter, nothing computed twice.

    The frozen matrices and the head pass a gradient on but get none; attention has four products
    backward for its two forward.
    """
    forward = forward_flops(shape, work, rank)
    factors = {"matrices": 2, "adapter": 3, "attention": 3, "head": 2}
    return sum(factors[kind] * flops for kind, flops in forward.items())


def weight_bytes_read(shape: Shape, rank: int, width: int = 2, packed: bool = True) -> int:
    """Bytes of weights that a decoding step reads: layers, in NF4 if packed, their adapter, and
    the head.
    """
    sizes = [inputs * outputs for inputs, outputs in shape.matrices]
    layer = sum(map(nf4_bytes, sizes)) if packed else width * sum(sizes)
    layer += FLOAT * rank * sum(map(sum, shape.matrices))
    return shape.layers * layer + width * shape.vocabulary * shape.hidden


def generation_bytes(
    shape: Shape,
    rank: int,
    prompts: int,
    attempts: int,
    prompt: int,
    new: int,
    waves: int = 1,
    packed: bool = True,
) -> int:
    """Bytes that the decoding steps of a generation read at least, if every completion has `new`
    tokens: the weights once a step and wave, each prompt's keys and values once for its attempts,
    and those that each row wrote itself.
    """
    steps = new - 1  # the first token comes from the pass over the prompts
    token = 2 * 2 * shape.layers * shape.keys  # key and value, 16 bits
    own = prompts * attempts * steps * (steps + 1) // 2
    kept = token * (prompts * prompt * steps + own)
    return waves * steps * weight_bytes_read(shape, rank, packed=packed) + kept
