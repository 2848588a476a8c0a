"""One process at a time writes to a folder; the system ends its claim when it dies."""

import os
from pathlib import Path
from weakref import WeakValueDictionary

from azr_mini.files import unwritable

try:
    import fcntl
except ImportError:  # on Windows, where nothing is locked
    fcntl = None

LOCK = "lock"
_held: WeakValueDictionary = WeakValueDictionary()  # the claims of this process by folder


class Lock:
    """A claim on a run folder that lasts as long as this object, and no longer than its process."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor

    def __del__(self):
        os.close(self._descriptor)


def lock(folder: Path, option: str = "--run") -> Lock:
    """The claim of this process on a folder; ValueError if another process has it.

    option: what names another folder on the command line.
    """
    key = (os.getpid(), folder.resolve())
    found = _held.get(key)
    if found is None:
        found = _held[key] = _claim(folder, option)
    return found


def _claim(folder: Path, option: str) -> Lock:
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise unwritable(folder, error) from error
    claim = Lock(descriptor)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        raise ValueError(
            f"{folder} is in use: process {owner} writes to it; wait for its end, stop it, or "
            f"name another folder with {option}"
        ) from None
    except OSError:  # a file system without locks: better unguarded than refused
        return claim
    try:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    except OSError as error:
        raise unwritable(folder, error) from error
    return claim
