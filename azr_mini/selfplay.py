"""The two roles of one model: it proposes tasks, and it solves them.

Each phase is one batched generation for all three task types. Random numbers derive from (seed,
step, role, task type, row), so batching, order and resuming change nothing. `config` is a
`train.Config`; `sampler` has the two methods of `sampler.Sampler`, and its policy.
"""

import hashlib
import math
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from azr_mini.buffer import TripleBuffer, task_key
from azr_mini.programs import program_key
from azr_mini.prompts import (
    Proposal,
    has_thought,
    parse_answer,
    parse_proposal,
    propose_prompt,
    solve_prompt,
)
from azr_mini.rewards import proposal_reward, solver_reward
from azr_mini.sandbox import Executor
from azr_mini.tasks import Role, Rollout, Task, TaskType, Triple
from azr_mini.validate import Rejection, grade, validate

SolveRates = dict[tuple[TaskType, int], float]  # by type and position among the tasks of that type


@dataclass(frozen=True)
class Draft:
    """A proposal that Python has not seen yet; `proposal` is None if it did not parse."""

    rollout: Rollout
    proposal: Proposal | None


def derive_seed(seed: int, step: int, role: Role, type: TaskType, row: int, use: str) -> int:
    """63 bits that depend on every argument and on nothing else; `use` tells purposes apart."""
    text = f"{seed}/{step}/{role.value}/{type.value}/{row}/{use}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


# ---- propose ------------------------------------------------------------------------------------


def propose(sampler, buffer: TripleBuffer, config, step: int) -> list[Draft]:
    """`batch_size` proposals of each type in the vein of past tasks, parsed but not run."""
    policy = sampler.policy
    rows = [(type, row) for type in TaskType for row in range(config.batch_size)]
    seeds = [derive_seed(config.seed, step, Role.PROPOSE, *row, "sample") for row in rows]
    shown, prompts = [], []
    for type, row in rows:
        rng = random.Random(derive_seed(config.seed, step, Role.PROPOSE, type, row, "references"))
        references, prompt = _propose_prompt(policy, buffer, type, config, rng)
        shown.append(references)
        prompts.append(prompt)
    prompt_ids = [policy.encode(prompt) for prompt in prompts]
    completions = sampler.generate(prompt_ids, seeds=seeds, **_sampling(config))
    drafts = []
    for (type, _), references, prompt, ids, (completion,) in zip(
        rows, shown, prompts, prompt_ids, completions, strict=True
    ):
        text = policy.decode(completion.ids)
        proposal = parse_proposal(
            type, text, policy.dialect, references[0].program, config.num_induction_inputs
        )
        rollout = _rollout(Role.PROPOSE, type, prompt, ids, text, completion)
        drafts.append(Draft(rollout, proposal))
    return drafts


def _propose_prompt(policy, buffer, type, config, rng) -> tuple[list[Triple], str]:
    """The references and the prompt that shows them, with fewer of them if it would be too long."""
    if type is TaskType.INDUCTION:
        references = [buffer.sample_program(rng)]
    else:
        references = buffer.sample_references(type, config.num_references, rng)
    while True:
        prompt = propose_prompt(type, references, policy.dialect, config.num_induction_inputs)
        if len(references) == 1 or len(policy.encode(prompt)) <= config.max_prompt_tokens:
            return references, prompt
        references = references[:-1]


def validate_proposals(
    drafts: list[Draft],
    policy,
    buffer: TripleBuffer,
    executor: Executor,
    config,
    heldout: frozenset[str] = frozenset(),
) -> list[Rollout]:
    """The drafts as rollouts with a verdict: "valid" with its task, or the name of a rejection."""
    checked = validate([draft.proposal for draft in drafts], executor)
    seen, rollouts = set(), []
    for draft, task in zip(drafts, checked, strict=True):
        repeats = False
        if isinstance(task, Task):
            repeats = buffer.contains(task) or task_key(task) in seen
            seen.add(task_key(task))
            task = _refuse(task, repeats, policy, config, heldout) or task
        if isinstance(task, Rejection):
            penalty = proposal_reward(None, format_reward=config.format_reward)
            verdict, detail = task.name, task.detail
            rollout = replace(draft.rollout, verdict=verdict, detail=detail, reward=penalty)
        else:
            detail = "duplicate" if repeats else ""
            rollout = replace(draft.rollout, verdict="valid", detail=detail, task=task)
        rollouts.append(rollout)
    return rollouts


def _refuse(task, repeats: bool, policy, config, heldout) -> Rejection | None:
    """Why a task that Python accepts is none for us, or None."""
    if program_key(task.program) in heldout:
        return Rejection("heldout", "the program is in the held-out set")
    if repeats and config.duplicates == "reject":
        return Rejection("duplicate", "the program with these inputs is known")
    prompts = [solve_prompt(task, policy.dialect)]
    if task.type is not TaskType.INDUCTION:  # as a lone reference it must fit as well
        prompts.append(propose_prompt(task.type, [task.triple], policy.dialect))
    longest = max(len(policy.encode(prompt)) for prompt in prompts)
    if longest > config.max_prompt_tokens:
        return Rejection("too_long", f"its prompt has {longest} tokens")
    return None


