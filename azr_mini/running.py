"""The running batch of the sampler: its rows, and the keys and values they attend to.

R rows (completions being written) sit in E entries (their prompts). An entry keeps the keys and
values of its prompt once, and after them those of its rows' tokens, in the order in which they were
written; a mask tells whose they are. So attention reads a prompt once for all its attempts, and the
linear layers see only rows that still run.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from azr_mini.decoding import forward_pass
from azr_mini.key_values import KeyValueStore, StoredPacking, chunks_of
from azr_mini.packing import EMPTY, SHARED, as_mask, visible
from azr_mini.policy import Policy

IDLE = -2  # owner of a column of the grid in which no row runs: it sees only the prompt
STEPS_BETWEEN_REBUILDS = 16
WORTH_A_REBUILD = 0.8  # share of the rows that still run: what the others wrote is then dropped


class RunningBatch:
    """The rows that run, sorted by entry, and the keys and values of their entries."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.store = policy, KeyValueStore(policy.dtype)
        self.forward = forward_pass(policy)
        none = torch.zeros(0, dtype=torch.long, device=policy.device)
        self.rows = self.entry = self.number = self.token = self.position = none  # (R,)
        self.fill = none  # (E,) slots in use
        self.rows_at_rebuild = 0
        self.owners = none.reshape(0, 0)  # (E, capacity)

    def admit(self, prompts: list[Sequence[int]], rows: list[range]) -> Tensor:
        """Adds an entry for each prompt, with these rows; returns their first logits (new R, V)."""
        device, lengths = self.policy.device, [*map(len, prompts)]
        counts, columns = [*map(len, rows)], max(lengths)
        self._rebuild(len(prompts), max(counts), columns)
        first = len(self.fill) - len(prompts)
        lengths_ = torch.tensor(lengths, device=device)
        self.fill[first:] = lengths_
        column = torch.arange(columns, device=device)
        filled = column < lengths_[:, None]  # (new E, columns)
        self.owners[first:, :columns].masked_fill_(filled, SHARED)
        places = filled.flatten().nonzero()[:, 0]
        entry, column = places // columns, places % columns
        # causal order is all the mask needs: what stands after a prompt is padding
        causal = torch.ones(1, columns, columns, dtype=torch.bool, device=device).tril()
        packing = StoredPacking(
            places,
            as_mask(causal, self.policy.dtype).expand(len(prompts), -1, -1, -1),
            causal=True,
            store=self.store,
            slots=(first + entry) * self.store.capacity + column,
            first_entry=first,
        )
        ids = torch.tensor([i for prompt in prompts for i in prompt], device=device)
        logits = self.forward(ids, column, lengths_.cumsum(0) - 1, packing)

        siblings = torch.tensor(counts, device=device)
        entry = torch.arange(len(prompts), device=device).repeat_interleave(siblings)
        self.rows = _append(self.rows, [row for ids in rows for row in ids])
        self.entry = torch.cat([self.entry, first + entry])
        self.number = _append(self.number, [1 + k for count in counts for k in range(count)])
        self.position = torch.cat([self.position, lengths_[entry]])
        return logits.index_select(0, entry)

    def take(self, tokens: Tensor, done: Tensor) -> None:
        """Gives the newest len(tokens) rows their token; those that are done leave."""
        self.token = torch.cat([self.token[: len(self.rows) - len(tokens)], tokens])
        if done.any():
            older = done.new_zeros(len(self.rows) - len(done))
            self._keep_rows((~torch.cat([older, done])).nonzero()[:, 0])

    def decode(self) -> Tensor:
        """One forward pass over the token that each row took last; returns the logits (R, V)."""
        lane, counts = self._lanes()
        lanes = int(counts.max())
        full = int(self.fill.max()) + lanes > self.store.capacity
        if full or len(self.rows) < WORTH_A_REBUILD * self.rows_at_rebuild:
            self._rebuild(0, lanes, 0)
            lane, counts = self._lanes()
        slot = self.fill[self.entry] + lane
        self.fill += counts
        self.owners[self.entry, slot] = self.number
        chunks = chunks_of(self.fill)
        width = max(width for _, width in chunks)
        seen = visible(self.owners[:, :width], self._lane_owners(lane, lanes))
        packing = StoredPacking(
            self.entry * lanes + lane,
            as_mask(seen, self.policy.dtype),
            chunks,
            self.store,
            self.entry * self.store.capacity + slot,
        )
        logits = self.forward(self.token, self.position, 0, packing)
        self.position = self.position + 1
        return logits

    def _lanes(self) -> tuple[Tensor, Tensor]:
        """Each row's number among the running rows of its entry (R,), and their counts (E,)."""
        counts = torch.bincount(self.entry, minlength=len(self.fill))
        starts = counts.cumsum(0) - counts
        return torch.arange(len(self.rows), device=counts.device) - starts[self.entry], counts

    def _keep_rows(self, chosen: Tensor) -> None:
        for name in ("rows", "entry", "number", "position", "token"):
            setattr(self, name, getattr(self, name)[chosen])

    def _lane_owners(self, lane: Tensor, lanes: int) -> Tensor:
        owners = self.number.new_full((len(self.fill), lanes), IDLE)
        owners[self.entry, lane] = self.number
        return owners  # (E, lanes)

    def _rebuild(self, new_entries: int, lanes: int, columns: int) -> None:
        """Drops the entries and slots of rows that left, sorts entries by the slots that they use
        (so that neighbours are alike), and makes room for new entries.
        """
        lane, counts = self._lanes()
        alive = counts.nonzero()[:, 0]  # (K,)
        width, kept = 0, alive.new_zeros(len(alive), 0)
        if len(alive):
            lanes = max(lanes, int(counts.max()))
            owned = visible(self.owners, self._lane_owners(lane, int(counts.max()))).any(dim=1)
            alive = alive[owned[alive].sum(dim=1).argsort(stable=True)]
            owned = owned[alive]
            self.fill = owned.sum(dim=1)
            width = int(self.fill.max())
            kept = owned.logical_not().long().argsort(dim=1, stable=True)[:, :width]  # (K, width)
        capacity = max(width, columns) + lanes * STEPS_BETWEEN_REBUILDS
        self.store.rebuild(alive, kept, new_entries, -(-capacity // 8) * 8)
        owners = self.owners.new_full((len(alive) + new_entries, self.store.capacity), EMPTY)
        if len(alive):
            used = torch.arange(width, device=alive.device) < self.fill[:, None]
            owners[: len(alive), :width] = (
                self.owners[alive].gather(1, kept).masked_fill(~used, EMPTY)
            )
        self.owners = owners
        self.fill = torch.cat([self.fill[: len(alive)], alive.new_zeros(new_entries)])
        moved_to = counts.scatter(0, alive, torch.arange(len(alive), device=alive.device))
        self.entry = moved_to[self.entry]
        self._keep_rows(self.entry.argsort(stable=True))
        self.rows_at_rebuild = len(self.rows)


def _append(tensor: Tensor, values: list[int]) -> Tensor:
    return torch.cat([tensor, tensor.new_tensor(values)])
