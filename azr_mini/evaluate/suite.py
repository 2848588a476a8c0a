"""Runs benchmarks on a model and keeps a line for each sample, so that nothing is lost.

A results folder holds `settings.json`, a `NAME.jsonl` for each benchmark with its samples in order,
and `summary.json`. Whatever stops a run, the batches that were finished stay, and it goes on there.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from azr_mini.environment import environment
from azr_mini.evaluate.aggregate import averages
from azr_mini.evaluate.answering import Runners, Settings, answer, row_id
from azr_mini.evaluate.benchmarks import Benchmark
from azr_mini.evaluate.dataset import Dataset
from azr_mini.evaluate.results import Result, result_from_json, result_of
from azr_mini.evaluate.tables import Evaluated
from azr_mini.files import append, damaged, json_line, write_whole

GRADERS = ("math-verify", "sympy", "numpy")


def run_benchmark(
    policy, sampler, runners: Runners, dataset: Dataset, settings: Settings, folder: Path
) -> Iterator[int]:
    """Adds what is missing to the benchmark's file; yields how many rows are there, first and after
    each batch.

    ValueError if the file holds other samples than these settings give.
    """
    path = samples_file(folder, dataset.benchmark)
    runners.runner(dataset.benchmark.kind)  # before the model has worked for nothing
    done = _cut_to_whole_batches(path, dataset, settings)
    yield done
    while done < len(dataset.rows):
        rows = dataset.rows[done : done + _rows_per_batch(settings)]
        records = answer(policy, sampler, runners, dataset.benchmark, rows, settings, done)
        append(path, b"".join(map(json_line, records)))
        done += len(rows)
        yield done


def samples_file(folder: Path, benchmark: Benchmark) -> Path:
    """Where the samples of a benchmark are kept."""
    return folder / f"{benchmark.name}.jsonl"


def _rows_per_batch(settings: Settings) -> int:
    return max(1, settings.batch // settings.samples)


def _cut_to_whole_batches(path: Path, dataset: Dataset, settings: Settings) -> int:
    """Leaves only whole batches in the file, so that what follows is batched as if nothing had
    stopped; the number of rows that are done.
    """
    if not path.exists():
        return 0
    lines = path.read_bytes().split(b"\n")[:-1]  # behind the last line break: half a line
    size, count = _rows_per_batch(settings), len(lines) // settings.samples
    done = count if count >= len(dataset.rows) else count // size * size
    kept = lines[: done * settings.samples]
    for number, record in enumerate(map(_record, kept)):
        row, sample = divmod(number, settings.samples)
        expected = row < len(dataset.rows) and (row_id(dataset.rows[row], row), sample)
        if (record.get("id"), record.get("sample")) != expected:
            raise damaged(path, ValueError(), f"line {number + 1}")
    os.truncate(path, sum(len(line) + 1 for line in kept))
    return done


def _record(line: bytes) -> dict:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def read_result(folder: Path, dataset: Dataset, settings: Settings) -> Result:
    """The result of a benchmark whose samples are all there."""
    lines = samples_file(folder, dataset.benchmark).read_bytes().splitlines()
    return result_of(dataset, [json.loads(line) for line in lines], settings.samples)


# ---- the folder ---------------------------------------------------------------------------------


def open_folder(folder: Path, settings: Settings, datasets: list[Dataset]) -> dict[str, Result]:
    """Makes a results folder, or checks that one was made with these settings and data; what its
    summary holds already.

    ValueError names what differs.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"{folder} cannot be made ({error.strerror}): name another --out"
        ) from error
    path, wanted = folder / "settings.json", asdict(settings)
    found = _read_json(path) if path.exists() else {**wanted, "data": {}}
    for name, value in wanted.items():
        if found.get(name) != value:
            raise ValueError(
                f"{folder} holds results with {name} = {found.get(name)}, not {value}: name "
                "another folder with --out"
            )
    data = {dataset.benchmark.name: dataset.sha256 for dataset in datasets}
    for name, digest in data.items():
        if found["data"].get(name, digest) != digest:
            raise ValueError(
                f"{folder} holds results on other rows of {name}: name another folder with --out"
            )
    write_whole(path, json.dumps(found | {"data": found["data"] | data}, indent=1) + "\n")
    return dict(read_summary(folder).results) if (folder / "summary.json").exists() else {}


def write_summary(
    folder: Path, settings: Settings, policy, results: dict[str, Result], missing: dict[str, str]
) -> Evaluated:
    """Writes `summary.json` of what is there; missing: why a benchmark has no result."""
    evaluated = Evaluated(settings.model, asdict(settings), results)
    scores = {name: result.score.estimate for name, result in results.items()}
    record = {
        "model": settings.model,
        "settings": asdict(settings),
        **environment(policy),
        "graders": {name: _version(name) for name in GRADERS},
        "results": {name: result.to_json() for name, result in results.items()},
        "missing": missing,
        "averages": asdict(averages(scores, evaluated.unfit)),
    }
    write_whole(folder / "summary.json", json.dumps(record, indent=1) + "\n")
    return evaluated


def read_summary(folder: Path) -> Evaluated:
    """What `write_summary` wrote; ValueError if the folder holds no such thing."""
    path = folder / "summary.json"
    record = _read_json(path)
    try:
        results = {name: result_from_json(found) for name, found in record["results"].items()}
        return Evaluated(record["model"], record["settings"], results)
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(path, error) from error


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _read_json(path: Path) -> dict:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(record, dict):
            return record
        raise ValueError(f"a {type(record).__name__} is no record")
    except (OSError, ValueError, RecursionError) as error:
        reason = type(error).__name__
        raise ValueError(f"{path} is not what evaluate --out writes ({reason})") from error