def seed_buffer(sampler, buffer, executor, config, heldout: frozenset[str] = frozenset()) -> None:
    """Lets the model add tasks until each type has `seed_tasks` (paper, section 3.3.1).

    A model that cannot is given ten times the proposals that a perfect one would need.
    """
    for round in range(10 * -(-config.seed_tasks // config.batch_size)):
        if all(buffer.size(type) >= config.seed_tasks for type in TaskType):
            return
        drafts = propose(sampler, buffer, config, step=-1 - round)  # before step 0
        for rollout in validate_proposals(
            drafts, sampler.policy, buffer, executor, config, heldout
        ):
            if rollout.task is not None and buffer.size(rollout.type) < config.seed_tasks:
                buffer.add(rollout.task)


# ---- solve --------------------------------------------------------------------------------------


def fill_batch(buffer: TripleBuffer, new: list[Task], config, step: int) -> list[Task]:
    """`batch_size` tasks of each type: this step's valid ones first, then past ones."""
    tasks = []
    for type in TaskType:
        rng = random.Random(derive_seed(config.seed, step, Role.SOLVE, type, 0, "fill"))
        mine = [task for task in new if task.type is type]
        tasks += buffer.fill(type, mine, config.batch_size, rng)
    return tasks


def solve(
    sampler, tasks: list[Task], new: list[Task], executor: Executor, config, step: int
) -> tuple[list[Rollout], SolveRates]:
    """The attempts that train the solver, and the solve rates of this step's tasks.

    `reuse`: the n attempts at every task do both. `fresh` (paper): n attempts at each new task only
    estimate its solve rate, then one attempt at each task trains.
    """
    if config.solve_batch == "reuse":
        attempts = attempt(sampler, tasks, config.num_attempts, executor, config, step)
        return attempts, solve_rates(attempts)
    estimates = attempt(sampler, new, config.num_attempts, executor, config, step, use="estimate")
    return attempt(sampler, tasks, 1, executor, config, step), solve_rates(estimates)


def attempt(
    sampler, tasks: list[Task], num_attempts: int, executor, config, step: int, use: str = "sample"
) -> list[Rollout]:
    """`num_attempts` graded and rewarded attempts at each task, task by task."""
    if not tasks:
        return []
    policy = sampler.policy
    indices, counts = [], defaultdict(int)
    for task in tasks:
        indices.append(counts[task.type])
        counts[task.type] += 1
    seeds = [
        derive_seed(config.seed, step, Role.SOLVE, task.type, index, use)
        for task, index in zip(tasks, indices, strict=True)
    ]
    prompts = [solve_prompt(task, policy.dialect) for task in tasks]
    prompt_ids = [policy.encode(prompt) for prompt in prompts]
    completions = sampler.generate(
        prompt_ids, seeds=seeds, num_completions=num_attempts, **_sampling(config)
    )
    attempts, answers = [], []
    for task, index, prompt, ids, siblings in zip(
        tasks, indices, prompts, prompt_ids, completions, strict=True
    ):
        for completion in siblings:
            text = policy.decode(completion.ids)
            answers.append(parse_answer(task.type, text, policy.dialect))
            rollout = _rollout(Role.SOLVE, task.type, prompt, ids, text, completion)
            attempts.append(replace(rollout, task=task, task_index=index))
    verdicts = grade([rollout.task for rollout in attempts], answers, executor)
    return [
        _graded(rollout, verdict.status, config.format_reward)
        for rollout, verdict in zip(attempts, verdicts, strict=True)
    ]


def _graded(rollout: Rollout, status: str, format_reward: str) -> Rollout:
    verdict = status if status in ("correct", "format") else "wrong"
    detail = "" if status == verdict else status  # a failed run is wrong; the detail says how
    return replace(
        rollout, verdict=verdict, detail=detail, reward=solver_reward(verdict, format_reward)
    )


def solve_rates(attempts: list[Rollout]) -> SolveRates:
    """The share of right attempts at each task."""
    right = defaultdict(list)
    for rollout in attempts:
        right[rollout.type, rollout.task_index].append(rollout.verdict == "correct")
    return {key: sum(marks) / len(marks) for key, marks in right.items()}


def reward_proposals(
    proposals: list[Rollout], rates: SolveRates, shape: Callable[[float], float], config
) -> list[Rollout]:
    """The proposals with the rewards of those that became tasks: the shape of their solve rate."""
    counts, rewarded = defaultdict(int), []
    for rollout in proposals:
        if rollout.task is not None:
            rate = rates[rollout.type, counts[rollout.type]]  # new tasks come first in a batch
            counts[rollout.type] += 1
            reward = proposal_reward(rate, shape, config.zero_learnability_reward)
            if not math.isfinite(reward):
                name = getattr(shape, "__name__", "proposer_reward")
                raise ValueError(
                    f"{name} gave the reward {reward} for solve rate {rate}: return a finite number"
                )
            rollout = rollout.with_reward(reward, rate)
        rewarded.append(rollout)
    return rewarded


def _sampling(config) -> dict:
    return {
        "max_new_tokens": config.max_new_tokens,
        "temperature": config.temperature,
        "top_p": config.top_p,
    }


def _rollout(role, type, prompt, prompt_ids, text, completion) -> Rollout:
    return Rollout(
        role=role,
        type=type,
        prompt=prompt,
        completion=text,
        prompt_ids=tuple(prompt_ids),
        completion_ids=tuple(completion.ids),
        logprobs=tuple(completion.logprobs),
        truncated=completion.truncated,
        verdict="",
        reward=0.0,
        thinks=has_thought(text),
    )
