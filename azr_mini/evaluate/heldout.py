"""Accuracy on tasks for the nano model that no training ever saw: held-out and second grammar."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from azr_mini.evaluate.scores import Attempts, Scores
from azr_mini.prompts import ANSWER_OPEN, THINK_OPEN, has_thought, parse_answer, solve_prompt
from azr_mini.resources import data_path
from azr_mini.tasks import Task, TaskType, task_from_json
from azr_mini.validate import grade

FORCED = {None: "", "think": THINK_OPEN, "answer": ANSWER_OPEN}
TASKS_PER_BATCH = 128
SETS = {"heldout": "nano_heldout.jsonl", "ood": "nano_ood.jsonl"}  # tasks for the nano model
TITLES = {"heldout": "held-out", "ood": "second grammar"}


def load_heldout_tasks(path: Path | None = None, name: str = "heldout") -> list[Task]:
    """The frozen tasks of that name; ValueError if the file is missing or is not the frozen one.

    heldout: the grammar that the nano base was pre-trained on. ood: the second one, which it was
    not. path: a file instead of the shipped one.
    """
    path = path or data_path(SETS[name])
    advice = f"restore data/{path.name} and .sha256 from the repository"
    try:
        content = path.read_bytes()
        expected = path.with_suffix(".sha256").read_text(encoding="ascii").split()[0]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        reason = type(error).__name__
        raise ValueError(f"held-out set {path} cannot be read ({reason}): {advice}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ValueError(f"held-out set {path} has sha256 {found}, not {expected}: {advice}")
    return [task_from_json(json.loads(line)) for line in content.decode("utf-8").splitlines()]


def first_of_each_type(tasks: list[Task], limit: int | None) -> list[Task]:
    """At most `limit` tasks of each type, the first ones, in order; all of them if None."""
    return [task for type in TaskType for task in [t for t in tasks if t.type is type][:limit]]


def evaluate(
    policy,
    sampler,
    executor,
    tasks: list[Task],
    *,
    samples: int = 4,
    temperature: float = 1.0,
    max_new_tokens: int = 256,
    forced: str | None = None,
    seed: int = 0,
    track: Callable[[Iterable], Iterable] = iter,
) -> Scores:
    """The scores of `samples` attempts at every task; temperature 0 is greedy.

    forced: "think" or "answer" makes every completion start with that tag. track: wraps the list of
    batches, for a progress bar.
    """
    indexed = [(index, task) for index, task in enumerate(tasks)]
    batches = [
        indexed[start : start + TASKS_PER_BATCH] for start in range(0, len(tasks), TASKS_PER_BATCH)
    ]
    rows: dict[TaskType, list] = {}
    for batch in track(batches):
        seeds = [_seed(seed, index) for index, _ in batch]
        batch_tasks = [task for _, task in batch]
        found = _attempt(
            policy, sampler, executor, batch_tasks, seeds, samples, temperature, max_new_tokens,
            FORCED[forced],
        )  # fmt: skip
        for task, row in zip(batch_tasks, found, strict=True):
            rows.setdefault(task.type, []).append(row)
    attempts = {type: _arrays(rows[type]) for type in TaskType if type in rows}
    return Scores(temperature, samples, forced, attempts)


def _attempt(
    policy, sampler, executor, tasks, seeds, samples, temperature, max_new_tokens, opening
) -> list[list[tuple[bool, bool, bool, int]]]:
    """For each task, for each sample: correct, thinks, truncated, number of tokens."""
    # after encoding: a chat template ends the prompt, and the tag belongs behind that end
    tag = policy.tokenizer.encode(opening, add_special_tokens=False) if opening else []
    completions = sampler.generate(
        [policy.encode(solve_prompt(task, policy.dialect)) + tag for task in tasks],
        seeds=seeds,
        num_completions=samples,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
    )
    texts = [[opening + policy.decode(c.ids) for c in row] for row in completions]
    answers = [
        parse_answer(task.type, text, policy.dialect)
        for task, row in zip(tasks, texts, strict=True)
        for text in row
    ]
    verdicts = iter(grade([task for task in tasks for _ in range(samples)], answers, executor))
    return [
        [
            (next(verdicts).correct, has_thought(text), c.truncated, len(c.ids))
            for c, text in zip(row, row_texts, strict=True)
        ]
        for row, row_texts in zip(completions, texts, strict=True)
    ]


def _arrays(rows: list[list[tuple[bool, bool, bool, int]]]) -> Attempts:
    correct, thinks, truncated, lengths = np.moveaxis(np.array(rows, dtype=int), -1, 0)
    return Attempts(correct.astype(bool), thinks.astype(bool), truncated.astype(bool), lengths)


def _seed(seed: int, index: int) -> int:
    digest = hashlib.sha256(f"heldout {seed} {index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1  # 63 bits: fits a signed integer
