"""Absolute Zero self-play: propose, validate, solve, update.

`train` is a generator. Logging, plotting, checkpoints, evaluation and early stopping belong to its
callers: `for step in train(config, state, executor): ...`
"""

import copy
import json
import random
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from azr_mini.buffer import TripleBuffer
from azr_mini.config import Config
from azr_mini.cores import share_cores
from azr_mini.learner import trains, update
from azr_mini.memory import give_back_memory, resident_memory
from azr_mini.policy import Policy, load_policy
from azr_mini.prompts import Dialect
from azr_mini.resources import data_path
from azr_mini.rewards import PROPOSER_REWARDS, learnability_reward
from azr_mini.sampler import Sampler
from azr_mini.sandbox import Executor
from azr_mini.selfplay import (
    derive_seed,
    fill_batch,
    propose,
    reward_proposals,
    seed_buffer,
    solve,
    validate_proposals,
)
from azr_mini.step_metrics import Clock, summarize
from azr_mini.tasks import Role, Rollout, load_seed_tasks
from azr_mini.trr import advantages_by, task_relative_advantages
from azr_mini.validate import load_heldout

__all__ = ["Config", "Step", "TrainState", "train", "update"]


@dataclass(frozen=True)
class Step:
    """What one step did: its number from 0, its metrics, and every rollout that could train."""

    step: int
    metrics: dict[str, float]
    rollouts: list[Rollout]


