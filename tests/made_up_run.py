"""A run folder with made-up numbers of the shapes that real runs have, for tests of its readers."""

import math
import random
from dataclasses import dataclass
from pathlib import Path

from azr_mini.config import Config
from azr_mini.runs import Run
from azr_mini.tasks import Role, Rollout, Task, TaskType

CAUSES = ("parse", "error", "duplicate", "syntax", "timeout", "unsafe", "output", "heldout")


@dataclass(frozen=True)
class MadeUpStep:
    """What `Run.append` reads of a step."""

    step: int
    metrics: dict[str, float]
    rollouts: list[Rollout]


def made_up_run(folder: Path, num_steps: int = 12, batch_size: int = 4, seed: int = 0) -> Run:
    """A run of `num_steps` made-up steps with two held-out evaluations."""
    rng = random.Random(seed)
    run = Run.create(folder, Config(num_steps=num_steps, batch_size=batch_size))
    run.append_heldout(made_up_heldout(0, 0.35, rng))
    for step in range(num_steps):
        done = step / max(1, num_steps - 1)
        rollouts = [r for type in TaskType for r in _rollouts(type, done, batch_size, rng)]
        run.append(MadeUpStep(step, _metrics(step, done, rng), rollouts))
    run.append_heldout(made_up_heldout(num_steps, 0.5, rng))
    return run


def made_up_heldout(step: int, accuracy: float, rng: random.Random, tasks: int = 60) -> dict:
    """The record of a held-out evaluation, harder from type to type."""
    types = {}
    for index, type in enumerate(TaskType):
        chance = accuracy - 0.08 * index
        ease = [rng.betavariate(1.5 * chance, 1.5 * (1 - chance)) for _ in range(tasks)]
        rows = ["".join(str(int(rng.random() < p)) for _ in range(4)) for p in ease]
        types[type.value] = {
            "correct": rows,
            "accuracy": sum(row.count("1") for row in rows) / (4 * tasks),
            "thinking_share": 0.5,
            "truncated_share": 0.0,
            "mean_length": 30.0,
        }
    sampling = {"temperature": 1.0, "num_samples": 4, "forced": None}
    return {"step": step, **sampling, "types": types}


def _metrics(step: int, done: float, rng: random.Random) -> dict[str, float]:
    def near(value: float, spread: float = 0.05) -> float:
        return value + rng.gauss(0, spread)

    metrics = {
        "learnable_frac": min(1, max(0, near(0.55))),
        "entropy": near(0.6 - 0.25 * done, 0.02),
        "kl": max(0.0, near(0.12 * done, 0.01)),
        "grad_norm": abs(near(0.8, 0.15)),
        "clip_fraction": 0.0,
        "logp_gap": abs(near(1e-6, 3e-7)),
        "memory/rss": 1.1e9 + 2e6 * rng.random(),
    }
    if step % 3 == 2:
        metrics |= _evaluation("eval", 0.35 + 0.2 * done)
    elif step == 0:
        metrics |= _evaluation("eval_before", 0.35)
    for phase, seconds in (("propose", 0.7), ("validate", 0.3), ("solve", 1.8), ("update", 1.5)):
        metrics[f"time/{phase}"] = max(0.05, near(seconds, 0.08))
        metrics[f"tokens_per_second/{phase}"] = max(100.0, near(7000, 400))
    for index, type in enumerate(TaskType):
        rate = 0.45 - 0.08 * index + 0.15 * done
        metrics[f"solve_rate/{type.value}"] = near(rate, 0.04)
        metrics[f"frac_reward_zero_std/solve/{type.value}"] = min(1, max(0, near(0.35)))
        metrics |= _proposal_metrics(type, step, 0.5 + 0.3 * done, near)
        for role in Role:
            metrics |= _group_metrics(role, type, rate, done, near)
    return metrics


