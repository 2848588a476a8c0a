"""A CUDA graph's promise on any device: the same operations on the same memory, without Python."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# operations that wait for the device
WAITS = {
    torch.ops.aten.item.default,
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
}


class Tape(TorchDispatchMode):
    """The operations that ran while it was entered; RuntimeError if Python reads a number of a
    tensor, as in a capture.
    """

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in WAITS:
            raise RuntimeError("operation not permitted when stream is capturing")
        result = function(*args, **(kwargs or {}))
        self.operations.append((function, args, kwargs or {}, result))
        return result

    def play(self):
        """Runs the operations again; what they returned then holds the new numbers."""
        for function, args, kwargs, result in self.operations:
            again = function(*args, **kwargs)
            for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class TapeCapture:
    """What `replay.CudaGraphs` is on a GPU; counts its captures, and the replays of each."""

    def __init__(self):
        self.replays = []

    def __call__(self, step):
        with Tape() as tape:
            logits = step()
        number = len(self.replays)
        self.replays.append(0)

        def replay():
            assert number == len(self.replays) - 1, "a step that was replaced is replayed"
            self.replays[number] += 1
            tape.play()
            return logits

        return replay