@dataclass
class TrainState:
    """All that a checkpoint holds, and the frozen base, which is loaded again from its name."""

    policy: Policy
    optimizer: torch.optim.Optimizer
    buffer: TripleBuffer
    step: int = 0  # steps done
    reference: Policy | None = None  # None: the base is the policy without its adapter
    skipped_in_a_row: int = 0  # updates without effect since the last one with

    @classmethod
    def create(cls, config: Config, checkpoint: Path | None = None) -> "TrainState":
        """The state before step 0, or the one that `Run.checkpoint` wrote to a folder.

        ValueError, saying what to do, if the model or the seed file cannot be read.
        """
        torch.manual_seed(config.seed)  # a new adapter starts at random
        policy = _load_policy(config, config.model)
        share_cores(policy, config.threads)
        if config.max_prompt_tokens >= policy.max_positions:
            raise ValueError(
                f"max_prompt_tokens is {config.max_prompt_tokens} but {config.model} has only "
                f"{policy.max_positions} positions: lower it, and leave room for the completion"
            )
        has_adapter = hasattr(policy.model, "peft_config")
        reference = None if has_adapter else frozen_copy(policy)
        buffer, record = TripleBuffer(config.buffer_cap), {"step": 0, "skipped_in_a_row": 0}
        if checkpoint is None:
            for task in load_seed_tasks(Path(config.seed_path or data_path("seed_triples.json"))):
                buffer.add(task)
        else:
            policy = _load_policy(config, str(checkpoint))
            buffer = TripleBuffer.load(checkpoint / "buffer.jsonl", config.buffer_cap)
            record = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        optimizer = torch.optim.AdamW(
            policy.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        if checkpoint is not None:
            optimizer.load_state_dict(torch.load(checkpoint / "optimizer.pt", weights_only=True))
        skipped = record["skipped_in_a_row"]
        return cls(policy, optimizer, buffer, record["step"], reference, skipped)


def frozen_copy(policy: Policy) -> Policy:
    """The policy as it is now, apart from whatever happens to it later."""
    model = copy.deepcopy(policy.model).requires_grad_(False)
    return Policy(model, policy.tokenizer, policy.name, policy.dtype)


def _load_policy(config: Config, name: str) -> Policy:
    policy = load_policy(name, config.quantize, config.lora_rank, config.dtype, config.device)
    if config.dialect != "auto":
        policy.dialect = Dialect(config.dialect)
    return policy


def train(
    config: Config,
    state: TrainState,
    executor: Executor,
    *,
    advantages: Callable = task_relative_advantages,
    proposer_reward: Callable[[float], float] = learnability_reward,
    sampler=None,
) -> Iterator[Step]:
    """Yields one `Step` after each step of self-play, from `state.step` on (paper, algorithm 1).

    A function given here wins over the switch of that name in the configuration.
    """
    sampler = sampler or Sampler(state.policy, config.max_batch)
    heldout = load_heldout(config.heldout_path)
    if state.step == 0:
        seed_buffer(sampler, state.buffer, executor, config, heldout)

    while state.step < config.num_steps:
        clock = Clock()
        # PROPOSE: the model invents tasks in the vein of a few past ones
        drafts = propose(sampler, state.buffer, config, state.step)
        clock.lap("propose")

        # VALIDATE: Python runs them; what it accepts is a task, with Python's own output
        proposals = validate_proposals(
            drafts, state.policy, state.buffer, executor, config, heldout
        )
        new = [rollout.task for rollout in proposals if rollout.task is not None]
        clock.lap("validate")

        # SOLVE: the same model attempts them and Python grades; how often they are solved is what
        # they were worth proposing
        tasks = fill_batch(state.buffer, new, config, state.step)
        attempts, rates = solve(sampler, tasks, new, executor, config, state.step)
        shape = choose_shape(proposer_reward, config)
        proposals = reward_proposals(proposals, rates, shape, config)
        clock.lap("solve")

        # UPDATE: one policy-gradient step on both roles and all three task types at once
        rollouts = with_advantages(proposals + attempts, advantages, config, state.step)
        metrics = update(state, rollouts, config)
        sampler.refresh()
        for task in new:
            state.buffer.add(task)
        state.step += 1
        give_back_memory()
        clock.lap("update")

        metrics |= summarize(rollouts, state.buffer) | clock.metrics(rollouts) | _memory()
        yield Step(state.step - 1, metrics, rollouts)


def with_advantages(
    rollouts: list[Rollout], advantages: Callable, config: Config, step: int
) -> list[Rollout]:
    """The rollouts with what the update will use; 0 for those that train nothing."""
    groups = [rollout.group for rollout in rollouts]
    rewards = [rollout.reward for rollout in rollouts]
    if config.shuffle_rewards:
        rewards = shuffle_within(groups, rewards, config.seed, step)
    if advantages is task_relative_advantages:  # nobody's own function: the switch decides
        values = advantages_by(config.advantage)(
            torch.tensor(rewards),
            groups,
            lengths=torch.tensor([len(rollout.completion_ids) for rollout in rollouts]),
            tasks=[r.task_index if r.role is Role.SOLVE else None for r in rollouts],
        )
    else:
        values = advantages(torch.tensor(rewards), groups)
    if not torch.isfinite(values).all():
        name = getattr(advantages, "__name__", "advantages")
        raise ValueError(
            f"{name} gave advantages that are not finite: mind groups of equal rewards"
        )
    return [
        replace(rollout, advantage=value if trains(rollout, config) else 0.0)
        for rollout, value in zip(rollouts, values.tolist(), strict=True)
    ]


def choose_shape(proposer_reward: Callable, config: Config) -> Callable[[float], float]:
    """The reader's own function, or the one that the configuration names."""
    if proposer_reward is learnability_reward:
        return PROPOSER_REWARDS[config.proposer_reward]
    return proposer_reward


def shuffle_within(
    groups: Sequence[Hashable], rewards: list[float], seed: int, step: int
) -> list[float]:
    """The rewards permuted inside each (role, type) group: the same numbers, no information."""
    shuffled = list(rewards)
    for role, type in dict.fromkeys(groups):
        places = [place for place, group in enumerate(groups) if group == (role, type)]
        order = list(places)
        random.Random(derive_seed(seed, step, role, type, 0, "shuffle")).shuffle(order)
        for place, source in zip(places, order, strict=True):
            shuffled[place] = rewards[source]
    return shuffled


def _memory() -> dict[str, float]:
    memory = {"memory/rss": float(resident_memory())}
    if torch.cuda.is_available():
        memory["memory/vram"] = float(torch.cuda.max_memory_allocated())
    return memory
