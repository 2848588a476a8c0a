"""The running batch of the sampler: its rows, and the keys and values they attend to.

R rows (completions being written) sit in E entries (their prompts). An entry keeps the keys and
values of its prompt once, and after them those of its rows' tokens, in the order in which they were
written; a mask tells whose they are. So attention reads a prompt once for all its attempts, and the
linear layers see only rows that still run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from azr_mini.decoding import Decoder, forward_pass
from azr_mini.key_values import KeyValueStore, StoredPacking, chunks_of
from azr_mini.packing import EMPTY, SHARED, as_mask, visible
from azr_mini.policy import Policy
from azr_mini.replay import FixedStep, Recorder

IDLE = -2  # owner of a column of the grid in which no row runs: it sees only the prompt


@dataclass(frozen=True)
class Rebuilds:
    """When keys and values are moved together: after so many steps, or when a smaller share of the
    rows still runs.
    """

    steps: int
    share: float


# where steps are replayed, each rebuild is followed by a recording
RUN, REPLAYED = Rebuilds(16, 0.8), Rebuilds(48, 0.5)


class RunningBatch:
    """The rows that run, sorted by entry, and the keys and values of their entries."""

    def __init__(self, policy: Policy, recorder: Recorder | None = None) -> None:
        """recorder: what makes the steps of `decoding.Decoder` replayable; None runs each."""
        self.policy, self.store = policy, KeyValueStore(policy.dtype)
        self.forward = forward_pass(policy)
        self.recorder = recorder if isinstance(self.forward, Decoder) else None
        self.rebuilds = RUN if self.recorder is None else REPLAYED
        self.fixed: FixedStep | None = None  # the step that is replayed until the next rebuild
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
        if self.fixed:
            self.fixed.advance(self.token)

    def decode(self) -> Tensor:
        """One forward pass over the token that each row took last; returns the logits (R, V)."""
        few = len(self.rows) < self.rebuilds.share * self.rows_at_rebuild
        if self.fixed and self.fixed.steps_left and not few:
            logits = self.fixed.logits()
        else:
            logits = self._first_step(few)
        self.position = self.position + 1
        return logits

    def _first_step(self, rebuild: bool) -> Tensor:
        """A step that is not replayed, or the first of those that are."""
        lane, counts = self._lanes()
        lanes = int(counts.max())
        if rebuild or self.fixed or int(self.fill.max()) + lanes > self.store.capacity:
            self._rebuild(0, lanes, 0)
            lane, counts = self._lanes()
        records = self.recorder is not None and self.recorder.works
        steps = self._steps_left(counts) if records else 1
        slot = self.fill[self.entry] + lane
        self.owners[self.entry, slot] = self.number
        self.fill += counts
        packing = self._packing(lane, lanes, slot, self.fill + (steps - 1) * counts)
        if records:
            fixed = FixedStep(
                self.forward, packing, self.owners, steps, number=self.number, token=self.token,
                position=self.position, stride=counts[self.entry],
            )  # fmt: skip
            if fixed.record(self.recorder):
                self.fixed, self.rows_at_rebuild = fixed, len(self.rows)
                return fixed.logits()
        return self.forward(self.token, self.position, 0, packing)

    def _steps_left(self, counts: Tensor) -> int:
        """Steps until an entry is full if no row of its `counts` (E,) ends."""
        return int(((self.store.capacity - self.fill) // counts.clamp(min=1)).min())

    def _packing(self, lane: Tensor, lanes: int, slot: Tensor, reach: Tensor) -> StoredPacking:
        """Where the newest tokens sit; attention reads the slots of an entry up to `reach` (E,)."""
        chunks = chunks_of(reach)
        width = max(width for _, width in chunks)
        seen = visible(self.owners[:, :width], self._lane_owners(lane, lanes))
        return StoredPacking(
            self.entry * lanes + lane,
            as_mask(seen, self.policy.dtype),
            chunks,
            self.store,
            self.entry * self.store.capacity + slot,
        )

    def _lanes(self) -> tuple[Tensor, Tensor]:
        """Each row's number among the running rows of its entry (R,), and their counts (E,)."""
        counts = torch.bincount(self.entry, minlength=len(self.fill))
        starts = counts.cumsum(0) - counts
        return torch.arange(len(self.rows), device=counts.device) - starts[self.entry], counts

    def _keep_rows(self, chosen: Tensor) -> None:
        for name in ("rows", "entry", "number", "position", "token"):
            setattr(self, name, getattr(self, name)[chosen])
        if self.fixed:
            self.fixed.keep(chosen)

    def _lane_owners(self, lane: Tensor, lanes: int) -> Tensor:
        owners = self.number.new_full((len(self.fill), lanes), IDLE)
        owners[self.entry, lane] = self.number
        return owners  # (E, lanes)

    def _rebuild(self, new_entries: int, lanes: int, columns: int) -> None:
        """Drops the entries and slots of rows that left, sorts entries by the slots that they use
        (so that neighbours are alike), and makes room for new entries.
        """
        self.fixed = None
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
        capacity = max(width, columns) + lanes * self.rebuilds.steps
        self.store.rebuild(alive, kept, new_entries, -(-capacity // 8) * 8)
        owners = self.owners.new_full((len(alive) + new_entries, self.store.capacity), EMPTY)
        # behind the slots in use may stand some of rows that left: no row that runs sees them
        owners[: len(alive), :width] = self.owners[alive].gather(1, kept)
        self.owners = owners
        self.fill = torch.cat([self.fill[: len(alive)], alive.new_zeros(new_entries)])
        moved_to = counts.scatter(0, alive, torch.arange(len(alive), device=alive.device))
        self.entry = moved_to[self.entry]
        self._keep_rows(self.entry.argsort(stable=True))
        self.rows_at_rebuild = len(self.rows)


def _append(tensor: Tensor, values: list[int]) -> Tensor:
    return torch.cat([tensor, tensor.new_tensor(values)])
