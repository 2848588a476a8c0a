"""Decoding steps that are recorded once and replayed: Python then launches one thing, not each.

A replay reads and writes the same memory every time. So the number of rows, and how many slots
attention reads, stay as they are until the running batch is rebuilt. N rows, of which R still run;
E entries, V words.
"""

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from azr_mini.key_values import StoredPacking

Step = Callable[[], Tensor]  # running it twice is running it once


class FixedStep:
    """A decoding step of the rows that run now, to be replayed `steps_left` times.

    A row that ends repeats its last step, in its own place and its own slot, where no other row
    looks; the next rebuild drops it.
    """

    def __init__(
        self,
        forward: Callable,
        packing: StoredPacking,
        owners: Tensor,
        steps: int,
        *,
        number: Tensor,
        token: Tensor,
        position: Tensor,
        stride: Tensor,
    ) -> None:
        """packing: of the first step, wide enough for the last; owners: (E, capacity), which each
        step marks; stride: how far apart a row's slots are; the others are those of the first step,
        all (N,).
        """
        self.forward, self.owners, self.steps_left = forward, owners, steps
        self.number, self.token = number, token.clone()
        self.running = torch.arange(len(number), device=number.device)  # (R,)
        slots, width = packing.slots, packing.mask.shape[-1]
        cells = packing.places * width + slots % packing.store.capacity  # of the mask
        self.moving = torch.stack([position, slots, cells])  # (3, N)
        self.strides = torch.stack([torch.ones_like(stride), stride, stride])
        self.position, slots, self.cells = self.moving
        self.packing = replace(packing, slots=slots)
        self.replay: Step | None = None

    def run(self) -> Tensor:
        """The logits of all rows (N, V), by operations alone that a replay can repeat."""
        self.owners.view(-1).index_copy_(0, self.packing.slots, self.number)
        self.packing.mask.view(-1).index_fill_(0, self.cells, 0)
        return self.forward(self.token, self.position, 0, self.packing)

    def record(self, recorder: "Recorder") -> bool:
        """Makes the step one to replay; returns whether that worked."""
        self.replay = recorder.record(self.run)
        return self.replay is not None

    def logits(self) -> Tensor:
        """The logits of the running rows (R, V), which the next step does not overwrite."""
        self.steps_left -= 1
        return self.replay().index_select(0, self.running)

    def advance(self, token: Tensor) -> None:
        """Gives the running rows their next token (R,) and its position and slot."""
        self.token.index_copy_(0, self.running, token)
        self.moving.index_add_(1, self.running, self.strides.index_select(1, self.running))

    def keep(self, chosen: Tensor) -> None:
        """Only these of the running rows go on."""
        self.running = self.running.index_select(0, chosen)


class Recorder:
    """Makes steps that can be replayed, with `capture`, until it fails for the first time."""

    def __init__(
        self, capture: Callable[[Step], Step], tell: Callable[[str], None] = warnings.warn
    ) -> None:
        self.capture, self.tell, self.works = capture, tell, True

    def record(self, step: Step) -> Step | None:
        """The step as one that is replayed; None if it cannot be, which `tell` gets in a sentence.

        What the step returns lasts until it is next run.
        """
        try:
            return self.capture(step)
        except RuntimeError as error:  # what torch, CUDA and bitsandbytes raise
            self.works = False
            first = error.__context__ or error  # a capture that broke also complains when it ends
            reason = str(first).strip().partition("\n")[0][:200]
            self.tell(f"decoding without CUDA graphs, which is slower: {reason}")
            return None


def recorder_for(device: torch.device) -> Recorder | None:
    """What records steps on this device; None where replaying them would save nothing."""
    return Recorder(CudaGraphs(device)) if device.type == "cuda" else None


class CudaGraphs:
    """Captures steps as CUDA graphs, about as fast as they run without one.

    Each has memory of its own: torch refuses a pool all of whose graphs are gone, and the last one
    goes before the next comes, so that their memory is not held twice.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.is_warm = device, False

    def __call__(self, step: Step) -> Step:
        """The step as a graph."""
        current, stream = torch.cuda.current_stream(self.device), _side_stream(self.device)
        if not self.is_warm:  # libraries set themselves up when they are first called
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                step()
            current.wait_stream(stream)
            self.is_warm = True
        graph = torch.cuda.CUDAGraph()
        # a capture that fails leaves its stream as the current one
        with torch.cuda.stream(current):
            try:
                with torch.cuda.graph(graph, stream=stream):
                    result = step()
            except RuntimeError:
                # torch's random numbers wait for the end of a capture: this one ends
                with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=stream):
                    torch.zeros(1, device=self.device)
                raise

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay


@cache  # cuBLAS keeps memory for each stream that ever used it
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
