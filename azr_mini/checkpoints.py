"""Checkpoints of a run folder: written beside the last one, renamed when complete, checked at use.

`checkpoint/` is the newest, `checkpoint.previous/` the one before. Whenever the process is killed,
one of them is whole. Its `state.json` holds size and CRC-32 of every other file, and of the part of
the appended files that belongs to it, so that a file that was cut or changed is never gone on from.
"""

import json
import os
import shutil
import zlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from azr_mini.files import checksum, sync

CURRENT, PREVIOUS, STATE = "checkpoint", "checkpoint.previous", "state.json"
TEMPORARY, OLD, DAMAGED = "checkpoint.tmp", "checkpoint.old", "checkpoint.damaged"
Sums = dict[str, tuple[int, int]]  # bytes and CRC-32 of each file, or of its beginning


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found whole; `note` says which newer one was not."""

    folder: Path
    step: int
    appended: Sums  # what of each appended file belongs to it
    note: str = ""


def save(run: Path, state, appended: Iterable[str], known: Sums) -> Sums:
    """Writes the state as the newest checkpoint of a run folder and keeps the one before.

    appended: names of the files that only grow. known: sums of their beginnings, so that these are
    not read again. Returns their sums now. OSError or an error of torch if it cannot be written;
    the last checkpoint is then still there.
    """
    import torch

    temporary = run / TEMPORARY
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        state.policy.save(temporary)
        with open(temporary / "optimizer.pt", "wb") as file:  # by path, a full disk has no errno
            torch.save(state.optimizer.state_dict(), file)
        state.buffer.save(temporary / "buffer.jsonl")
        files = {path.relative_to(temporary).as_posix(): path for path in _files(temporary)}
        record = {
            "step": state.step,
            "skipped_in_a_row": state.skipped_in_a_row,
            "micro_batch_tokens": state.micro_batch_tokens,
            "loss_scale": astuple(state.loss_scale),
            "files": {name: checksum(path) for name, path in files.items()},
            "appended": {name: _grown(run / name, known.get(name, (0, 0))) for name in appended},
        }
        (temporary / STATE).write_text(_sealed(record), encoding="ascii")
        for path in [*(run / name for name in appended), *sorted(temporary.rglob("*")), temporary]:
            if path.exists():
                sync(path)
        _put_in_place(run)
    except Exception:
        shutil.rmtree(temporary, ignore_errors=True)  # what it holds may be what fills the disk
        raise
    return record["appended"]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _grown(path: Path, known: tuple[int, int]) -> tuple[int, int]:
    """The sum of a file whose beginning is known."""
    size = path.stat().st_size if path.exists() else 0
    start, crc = known if known[0] <= size else (0, 0)
    return checksum(path, start, size, crc)


def _put_in_place(run: Path) -> None:
    """Makes the complete temporary folder the newest checkpoint; between any two lines one is."""
    shutil.rmtree(run / OLD, ignore_errors=True)
    if (run / CURRENT).exists():
        if (run / PREVIOUS).exists():
            os.rename(run / PREVIOUS, run / OLD)
        os.rename(run / CURRENT, run / PREVIOUS)
    os.rename(run / TEMPORARY, run / CURRENT)
    sync(run)
    shutil.rmtree(run / OLD, ignore_errors=True)


def last_whole(run: Path, appended: bool) -> Checkpoint | None:
    """The newest checkpoint without damage, or None if the run has none yet.

    appended: whether the appended files must be whole as well, as for going on. ValueError if there
    are checkpoints and each is damaged.
    """
    found = []
    for folder in (run / CURRENT, run / PREVIOUS):
        if not folder.exists():
            continue
        record = _read(folder)
        damage = STATE if record is None else _damage(folder, run, record, appended)
        name = "checkpoint" if record is None else f"checkpoint of step {record['step']}"
        if damage:
            found.append(f"{name} is damaged ({damage})")
            continue
        note = f"{found[0]}: going on from step {record['step']}" if found else ""
        return Checkpoint(folder, record["step"], _sums(record["appended"]), note)
    if found:
        raise ValueError(
            f"{run}: {' and '.join(found)}, and nothing was changed: restore it from a copy or "
            "start a new run"
        )
    return None


def _read(folder: Path) -> dict | None:
    """What state.json records, or None if it is not what was written."""
    try:
        text = (folder / STATE).read_text(encoding="ascii")
        record = json.loads(text)
        record.pop("crc32")
        return record if text == _sealed(record) else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def _sealed(record: dict) -> str:
    """The record as one line of JSON that holds its own CRC-32."""
    crc = zlib.crc32(json.dumps(record).encode("ascii"))
    return json.dumps({**record, "crc32": crc}) + "\n"


def _damage(folder: Path, run: Path, record: dict, appended: bool) -> str | None:
    """The first file that is not what was written, or None."""
    expected = [(name, folder / name, total) for name, total in _sums(record["files"]).items()]
    if appended:
        sums = _sums(record["appended"])
        expected += [(name, run / name, total) for name, total in sums.items()]
    for name, path, (size, crc) in expected:
        whole = path.stat().st_size if path.exists() else 0
        fits = whole >= size if path.parent == run else whole == size and path.exists()
        if not fits or checksum(path, 0, size) != (size, crc):
            return name
    return None


def _sums(lists: dict[str, list[int]]) -> Sums:
    return {name: (size, crc) for name, (size, crc) in lists.items()}


def put_aside_damaged(run: Path, usable: Checkpoint) -> None:
    """Renames a damaged newest checkpoint, so that it never takes the place of the whole one."""
    if usable.folder == run / PREVIOUS and (run / CURRENT).exists():
        shutil.rmtree(run / DAMAGED, ignore_errors=True)
        os.rename(run / CURRENT, run / DAMAGED)
        sync(run)
