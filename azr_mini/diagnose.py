"""What is wrong with a run, if anything: health rules over its metrics, with what to do."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
import pandas as pd

from azr_mini.config import Config
from azr_mini.health.history import HEAD, SLOPE, TAIL, WINDOW, History
from azr_mini.health.machine_rules import MACHINE_RULES
from azr_mini.health.rule import Rule
from azr_mini.health.selfplay_rules import SELFPLAY_RULES

ROUNDING = 1e-9  # a mean that is the threshold fires, whatever the order of its sum

RULES: tuple[Rule, ...] = SELFPLAY_RULES + MACHINE_RULES


@dataclass(frozen=True)
class Finding:
    """A rule that fired at a place, with the numbers of the first step at which it did."""

    rule: str
    step: int  # the first at which it held
    where: str  # such as "solve/induction"; "" is the whole run
    value: float
    threshold: float
    sentence: str
    advice: str
    last_step: int  # the last at which it held


def diagnose(
    metrics: pd.DataFrame, config: Config | None = None, heldout: Iterable[dict] = ()
) -> list[Finding]:
    """Every rule that fires anywhere in a run, in the order of the steps.

    metrics: `Run.metrics`, one row a step. config: some rules need it. heldout: `Run.heldout`,
    which tells a solve rate that jumped from one that was earned. A few steps have no findings.
    """
    steps = [int(step) for step in metrics.index]
    return _findings(history_of(metrics, config, heldout), steps)


def history_of(
    metrics: pd.DataFrame, config: Config | None = None, heldout: Iterable[dict] = ()
) -> History:
    """What the measures read, from what `diagnose` is given."""
    numbers = {key: pd.to_numeric(metrics[key], errors="coerce") for key in metrics}
    columns = {key: _finite(values.to_numpy(float)) for key, values in numbers.items()}
    return History(columns, config, heldout_gains(heldout))


def _findings(history: History, steps: list[int]) -> list[Finding]:
    found = []
    for rule in RULES:
        for place, values in rule.measure(history).items():
            # a comparison with NaN is False: where too little is known no rule fires
            beyond = rule.threshold - values if rule.below else values - rule.threshold
            fires = beyond >= -ROUNDING
            rows = np.flatnonzero(fires)
            if len(rows):
                first, last = steps[rows[0]], steps[rows[-1]]
                found.append(_finding(rule, place, float(values[rows[0]]), first, last))
    return sorted(found, key=lambda finding: finding.step)


def _finding(rule: Rule, place: str, value: float, first: int, last: int) -> Finding:
    role, _, type = place.rpartition("/")
    words = {"share": _share(value), "value": value, "steps": f"the last {WINDOW} steps"}
    words |= {"slope": SLOPE, "place": place, "role": role, "type": type}
    sentence = rule.sentence.format(**words)
    sentence = sentence[0].upper() + sentence[1:]
    advice = "What to do: " + rule.advice.format(**words)
    return Finding(rule.name, first, place, value, rule.threshold, sentence, advice, last)


def _share(value: float) -> str:
    """A share for people: none, 0.4%, 37%, all."""
    if value in (0, 1):
        return "all" if value else "none"
    return f"{value:.1%}" if abs(value) < 0.0095 else f"{value:.0%}"


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)  # files of a run hold no infinity either


def known_config(run) -> Config:
    """The configuration of a `Run`, with the arithmetic that `auto` turned out to be."""
    return replace(run.config, dtype=run.record.get("dtype") or run.config.dtype)


def heldout_gains(records: Iterable[dict]) -> dict[str, float]:
    """By type, the accuracy gained from the first to the last sampled held-out evaluation."""
    sampled = [r for r in records if r["temperature"] > 0 and r["forced"] is None]
    if len(sampled) < 2:
        return {}
    first, last = sampled[0]["types"], sampled[-1]["types"]
    return {t: last[t]["accuracy"] - first[t]["accuracy"] for t in first if t in last}


class Watch:
    """Looks at a run step by step and tells each finding of `diagnose` once, when it first fires.

    It keeps the first and the last steps only, so that a step of a long run costs as little as one
    of a short run. metrics: the steps that were made before, of a run that goes on.
    """

    def __init__(self, config: Config | None = None, metrics: pd.DataFrame | None = None):
        self._config = config
        self._steps: list[int] = []
        self._rows: list[dict[str, float]] = []
        self._told: set[tuple[str, str]] = set()
        if metrics is not None and len(metrics):
            self._told = {(found.rule, found.where) for found in diagnose(metrics, config)}
            for step, row in zip(metrics.index, metrics.to_dict("records"), strict=True):
                self._add(int(step), row)

    def see(self, step: int, metrics: dict[str, float]) -> list[Finding]:
        """The findings that the metrics of this step bring about."""
        self._add(step, metrics)
        keys = dict.fromkeys(key for row in self._rows for key in row)
        columns = {key: np.array([row.get(key, np.nan) for row in self._rows]) for key in keys}
        found = _findings(History(columns, self._config), self._steps)
        new = [f for f in found if f.last_step == step and (f.rule, f.where) not in self._told]
        self._told |= {(finding.rule, finding.where) for finding in new}
        return new

    def _add(self, step: int, metrics: dict[str, float]) -> None:
        self._steps.append(step)
        self._rows.append({key: _number(value) for key, value in metrics.items()})
        if len(self._rows) > HEAD + TAIL:
            del self._steps[HEAD], self._rows[HEAD]


def _number(value) -> float:
    known = isinstance(value, Real) and np.isfinite(value)
    return float(value) if known else np.nan
