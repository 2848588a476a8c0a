"""The rows of a benchmark: found on this machine or downloaded, and checked before use."""

import gzip
import hashlib
import json
import os
import platform
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from azr_mini.evaluate.benchmarks import BENCHMARKS, Benchmark
from azr_mini.evaluate.downloads import GITHUB, HUB, Unreachable, from_github, from_hub


@dataclass(frozen=True)
class Dataset:
    """Rows of a benchmark, the first `limit` of them; sha256: of the whole uncompressed content.

    is_stand_in: these are other rows than the benchmark's, and a score on them is not its score.
    """

    benchmark: Benchmark
    rows: list[dict]
    num_rows: int  # in the file
    sha256: str
    is_stand_in: bool = False


def benchmark_named(name: str) -> Benchmark:
    """The benchmark of that name; ValueError that lists the names."""
    if name not in BENCHMARKS:
        raise ValueError(f"no benchmark {name!r}: use {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def load(
    benchmark: Benchmark,
    limit: int | None = None,
    path: Path | None = None,
    *,
    github: str = GITHUB,
    hub: str = HUB,
) -> Dataset:
    """The benchmark's rows from $AZR_DATA/evals, else the cache folder, else downloaded into it.

    path: a file to read instead; if its content is not the benchmark's it is marked as a stand-in.
    ValueError, in a sentence, if the data cannot be had or is not what it should be.
    """
    if path is not None:
        return _read(benchmark, path, limit, "name another file", may_be_stand_in=True)
    places = [cache_folder() / benchmark.file]
    if folder := os.environ.get("AZR_DATA"):
        places.insert(0, Path(folder) / "evals" / benchmark.file)
    for place in places:
        if place.exists():
            return _read(benchmark, place, limit, "delete it, and it is downloaded anew")
    try:
        content = _downloaded(benchmark, github, hub)
        _write(places[-1], content)
    except Unreachable as error:
        raise ValueError(
            f"no data for {benchmark.title} ({error}): {error.advice}put the file at {places[0]}"
        ) from error
    return _read(benchmark, places[-1], limit, "delete it and try again later")


def cache_folder() -> Path:
    """Where downloaded benchmarks are kept on this platform."""
    home = Path.home()
    system = {"Darwin": home / "Library" / "Caches", "Windows": home / "AppData" / "Local"}
    given = os.environ.get("LOCALAPPDATA" if platform.system() == "Windows" else "XDG_CACHE_HOME")
    base = Path(given) if given else system.get(platform.system(), home / ".cache")
    return base / "azr_mini" / "benchmarks"


def _downloaded(benchmark: Benchmark, github: str, hub: str) -> Iterable[bytes]:
    """The content in pieces, checked before anything of it is kept."""
    source, _, dataset = benchmark.origin.partition(":")
    if source == "hub":
        return _checked_lines(benchmark, from_hub(dataset, hub))
    content = from_github(benchmark.origin, github)
    found = hashlib.sha256(content).hexdigest()
    if found != benchmark.sha256:
        raise Unreachable(f"what was downloaded has sha256 {found}, not {benchmark.sha256}")
    return [content]


def _checked_lines(benchmark: Benchmark, rows: Iterator[dict]) -> Iterator[bytes]:
    """Each row with the fields that are needed as a line; Unreachable if one lacks any."""
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007
        if missing := [field for field in benchmark.fields if field not in row]:
            raise Unreachable(f"row {count} of what was downloaded lacks {missing[0]!r}")
        kept = {field: row[field] for field in benchmark.fields}
        yield (json.dumps(kept, default=str) + "\n").encode("ascii")
    if count != benchmark.num_rows:
        raise Unreachable(f"{count} rows were downloaded, not {benchmark.num_rows}")


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    """Writes a compressed file that is never seen half written, also by a second process."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(temporary, "wb") as file:
            for piece in pieces:
                file.write(piece)
        os.replace(temporary, path)
    except OSError as error:
        raise Unreachable(f"{path} cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _read(
    benchmark: Benchmark, path: Path, limit: int | None, advice: str, may_be_stand_in: bool = False
) -> Dataset:
    """The rows of a file, of which every one is checked and the first `limit` are kept."""
    rows, count = [], 0
    try:
        found = _sha256(path)
        is_stand_in = benchmark.sha256 not in (None, found)
        if is_stand_in and not may_be_stand_in:
            raise _Wrong(f"its sha256 is {found}, not {benchmark.sha256}")
        with _opened(path) as lines:
            for count, line in enumerate(lines, start=1):  # noqa: B007
                row = json.loads(line)
                if missing := [field for field in benchmark.fields if field not in row]:
                    raise _Wrong(f"row {count} lacks {missing[0]!r}")
                if limit is None or count <= limit:
                    rows.append(row)
        if not may_be_stand_in and count != benchmark.num_rows:
            raise _Wrong(f"it has {count} rows, not {benchmark.num_rows}")
        if not count:
            raise _Wrong("it has no rows")
    except _Wrong as error:
        raise ValueError(f"{path} is not {benchmark.title}: {error}; {advice}") from error
    except (OSError, EOFError, zlib.error, ValueError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise ValueError(f"{path} cannot be read ({reason}): {advice}") from error
    return Dataset(benchmark, rows, count, found, is_stand_in or count != benchmark.num_rows)


class _Wrong(Exception):
    """A file is readable but is not what it should be."""


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with _opened(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _opened(path: Path):
    with open(path, "rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
    return (gzip.open if is_compressed else open)(path, "rb")
