"""The held-out evaluation scores what was generated, forced tags included."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import pytest

from azr_mini.evaluate.heldout import (
    TASKS_PER_BATCH,
    evaluate,
    first_of_each_type,
    load_heldout_tasks,
)
from azr_mini.evaluate.scores import correct_from_json, gains
from azr_mini.prompts import Dialect
from azr_mini.tasks import Task, TaskType


@dataclass(frozen=True)
class Completion:
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    truncated: bool


class SpellingPolicy:
    """A policy, its own tokenizer, whose tokens are characters."""

    dialect = Dialect.NANO

    @property
    def tokenizer(self):
        return self

    def encode(self, prompt, add_special_tokens=True):
        return [ord(character) for character in prompt]

    def decode(self, ids):
        return "".join(map(chr, ids))


class ScriptedSampler:
    """Answers every prompt with the texts that `script` gives for it."""

    def __init__(self, script):
        self.script = script
        self.seeds = []

    def generate(
        self, prompt_ids, *, seeds, num_completions, max_new_tokens, temperature=1.0, top_p=1.0
    ):
        self.seeds += seeds
        rows = [self.script("".join(map(chr, ids))) for ids in prompt_ids]
        assert all(len(row) == num_completions for row in rows)
        return [[Completion(tuple(map(ord, text)), (), False) for text in row] for row in rows]


class NoExecutor:
    """Deduction is judged without running anything."""

    def run(self, jobs):
        assert not jobs
        return []


def doubling(number: int) -> Task:
    program = "def f(a):\n    return a * 2"
    return Task(TaskType.DEDUCTION, program, (str(number),), (str(number * 2),))


def scores_of(script, tasks, **options):
    return evaluate(SpellingPolicy(), ScriptedSampler(script), NoExecutor(), tasks, **options)


def test_correctness_is_per_task_and_sample():
    texts = ["<answer>6</answer>", "<think>3 * 2</think><answer>6</answer>", "<answer>7</answer>"]
    scores = scores_of(lambda prompt: texts, [doubling(3), doubling(4)], samples=3)
    attempts = scores.attempts[TaskType.DEDUCTION]
    assert attempts.correct.tolist() == [[True, True, False], [False, False, False]]
    assert attempts.thinks.tolist() == [[False, True, False]] * 2
    assert attempts.lengths[0].tolist() == [len(text) for text in texts]
    assert scores.accuracy(TaskType.DEDUCTION).estimate == pytest.approx(1 / 3)
    assert scores.pass_at(2).estimate == pytest.approx(1 / 2)  # pairs: always one right, never


@pytest.mark.parametrize(
    ("forced", "rest"), [("think", "4 * 2</think><answer>8</answer>"), ("answer", "8</answer>")]
)
def test_a_forced_tag_ends_the_prompt_and_starts_the_completion(forced, rest):
    def script(prompt):
        assert prompt.endswith(f"<{forced}>")
        return [rest]

    scores = scores_of(script, [doubling(4)], samples=1, forced=forced)
    assert scores.attempts[TaskType.DEDUCTION].correct.all()
    assert scores.attempts[TaskType.DEDUCTION].thinks.all() == (forced == "think")


def test_tasks_keep_their_order_and_seeds_over_batches():
    tasks = [doubling(number) for number in range(TASKS_PER_BATCH + 5)]

    def script(prompt):
        number = int(prompt.rpartition("<input>")[2])
        return [f"<answer>{number * 2 if number % 3 else 'x'}</answer>"]

    sampler, batches = ScriptedSampler(script), []

    def track(found):
        batches.extend(found)
        return found

    scores = evaluate(SpellingPolicy(), sampler, NoExecutor(), tasks, samples=1, track=track)
    correct = scores.attempts[TaskType.DEDUCTION].correct[:, 0]
    assert correct.tolist() == [number % 3 != 0 for number in range(len(tasks))]
    assert len(batches) == 2 and len(set(sampler.seeds)) == len(tasks)


def test_scores_survive_json():
    texts = ["<answer>6</answer>", "<answer>7</answer>"]
    scores = scores_of(lambda prompt: texts, [doubling(3), doubling(4)], samples=2)
    record = json.loads(json.dumps(scores.to_json()))
    assert record["types"]["deduction"]["accuracy"] == 0.25
    for restored, original in zip(correct_from_json(record), scores.correct(), strict=True):
        assert np.array_equal(restored, original)


def test_the_first_tasks_of_each_type_are_taken():
    abduction = Task(TaskType.ABDUCTION, "def f(a):\n    return a", ("1",), ("1",))
    tasks = [doubling(1), abduction, doubling(2), doubling(3)]
    assert first_of_each_type(tasks, 2) == [doubling(1), doubling(2), abduction]
    assert len(first_of_each_type(tasks, None)) == 4


def test_a_changed_held_out_set_is_refused(tmp_path):
    path = tmp_path / "heldout.jsonl"
    path.write_text(json.dumps(doubling(1).to_json()) + "\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".sha256").write_text(f"{digest}  heldout.jsonl\n")
    assert load_heldout_tasks(path) == [doubling(1)]
    path.write_text(json.dumps(doubling(2).to_json()) + "\n")
    with pytest.raises(ValueError, match=f"heldout.jsonl has sha256 .*, not {digest}.*restore"):
        load_heldout_tasks(path)


def test_a_missing_held_out_set_is_named(tmp_path):
    with pytest.raises(ValueError, match="missing.jsonl cannot be read .*restore"):
        load_heldout_tasks(tmp_path / "missing.jsonl")


def test_the_second_set_is_the_frozen_one_of_its_name():
    names = [load_heldout_tasks(name=name) for name in ("heldout", "ood")]
    assert [len(tasks) for tasks in names] == [3000, 900]
    assert load_heldout_tasks() == names[0] and not set(names[0]) & set(names[1])


def test_gains_compare_the_same_tasks():
    tasks = [doubling(number) for number in range(20)]
    wrong = ["<answer>x</answer>"] * 2

    def half_right(prompt):
        number = int(prompt.rpartition("<input>")[2])
        return [wrong[0], f"<answer>{number * 2}</answer>"]

    before = scores_of(lambda prompt: wrong, tasks, samples=2)
    after = scores_of(half_right, tasks, samples=2)
    (gain,) = gains(before.to_json(), after.to_json())
    assert (gain.name, gain.before, gain.after) == ("deduction", 0.0, 0.5)
    assert gain.gain.low == gain.gain.high == 0.5
