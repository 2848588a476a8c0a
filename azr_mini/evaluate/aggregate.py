"""The averages of the paper's Table 1: code, math, and both."""

from collections.abc import Mapping
from dataclasses import dataclass

from azr_mini.evaluate.benchmarks import BENCHMARKS, CODE, MATH


@dataclass(frozen=True)
class Average:
    """A mean score in percent, or None and the reason why it would be no such mean."""

    value: float | None
    reason: str = ""


@dataclass(frozen=True)
class Averages:
    """CAvg over three code benchmarks, MAvg over six math ones, AVG: the mean of the two."""

    code: Average
    math: Average
    overall: Average


def averages(scores: Mapping[str, float], unfit: Mapping[str, str] | None = None) -> Averages:
    """The averages of scores by benchmark, each refused while a part of it is missing or unfit.

    unfit: why a score is not the benchmark's (partial, a stand-in), by benchmark.
    """
    code, math = (_mean(group, scores, unfit or {}) for group in (CODE, MATH))
    if code.value is None or math.value is None:
        reason = "; ".join(part.reason for part in (code, math) if part.reason)
        return Averages(code, math, Average(None, reason))
    return Averages(code, math, Average((code.value + math.value) / 2))


def _mean(group: str, scores: Mapping[str, float], unfit: Mapping[str, str]) -> Average:
    members = [benchmark for benchmark in BENCHMARKS.values() if benchmark.group == group]
    problems = [
        f"{benchmark.title}: {unfit.get(benchmark.name) or 'missing'}"
        for benchmark in members
        if benchmark.name not in scores or unfit.get(benchmark.name)
    ]
    if problems:
        return Average(None, ", ".join(problems))
    return Average(sum(scores[benchmark.name] for benchmark in members) / len(members))
