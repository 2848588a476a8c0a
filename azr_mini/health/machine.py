"""Measures of the policy (entropy, gradient, sampler) and of the machine (memory, time)."""

import numpy as np

from azr_mini.health.history import (
    SLOPE,
    WARM_UP,
    WINDOW,
    History,
    Measured,
    against_first,
    earlier,
    recent,
)

FALLEN = 0.3  # entropy below this share of its first level has collapsed
FEW = 5  # steps are enough for what no sampling makes jump


def entropy_ratio(history: History) -> Measured:
    """How many times its entropy of the first steps the policy has."""
    return {place: against_first(x, FEW) for place, x in history.one("entropy").items()}


def low_entropy(history: History) -> Measured:
    """The entropy of a policy that began low; one that fell has `entropy_ratio`."""
    return {
        place: np.where(against_first(x, FEW) <= FALLEN, np.nan, recent(x, FEW))
        for place, x in history.one("entropy").items()
    }


def kl(history: History) -> Measured:
    """The KL divergence to the base, nats a token."""
    return {place: recent(x, FEW) for place, x in history.one("kl").items()}


def gradient_ratio(history: History) -> Measured:
    """How many times its first size the gradient has, by medians: one spike is clipped anyway."""
    found = history.one("grad_norm")
    return {place: against_first(x, FEW, np.median) for place, x in found.items()}


def skipped_updates(history: History) -> Measured:
    """The updates thrown away in the last ten steps, or in all of them while there are fewer."""
    found = {}
    for place, skipped in history.one("update_skipped").items():
        total = np.cumsum(np.nan_to_num(skipped))
        found[place] = total - np.nan_to_num(earlier(total, WINDOW))
    return found


def smaller_micro_batches(history: History) -> Measured:
    """How many times as many tokens a micro-batch was configured to have as it now has."""
    if history.config is None:
        return {}
    configured = history.config.micro_batch_tokens
    return {place: configured / now for place, now in history.one("micro_batch_tokens").items()}


def exact_gap(history: History) -> Measured:
    """Sampler against learner in float32, where they should agree but for rounding."""
    return _gap(history) if _is_exact(history) else {}


def rounded_gap(history: History) -> Measured:
    """Sampler against learner in half precision, in 4 bits, or in unknown arithmetic."""
    return {} if _is_exact(history) else _gap(history)


def importance_capped(history: History) -> Measured:
    """The share of sampled tokens whose importance weight was capped, if another engine samples."""
    return {place: recent(x, FEW) for place, x in history.one("importance_capped").items()}


def _gap(history: History) -> Measured:
    return {place: recent(x, FEW) for place, x in history.one("logp_gap").items()}


def _is_exact(history: History) -> bool:
    config = history.config
    return config is not None and config.dtype == "float32" and not config.quantize


def memory_slope(history: History) -> Measured:
    """What memory grew by in the last steps, as a share of its level after warming up."""
    found = {}
    for place, held in history.at("memory/").items():
        now = recent(held, FEW, np.median)
        grown = (now - earlier(now, SLOPE)) / _warm(held)
        begins = WARM_UP[0] + SLOPE + FEW  # before, the slope still holds some of the warming up
        found[place] = np.where(np.arange(len(held)) + 1 >= begins, grown, np.nan)
    return found


def memory_ratio(history: History) -> Measured:
    """How many times its level after warming up memory has."""
    return {
        place: recent(held, FEW, np.median) / _warm(held)
        for place, held in history.at("memory/").items()
    }


def _warm(held: np.ndarray) -> float:
    known = held[slice(*WARM_UP)]
    known = known[np.isfinite(known)]
    return float(np.median(known)) if len(held) >= WARM_UP[1] and known.any() else np.nan


def step_time(history: History) -> Measured:
    """How many times as long as the first steps the last ones took; step 0 also warms up."""
    phases = list(history.at("time/").values())
    if not phases:
        return {}
    return {"": against_first(np.sum(phases, axis=0), WINDOW, np.median, skip=1)}
