"""The keys and values that attention reads while completions are written, and who may see them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from azr_mini.packing import Packing

CHUNKS = 4  # on a CPU; a GPU is not full with a part of the entries


@dataclass(frozen=True)
class StoredPacking(Packing):
    """A packing whose keys and values are kept: queries attend to all that is in the store."""

    store: "KeyValueStore | None" = None
    slots: Tensor | None = None  # (N,) entry * capacity + slot of each token
    first_entry: int = 0  # the grid's entries are the store's from here on

    def keys_values(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        entries, _, _, width = self.mask.shape
        part = slice(self.first_entry, self.first_entry + entries)
        kept = self.store.write(layer, key, value, self.slots)
        keys, values = (x[part, :width].transpose(1, 2) for x in kept)
        return keys, values


class KeyValueStore:
    """Keys and values of every layer: `entries` with `capacity` slots each."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype, self.entries, self.capacity, self.size = dtype, 0, 0, 0
        # two (size, H, D) a layer, of which the first entries * capacity are in use; never NaN,
        # because attention multiplies what it may not see by zero
        self.layers: dict[int, list[Tensor]] = {}

    def write(self, layer: int, key: Tensor, value: Tensor, slots: Tensor) -> list[Tensor]:
        """Puts packed (N, H, D) keys and values into flat `slots` (N,); returns all of the
        layer's, two (entries, capacity, H, D).
        """
        if layer not in self.layers:
            self.layers[layer] = [
                x.new_zeros(self.size, *x.shape[1:], dtype=self.dtype) for x in (key, value)
            ]
        for kept, new in zip(self.layers[layer], (key, value), strict=True):
            kept.index_copy_(0, slots, new.to(self.dtype))
        shape, used = (self.entries, self.capacity), self.entries * self.capacity
        return [kept[:used].unflatten(0, shape) for kept in self.layers[layer]]

    def rebuild(self, alive: Tensor, kept: Tensor, new_entries: int, capacity: int) -> None:
        """Keeps of the entries `alive` (K,) the slots `kept` (K, S), moved to the front; makes room
        for new entries and for `capacity` slots. Memory grows but is never given back.
        """
        entries, (count, width) = len(alive) + new_entries, kept.shape
        slots = (alive[:, None] * self.capacity + kept).flatten()
        grows = entries * capacity > self.size
        if grows:  # by half at least: each time touches all of it
            self.size = max(entries * capacity, self.size * 3 // 2)
        self.entries, self.capacity = entries, capacity
        for pair in self.layers.values():
            for index, old in enumerate(pair):
                moved = old.index_select(0, slots).unflatten(0, kept.shape)
                if grows:
                    pair[index] = old = old.new_zeros(self.size, *old.shape[1:])
                old[: entries * capacity].unflatten(0, (entries, capacity))[:count, :width] = moved


def chunks_of(fill: Tensor) -> tuple[tuple[int, int], ...]:
    """Neighbouring entries and the slots that they use, of which `fill` (E,) says how many:
    attention reads no more than that.
    """
    size = -(-len(fill) // (CHUNKS if fill.device.type == "cpu" else 1))
    widths = [int(part.max()) for part in fill.split(size)]
    lasts = [min(size * (k + 1), len(fill)) for k in range(len(widths))]
    return tuple(zip(lasts, (-(-width // 8) * 8 for width in widths), strict=True))