def _evaluation(prefix: str, accuracy: float) -> dict[str, float]:
    metrics = {}
    for place, name in enumerate(("heldout", "ood")):
        mean = accuracy - 0.1 * place
        metrics |= {f"{prefix}/{name}/accuracy": mean}
        metrics |= {f"{prefix}/{name}/low": mean - 0.06, f"{prefix}/{name}/high": mean + 0.06}
        for index, type in enumerate(TaskType):
            metrics[f"{prefix}/{name}/accuracy/{type.value}"] = mean + 0.1 - 0.1 * index
    return metrics


def _proposal_metrics(type: TaskType, step: int, valid: float, near) -> dict[str, float]:
    valid = min(0.95, max(0.05, near(valid)))
    metrics = {f"valid_rate/{type.value}": valid}
    weights = [math.exp(-0.7 * index) for index in range(len(CAUSES))]
    for index, (cause, weight) in enumerate(zip(CAUSES, weights, strict=True)):
        if index < 4 or step % 3 == index % 3:  # rare ones do not occur in every step
            metrics[f"rejected/{type.value}/{cause}"] = (1 - valid) * weight / sum(weights)
    metrics[f"duplicate_rate/{type.value}"] = (1 - valid) * weights[2] / sum(weights)
    metrics[f"buffer/size/{type.value}"] = 1 + (9 - 2 * list(TaskType).index(type)) * step
    metrics[f"buffer/distinct/{type.value}"] = 1 + (7 - 2 * list(TaskType).index(type)) * step
    return metrics


def _group_metrics(role: Role, type: TaskType, rate: float, done: float, near) -> dict[str, float]:
    name = f"{role.value}/{type.value}"
    mean = near(30 + 25 * done * (role is Role.SOLVE), 1.5)
    reward = rate - 0.55 * (1 - rate) if role is Role.SOLVE else -0.4 + 0.4 * done
    length = f"completion_length/{name}"
    metrics = {
        f"reward/{name}": near(reward),
        f"thinking_share/{name}": min(1, max(0, near(0.4 + 0.4 * done * (role is Role.SOLVE)))),
        f"{length}/mean": mean,
        f"{length}/p50": mean * 0.9,
        f"{length}/p90": mean * 1.7,
        f"{length}/max": mean * 2.5,
        f"{length}/truncated": abs(near(0.01, 0.01)),
        f"{length}/terminated": mean * 0.97,
    }
    return metrics


def _rollouts(type: TaskType, done: float, batch_size: int, rng: random.Random) -> list[Rollout]:
    pairs = 4 if type is TaskType.INDUCTION else 1
    rollouts = []
    for index in range(batch_size):
        number = rng.randrange(1000)
        program = f"def f(a):\n    return a + {number}"
        inputs, outputs = [str(i) for i in range(pairs)], [str(i + number) for i in range(pairs)]
        visible = 2 if type is TaskType.INDUCTION else 0
        message = "adds" if visible else None
        task = Task(type, program, tuple(inputs), tuple(outputs), message, visible)
        ease = rng.betavariate(1.2 + done, 1.4)
        right = [rng.random() < ease for _ in range(8)]
        rate = sum(right) / 8
        common = {"type": type, "prompt_ids": (5, 6), "completion_ids": (7, 1), "truncated": False}
        common |= {"logprobs": (-0.123456, -0.5), "task": task}
        shown = f"<propose><{type.value}><program>def f(a):\n    return a<input>1<output>1"
        proposed = {"prompt": shown, "completion": program, "verdict": "valid"}
        earned = {"reward": 1 - rate, "solve_rate": rate, "advantage": rng.gauss(0, 1)}
        rollouts.append(Rollout(role=Role.PROPOSE, **proposed, **earned, **common))
        for correct in right:
            solved = {"prompt": f"<solve>{program}", "completion": "<answer>1</answer>"}
            solved |= {"task_index": index}
            earned = {"verdict": "correct", "reward": 1.0, "advantage": 1.0}
            if not correct:
                earned = {"verdict": "wrong", "reward": -0.5, "advantage": -1.0}
            rollouts.append(Rollout(role=Role.SOLVE, **solved, **earned, **common))
    return rollouts
