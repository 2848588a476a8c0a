"""The score of a model on a benchmark, from the records of its samples."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from azr_mini.evaluate.benchmarks import BENCHMARKS
from azr_mini.evaluate.dataset import Dataset
from azr_mini.evaluate.intervals import Interval, pass_at_k, share_interval

KS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Result:
    """What k samples at each of n rows gave. Scores are in percent, intervals 95 % over rows."""

    benchmark: str
    rows: int  # that were answered
    num_rows: int  # in the data
    samples: int  # at each row
    is_stand_in: bool
    sha256: str  # of the data
    prompts_sha256: str  # of the hashes of all prompts
    pass_at: dict[int, Interval]
    reasons: dict[str, int]  # how many samples, by reason
    truncated: float  # share of samples
    mean_tokens: float

    @property
    def score(self) -> Interval:
        """pass@1: the share of samples that are right."""
        return self.pass_at[1]

    @property
    def why_not_whole(self) -> str:
        """What is wrong with the score as the benchmark's, or ""."""
        if self.is_stand_in:
            return f"{self.rows} stand-in rows"
        whole = BENCHMARKS[self.benchmark].num_rows
        return f"{self.rows} of {whole} rows" if self.rows < whole else ""

    def to_json(self) -> dict:
        """A dict of plain JSON values; `result_from_json` reads it back."""
        pass_at = {str(k): asdict(interval) for k, interval in self.pass_at.items()}
        return asdict(self) | {"pass_at": pass_at}


def result_from_json(record: Mapping) -> Result:
    """The result that `to_json` wrote."""
    pass_at = {int(k): Interval(**interval) for k, interval in record["pass_at"].items()}
    return Result(**{**record, "pass_at": pass_at})


def result_of(dataset: Dataset, records: list[Mapping], samples: int) -> Result:
    """The result of samples that were written row by row, all of a row together."""
    assert len(records) == samples * len(dataset.rows) > 0, (len(records), samples)
    scores = np.array([record["score"] for record in records])
    right = scores.reshape(-1, samples).sum(axis=1).astype(int)
    return Result(
        benchmark=dataset.benchmark.name,
        rows=len(right),
        num_rows=dataset.num_rows,
        samples=samples,
        is_stand_in=dataset.is_stand_in,
        sha256=dataset.sha256,
        prompts_sha256=_digest(record["prompt_sha256"] for record in records),
        pass_at={k: _percent(pass_at_k(samples, right, k)) for k in KS if k <= samples},
        reasons=dict(Counter(record["reason"] for record in records).most_common()),
        truncated=float(np.mean([record["truncated"] for record in records])),
        mean_tokens=float(np.mean([record["tokens"] for record in records])),
    )


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _percent(values: np.ndarray) -> Interval:
    found = share_interval(values)
    return Interval(100 * found.estimate, 100 * found.low, 100 * found.high)
