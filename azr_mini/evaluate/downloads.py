"""Benchmark files from where they are published: GitHub at a fixed commit, or the Hugging Face hub.

The hosts are parameters, for a mirror or a test. Nothing that is downloaded is run.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

GITHUB, HUB = "https://raw.githubusercontent.com", "https://huggingface.co"
TIMEOUT = 60  # seconds without a byte
# release_v5 of LiveCodeBench; the dataset's further files are later releases
PARTS = {
    "livecodebench/code_generation_lite": [
        "test.jsonl", "test2.jsonl", "test3.jsonl", "test4.jsonl", "test5.jsonl",
    ]
}  # fmt: skip


NETWORK, PACKAGES = "connect to a network, or ", "pip install pandas pyarrow, or "


class Unreachable(ValueError):
    """A file cannot be had; the message says why, `advice` what would help."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


def from_github(origin: str, host: str = GITHUB) -> bytes:
    """The content of "owner/repository:path@commit", uncompressed; Unreachable if it is not had."""
    place, _, commit = origin.rpartition("@")
    repository, _, path = place.partition(":")
    url = f"{host}/{repository}/{commit}/{quote(path)}"
    try:
        with urlopen(url, timeout=TIMEOUT) as response:
            content = response.read()
        return gzip.decompress(content) if path.endswith(".gz") else content
    except (OSError, HTTPException, EOFError, zlib.error) as error:
        raise Unreachable(f"{url}: {_first_line(error)}", NETWORK) from error


def from_hub(dataset: str, host: str = HUB) -> Iterator[dict]:
    """The rows of a dataset's test split on the hub; Unreachable if they are not had.

    Its JSON Lines or Parquet files are read; a loading script is never run.
    """
    from huggingface_hub import HfApi, hf_hub_download

    try:
        names = HfApi(endpoint=host).list_repo_files(dataset, repo_type="dataset")
        wanted = PARTS.get(dataset) or _test_files(names)
        if not wanted or set(wanted) - set(names):
            raise Unreachable(f"{dataset} has other files on the hub than it had")
        for name in wanted:
            path = Path(hf_hub_download(dataset, name, repo_type="dataset", endpoint=host))
            yield from _parquet(path) if name.endswith(".parquet") else _lines(path)
    except Unreachable:
        raise
    except ImportError as error:
        raise Unreachable(f"{dataset} on the hub: {_first_line(error)}", PACKAGES) from error
    except Exception as error:  # the library's, its HTTP client's, the disk's
        raise Unreachable(f"{dataset} on the hub: {_first_line(error)}", NETWORK) from error


def _test_files(names: list[str]) -> list[str]:
    for ending in (".jsonl", ".parquet"):
        found = sorted(name for name in names if name.endswith(ending) and "test" in name)
        if found:
            return found
    return []


def _lines(path: Path) -> Iterator[dict]:
    with open(path, encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def _parquet(path: Path) -> Iterator[dict]:
    import pandas as pd

    yield from pd.read_parquet(path).to_dict("records")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
