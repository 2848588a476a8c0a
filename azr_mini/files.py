"""Files of a run: appended to, read while they grow, or written whole; torn ends are left out."""

import errno
import io
import json
import math
import os
import zlib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path


def damaged(path: Path, error: Exception, place: str = "") -> ValueError:
    """What to raise for a file that is not what was written."""
    reason, where = type(error).__name__, f" in {place}" if place else ""
    return ValueError(f"{path} is damaged{where} ({reason}): restore it or start a new run")


def unwritable(path: Path, error: Exception) -> ValueError:
    """What to raise when a run cannot be written to: the reason, and what to do about it."""
    cause = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__  # torch hides the error of the file behind one of its own
    reason = cause.strerror if cause is not None else str(error).partition("\n")[0][:200]
    reason = reason or type(error).__name__
    number = cause.errno if cause is not None else None
    if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        advice = "make the folder writable or name another one with --run"
    else:
        advice = "make room on the disk, then go on with --resume"
    return ValueError(f"{path} cannot be written ({reason}): {advice}")


def plain(value):
    """The value of an enum, the text of anything else that JSON lacks."""
    return value.value if isinstance(value, Enum) else str(value)


def json_line(record: dict) -> bytes:
    """A record as one line of ASCII; null stands for numbers that JSON lacks."""
    finite = {key: None if _is_nan_or_infinite(value) else value for key, value in record.items()}
    return (json.dumps(finite, default=plain) + "\n").encode("ascii")


def _is_nan_or_infinite(value) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def json_lines(path: Path) -> Iterator[dict]:
    """The records of a file, or else of the compressed PATH.gz, none if both are missing.

    ValueError that names a damaged line.
    """
    if path.exists():
        file = open(path, "rb")
    else:
        path = path.with_name(path.name + ".gz")
        file = io.BytesIO(b"".join(gzip_members(path)))
    with file as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return  # it is being written, or its writer was killed
            try:
                record = json.loads(line.decode("utf-8"))
                if not isinstance(record, dict):
                    raise ValueError(f"a {type(record).__name__} is no record")
            except (ValueError, RecursionError) as error:  # bytes that are no UTF-8 included
                raise damaged(path, error, f"line {number}") from error
            yield record


def gzip_members(path: Path) -> Iterator[bytes]:
    """The content of each complete gzip member; ValueError that names the file if it is damaged."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        member, parts, number = zlib.decompressobj(wbits=31), [], 1
        while block := file.read(1 << 16):
            while block:
                try:
                    parts.append(member.decompress(block))
                except zlib.error as error:
                    raise damaged(path, error, f"step {number}, counted from 1") from error
                block = member.unused_data
                if member.eof:
                    yield b"".join(parts)
                    member, parts, number = zlib.decompressobj(wbits=31), [], number + 1


def append(path: Path, content: bytes) -> None:
    """Adds bytes to the end of a file; ValueError, saying what to do, if they do not fit."""
    try:
        with open(path, "ab") as file:
            file.write(content)
    except OSError as error:
        raise unwritable(path, error) from error


def checksum(path: Path, start: int = 0, end: int | None = None, crc: int = 0) -> tuple[int, int]:
    """Size and CRC-32 of a file up to `end`; `crc` is that of what stands before `start`."""
    position = start
    if position == end:
        return position, crc
    with open(path, "rb") as file:
        file.seek(start)
        while block := file.read(1 << 20 if end is None else min(1 << 20, end - position)):
            crc = zlib.crc32(block, crc)
            position += len(block)
    return position, crc


def write_whole(path: Path, text: str) -> None:
    """Writes a file that is never seen half written; ValueError if it cannot be written."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def sync(path: Path) -> None:
    """Waits until a file or a folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
