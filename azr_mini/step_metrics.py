"""The numbers of one step, under TRL's names with our two axes: role and task type.

A key whose value does not exist in a step (no completion was truncated, say) is left out.
"""

import statistics
import time
from collections import Counter, defaultdict

from azr_mini.behaviour import flagged_phrases
from azr_mini.buffer import TripleBuffer
from azr_mini.prompts import thought
from azr_mini.tasks import Role, Rollout, TaskType
from azr_mini.validate import REJECTIONS


def summarize(rollouts: list[Rollout], buffer: TripleBuffer) -> dict[str, float]:
    """Every metric that the rollouts and the buffer tell."""
    metrics: dict[str, float] = {}
    for role in Role:
        for type in TaskType:
            group = [r for r in rollouts if r.group == (role, type)]
            if group:
                metrics |= _group_metrics(f"{role.value}/{type.value}", group)
    for type in TaskType:
        metrics |= _proposal_metrics(type, [r for r in rollouts if r.group == (Role.PROPOSE, type)])
        attempts = [r for r in rollouts if r.group == (Role.SOLVE, type)]
        if attempts:
            right = [r.verdict == "correct" for r in attempts]
            metrics[f"solve_rate/{type.value}"] = statistics.fmean(right)
            metrics[f"frac_reward_zero_std/solve/{type.value}"] = _frac_zero_std(attempts)
        metrics[f"buffer/size/{type.value}"] = buffer.size(type)
        metrics[f"buffer/distinct/{type.value}"] = buffer.distinct(type)
    rates = [r.solve_rate for r in rollouts if r.solve_rate is not None]
    metrics["learnable_frac"] = _share(0 < rate < 1 for rate in rates)
    return metrics


def _group_metrics(name: str, group: list[Rollout]) -> dict[str, float]:
    lengths = sorted(len(r.completion_ids) for r in group)
    ended = [len(r.completion_ids) for r in group if not r.truncated]
    prefix = f"completion_length/{name}"
    metrics = {
        f"reward/{name}": statistics.fmean(r.reward for r in group),
        f"thinking_share/{name}": _share(r.thinks for r in group),
        f"flagged_thoughts/{name}": sum(_is_flagged(r) for r in group),
        f"{prefix}/mean": statistics.fmean(lengths),
        f"{prefix}/p50": statistics.median(lengths),
        f"{prefix}/p90": lengths[-(-9 * len(lengths) // 10) - 1],
        f"{prefix}/max": lengths[-1],
        f"{prefix}/truncated": 1 - len(ended) / len(group),  # the share that was cut
    }
    if ended:
        metrics[f"{prefix}/terminated"] = statistics.fmean(ended)  # mean length of the others
    return metrics


def _is_flagged(rollout: Rollout) -> bool:
    return bool(flagged_phrases(thought(rollout.completion)))


def _proposal_metrics(type: TaskType, proposals: list[Rollout]) -> dict[str, float]:
    if not proposals:
        return {}
    verdicts = Counter(r.verdict for r in proposals)
    equal = len({r.reward for r in proposals}) == 1
    metrics = {
        f"valid_rate/{type.value}": verdicts["valid"] / len(proposals),
        f"duplicate_rate/{type.value}": _share(
            "duplicate" in (r.verdict, r.detail) for r in proposals
        ),
        f"frac_reward_zero_std/propose/{type.value}": float(equal),
    }
    for name in REJECTIONS:
        metrics[f"rejected/{type.value}/{name}"] = verdicts[name] / len(proposals)
    return metrics


def _frac_zero_std(attempts: list[Rollout]) -> float:
    """The share of tasks whose attempts all earned the same; GRPO learns nothing from them."""
    rewards = defaultdict(set)
    for rollout in attempts:
        rewards[rollout.task_index].add(rollout.reward)
    return _share(len(different) == 1 for different in rewards.values())


def _share(flags) -> float:
    flags = list(flags)
    return sum(flags) / len(flags) if flags else 0.0


class Clock:
    """The seconds of each phase of a step."""

    def __init__(self):
        self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, phase: str) -> None:
        """Books the time since the last lap on a phase."""
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._last
        self._last = now

    def metrics(self, rollouts: list[Rollout]) -> dict[str, float]:
        """Seconds of each phase, and the completion tokens a second of the phases that have any."""
        tokens = {role.value: 0 for role in Role}
        for rollout in rollouts:
            tokens[rollout.role.value] += len(rollout.completion_ids)
        tokens["update"] = sum(tokens.values())
        metrics = {f"time/{phase}": seconds for phase, seconds in self.seconds.items()}
        for phase, count in tokens.items():
            if self.seconds.get(phase):
                metrics[f"tokens_per_second/{phase}"] = count / self.seconds[phase]
        return metrics
