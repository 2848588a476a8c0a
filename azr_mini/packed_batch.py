"""The learner's batch: prompts and completions as one packed row.

Rows that share a prompt share its tokens while that is cheaper. N packed tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from azr_mini.packing import EMPTY, SHARED, Packing, as_mask, visible
from azr_mini.segments import segments


def share_prompts(
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
    pair_cost: float,
    max_tokens: float = float("inf"),
) -> list[list[int]]:
    """The rows of each entry: rows of equal prompts together while that is cheaper than apart.

    Sharing saves a prompt's linear layers, but attention grows with the square of an entry's
    length; `pair_cost` is one pair of tokens in attention over one token in the linear layers.
    """
    rows_of: dict[tuple[int, ...], list[int]] = {}
    for row, prompt in enumerate(prompt_ids):
        rows_of.setdefault(tuple(prompt), []).append(row)
    entries: list[list[int]] = []
    for prompt, rows in rows_of.items():
        length = 0
        for row in sorted(rows, key=lambda row: len(completion_ids[row])):
            new = max(0, len(completion_ids[row]) - 1)  # nothing follows the last token
            alone = len(prompt) + new
            joined = length + new
            cheaper = new + pair_cost * (joined**2 - length**2) <= alone + pair_cost * alone**2
            if length and cheaper and joined <= max_tokens:
                entries[-1].append(row)
                length = joined
            else:
                entries.append([row])
                length = alone
    return entries


def in_micro_batches(
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
    pair_cost: float,
    max_tokens: int,
    segmented: bool = False,
) -> list[list[int]]:
    """All rows in batches of at most `max_tokens` for `pack`, rows of a prompt together; a row that
    is longer is a batch of its own. Tokens of padding count, where there is a grid.
    """
    entries = share_prompts(prompt_ids, completion_ids, pair_cost, max_tokens)
    sizes = [
        len(prompt_ids[rows[0]]) + sum(max(0, len(completion_ids[row]) - 1) for row in rows)
        for rows in entries
    ]
    batches: list[list[int]] = []
    used = width = 0
    for index in sorted(range(len(entries)), key=lambda index: -sizes[index]):
        # longest first, so the first entry of a batch sets the width of its grid
        size = sizes[index] if segmented else width
        if batches and used + size <= max_tokens:
            batches[-1] += entries[index]
            used += size
        else:
            batches.append(list(entries[index]))
            used = width = sizes[index]
    return batches


@dataclass(frozen=True)
class PackedBatch:
    """Prompts and completions as one packed row, and where each completion token is predicted."""

    ids: Tensor  # (N,)
    positions: Tensor  # (N,) in its own sequence, from 0
    packing: Packing
    keep: Tensor  # (K,) the packed tokens that predict a completion token
    predicted_by: Tensor  # (sum of completion lengths,) row by row, an index into `keep`


def pack(
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
    pair_cost: float,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    segmented: bool = False,
) -> PackedBatch:
    """The batch without padding; prompts must not be empty, completions may be.

    segmented: attention takes the sequences as they are, so that there is no grid and no mask.
    """
    ids: list[int] = []
    positions: list[int] = []
    owners: list[list[int]] = []
    before: list[list[int]] = [[] for _ in prompt_ids]  # of each row's tokens, the one before it
    entries = share_prompts(prompt_ids, completion_ids, pair_cost)
    for rows in entries:
        prompt = prompt_ids[rows[0]]
        ids += prompt
        positions += range(len(prompt))
        owners.append([SHARED] * len(prompt))
        last = len(ids) - 1
        for number, row in enumerate(rows, start=1):
            inputs = completion_ids[row][:-1]
            if completion_ids[row]:
                before[row] = [last, *range(len(ids), len(ids) + len(inputs))]
            ids += inputs
            positions += range(len(prompt), len(prompt) + len(inputs))
            owners[-1] += [number] * len(inputs)

    if segmented:
        lengths = [
            (len(prompt_ids[rows[0]]), [max(0, len(completion_ids[row]) - 1) for row in rows])
            for rows in entries
        ]
        packing = Packing.without_grid(segments(lengths, device), dtype)
    else:
        packing = _on_grid(owners, dtype, device, causal=len(entries) == len(prompt_ids))
    predicted_by = torch.tensor([i for row in before for i in row], dtype=torch.long, device=device)
    keep, predicted_by = predicted_by.unique(return_inverse=True)
    return PackedBatch(
        torch.tensor(ids, device=device),
        torch.tensor(positions, device=device),
        packing,
        keep,
        predicted_by,
    )


def _on_grid(owners: list[list[int]], dtype: torch.dtype, device, causal: bool) -> Packing:
    """The packing of entries whose tokens have these owners."""
    multiple = column_multiple(torch.device(device))
    columns = -(-max(map(len, owners)) // multiple) * multiple
    grid = torch.tensor([own + [EMPTY] * (columns - len(own)) for own in owners], device=device)
    places = (grid != EMPTY).flatten().nonzero()[:, 0]
    return Packing(places, as_mask(visible(grid, grid).tril_(), dtype), causal=causal)


def column_multiple(device: torch.device) -> int:
    """What the width of a mask is a multiple of: a GPU's kernel would copy others in each layer."""
    return 8 if device.type == "cuda" else 1
