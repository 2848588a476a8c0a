"""Bytes of the tensors that live at once, counted on any device."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):
    """While it is entered, `peak` is the most bytes that new tensors held at one time (none on
    the meta device).
    """

    def __init__(self):
        super().__init__()
        self.sizes, self.now, self.peak = {}, 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        arguments = tree_leaves((args, kwargs))
        old = {id(t.untyped_storage()) for t in arguments if isinstance(t, torch.Tensor)}
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and not tensor.is_meta:
                storage = tensor.untyped_storage()
                key = id(storage)
                if key not in old and key not in self.sizes:
                    size = storage.nbytes()
                    gone = weakref.ref(storage, lambda _, key=key: self._forget(key))
                    self.sizes[key] = (size, gone)
                    self.now += size
                    self.peak = max(self.peak, self.now)
        return result

    def _forget(self, key):
        self.now -= self.sizes.pop(key)[0]
