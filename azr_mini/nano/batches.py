"""What pre-training reads: documents of a curriculum, in padded batches.

`config` is a `pretrain.PretrainConfig`.
"""

import random
from collections.abc import Iterator

import torch

from azr_mini.nano.corpus import Document, Recipe, random_document
from azr_mini.nano.processes import rank, world_size
from azr_mini.tasks import Role

# single steps first: weights of programs with 1, 2, 3, ... operations, and of the six formats
EASY = Recipe((0.80, 0.12, 0.04, 0.02, 0.02), mix=(0.60, 0.22, 0.08, 0.03, 0.03, 0.04))
HARD = Recipe((0.22, 0.25, 0.25, 0.17, 0.11), mix=(0.20, 0.33, 0.35, 0.05, 0.03, 0.04))
PROPOSAL_WEIGHT = 0.2  # of a proposal's tokens: most are free choices, nothing to learn from
POOL = 2048  # documents that are sorted by length together, so that little is padding


def recipe_at(progress: float, config) -> Recipe:
    """The mix of program sizes and formats after this share of the tokens."""
    t = min(1.0, progress / config.curriculum) if config.curriculum else 1.0

    def between(easy: tuple[float, ...], hard: tuple[float, ...]) -> tuple[float, ...]:
        return tuple((1 - t) * e + t * h for e, h in zip(easy, hard, strict=True))

    operations = between(EASY.operations, HARD.operations)
    return Recipe(operations, config.think, between(EASY.mix, HARD.mix))


def encode(tokenizer, documents: list[Document]) -> list[tuple[list[int], int, float]]:
    """(token ids with end of sequence, prompt length, loss weight) of each document."""
    prompts = tokenizer([d.prompt for d in documents], add_special_tokens=False).input_ids
    completions = tokenizer([d.completion for d in documents], add_special_tokens=False).input_ids
    eos = tokenizer.eos_token_id
    return [
        (p + c + [eos], len(p), PROPOSAL_WEIGHT if d.role is Role.PROPOSE else 1.0)
        for d, p, c in zip(documents, prompts, completions, strict=True)
    ]


def batches(
    tokenizer, config, excluded: frozenset[str], pool: int, seen: int
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """(pool number, ids, loss weights), both (B, T), of about `batch_tokens` tokens, without end.

    A pool's documents depend on the seed, its number and the tokens seen before it, so a run goes
    on with the pool after the last one that it finished.
    """
    while True:
        rng = random.Random(f"{config.seed}/{pool}/{rank()}")
        recipe = recipe_at(seen / config.tokens, config)
        rows = encode(tokenizer, [random_document(rng, recipe, excluded) for _ in range(POOL)])
        groups = grouped(rows, config.batch_tokens)
        rng.shuffle(groups)
        for group in groups:
            yield pool, *collate(group, config.prompt_weight)
        seen += world_size() * sum(len(ids) for ids, _, _ in rows)
        pool += 1


def grouped(rows: list[tuple[list[int], int, float]], batch_tokens: int) -> list[list]:
    """The rows by length, in groups of at most `batch_tokens` padded tokens."""
    groups: list[list] = [[]]
    for row in sorted(rows, key=lambda row: len(row[0])):
        if (len(groups[-1]) + 1) * padded_width(len(row[0])) > batch_tokens:
            groups.append([])
        groups[-1].append(row)
    return groups


def padded_width(length: int) -> int:
    """The length rounded up to a multiple of 8: few shapes, so that kernels are built once."""
    return -(-length // 8) * 8


def collate(
    rows: list[tuple[list[int], int, float]], prompt_weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids and the loss weight of predicting each of them, both (B, T)."""
    width = padded_width(max(len(ids) for ids, _, _ in rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)  # 0 is padding
    weights = torch.zeros(len(rows), width)
    for r, (row, prompt_length, weight) in enumerate(rows):
        ids[r, : len(row)] = torch.tensor(row)
        weights[r, 1:prompt_length] = prompt_weight
        weights[r, prompt_length : len(row)] = weight
    return ids, weights
