"""Measures of the learning signal: what is proposed, how it is solved, what that is worth."""

from collections.abc import Iterator

import numpy as np

from azr_mini.health.history import History, Measured, earlier, recent
from azr_mini.rewards import PROPOSER_REWARDS

CUT = 0.1  # from this share of cut completions on, cutting is the trouble
MOST = 0.5  # of the tasks: more than this unsolved, or solved by all, has a rule of its own
JUMP = 0.3  # a solve rate that rises by so much within WINDOW steps jumps
LEARNED = 0.1  # held-out accuracy gained that explains a jump


def learnable(history: History) -> Measured:
    """The share of new tasks that some but not all attempts solve, over steps that had new ones."""
    rates = list(history.at("valid_rate/").values())
    # without a new task the metric is 0, and then the proposer is the trouble
    new = np.nansum(rates, axis=0) > 0 if rates else True
    found = history.one("learnable_frac")
    return {place: recent(np.where(new, values, np.nan)) for place, values in found.items()}


def equal_proposals(history: History) -> Measured:
    """The share of steps whose proposals all earned the same although some were valid."""
    found = {}
    for type, equal in history.at("frac_reward_zero_std/propose/").items():
        valid = history.columns.get(f"valid_rate/{type}", np.ones(len(equal)))
        found[f"propose/{type}"] = recent(np.where(valid > 0, equal, np.nan))
    return found


def _tasks(history: History) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """By type, of the last steps: share of tasks whose attempts earned the same, and solve rate."""
    if history.config is not None and history.config.solve_batch == "fresh":
        return  # one attempt a task trains, and one reward is always equal to itself
    for type, equal in history.at("frac_reward_zero_std/solve/").items():
        rate = history.columns.get(f"solve_rate/{type}", np.full(len(equal), np.nan))
        yield f"solve/{type}", recent(equal), recent(rate)


def unsolved(history: History) -> Measured:
    """At least so many tasks were solved by no attempt, though not all of these were malformed.

    Of the tasks whose attempts earned the same, at most the solve rate were solved by all, and at
    most the malformed share of the answers are malformed in all.
    """
    malformed = _malformed(history)
    return {
        place: equal - rate - np.maximum(recent(malformed[place]), 0)
        for place, equal, rate in _tasks(history)
        if place in malformed
    }


def all_solved(history: History) -> Measured:
    """At least so many tasks were solved by every attempt: at most 1 - solve rate by none."""
    return {place: equal - (1 - rate) for place, equal, rate in _tasks(history)}


def equal_attempts(history: History) -> Measured:
    """The share of tasks whose attempts all earned the same, where most are neither all right nor
    all wrong: attempts that hardly differ.
    """
    found = {}
    for place, equal, rate in _tasks(history):
        mixed = (equal - rate < MOST) & (equal - (1 - rate) < MOST)
        found[place] = np.where(mixed, equal, np.nan)
    return found


def malformed_proposals(history: History) -> Measured:
    """The share of proposals that did not parse, beyond those that were cut."""
    found = {}
    for type, parse in history.at("rejected/", "/parse").items():
        found[f"propose/{type}"] = recent(parse - _cut(history, f"propose/{type}", len(parse)))
    return found


def malformed_answers(history: History) -> Measured:
    """The share of answers that did not parse, beyond those that were cut."""
    return {
        place: recent(malformed - _cut(history, place, len(malformed)))
        for place, malformed in _malformed(history).items()
    }


def _malformed(history: History) -> Measured:
    """The share of answers that did not parse, in each step.

    A right answer earns 1, a wrong one -0.5, a malformed one -1: with solve rate c and mean reward
    r the malformed share is 3c - 1 - 2r. Without the format reward this is never above 0.
    """
    return {
        f"solve/{type}": 3 * rate - 1 - 2 * history.columns[f"reward/solve/{type}"]
        for type, rate in history.at("solve_rate/").items()
        if f"reward/solve/{type}" in history.columns
    }


def _cut(history: History, place: str, count: int) -> np.ndarray:
    """The share that was cut at `max_new_tokens`, 0 where it was not recorded."""
    cut = history.columns.get(f"completion_length/{place}/truncated", np.zeros(count))
    return np.nan_to_num(cut)


def near_limit(history: History) -> Measured:
    """The 90th percentile of the lengths as a share of the longest allowed, if few are cut."""
    if history.config is None:
        return {}
    found = {}
    for place, p90 in history.at("completion_length/", "/p90").items():
        cut = recent(_cut(history, place, len(p90)))
        near = recent(p90) / history.config.max_new_tokens
        found[place] = np.where(cut < CUT, near, np.nan)
    return found


def jumped_solve_rate(history: History) -> Measured:
    """The solve rate where it jumped within ten steps, unless held-out accuracy moved with it."""
    found = {}
    for type, rate in history.at("solve_rate/").items():
        now = recent(rate, 5)
        jumped = now - earlier(now, 10) >= JUMP
        learned = history.heldout_gains.get(type, 0.0) >= LEARNED
        found[f"solve/{type}"] = np.where(jumped & (not learned), now, np.nan)
    return found


def of_best_reward(history: History) -> Measured:
    """The proposer's mean reward as a share of the highest that a single proposal can earn."""
    config = history.config
    attempts = config.num_attempts if config else 8
    shape = PROPOSER_REWARDS[config.proposer_reward if config else "one_minus"]
    best = max(shape(right / attempts) for right in range(attempts + 1))
    if best <= 0:  # one attempt at each task: nothing is ever learnable
        return {}
    found = history.at("reward/propose/", role="propose/")
    return {place: recent(reward) / best for place, reward in found.items()}


def buffer_growth(history: History) -> Measured:
    """The tasks that joined the buffer in the last ten steps, unless it is full."""
    found = {}
    for type, size in history.at("buffer/size/").items():
        full = history.config is not None and history.config.buffer_cap
        growing = np.where(size >= full, np.nan, size) if full else size
        found[f"propose/{type}"] = growing - earlier(size, 10)
    return found


def new_programs(history: History) -> Measured:
    """Of the tasks that joined the buffer in the last ten steps, the share with a new program."""
    found = {}
    for type, size in history.at("buffer/size/").items():
        distinct = history.columns.get(f"buffer/distinct/{type}", np.full(len(size), np.nan))
        joined = size - earlier(size, 10)
        joined = np.where(joined > 0, joined, np.nan)
        found[f"propose/{type}"] = (distinct - earlier(distinct, 10)) / joined
    return found
