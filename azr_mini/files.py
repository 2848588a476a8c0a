"""Files of a run: appended to, read while they grow, or written whole; torn ends are left out."""

import json
import math
import os
import zlib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path


def damaged(path: Path, error: Exception) -> ValueError:
    """What to raise for a file that is not what was written."""
    reason = type(error).__name__
    return ValueError(f"{path} is damaged ({reason}): restore it or start a new run")


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
    """The records of a file, none if it is missing; ValueError that names it if it is damaged."""
    if not path.exists():
        return
    with open(path, "rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return  # it is being written, or its writer was killed
            try:
                record = json.loads(line.decode("utf-8"))
                if not isinstance(record, dict):
                    raise ValueError(f"a {type(record).__name__} is no record")
            except (ValueError, RecursionError) as error:  # bytes that are no UTF-8 included
                raise damaged(path, error) from error
            yield record


def gzip_members(path: Path) -> Iterator[bytes]:
    """The content of each complete gzip member; ValueError that names the file if it is damaged."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        member, parts = zlib.decompressobj(wbits=31), []
        while block := file.read(1 << 16):
            while block:
                try:
                    parts.append(member.decompress(block))
                except zlib.error as error:
                    raise damaged(path, error) from error
                block = member.unused_data
                if member.eof:
                    yield b"".join(parts)
                    member, parts = zlib.decompressobj(wbits=31), []


def write_whole(path: Path, text: str) -> None:
    """Writes a file that is never seen half written."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    sync(temporary)
    os.replace(temporary, path)


def sync(path: Path) -> None:
    """Waits until a file or a folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
