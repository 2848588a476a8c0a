"""The checks of notebook 07 tell right answers from wrong ones."""

import shutil
import time
from dataclasses import replace

import pytest
import torch
from tiny import tiny_policy

from azr_mini.buffer import TripleBuffer
from azr_mini.config import Config
from azr_mini.estimate import GB, estimate
from azr_mini.exercises.nb07 import CARDS, check_cards, check_halved, check_resumed, differences
from azr_mini.presets import preset
from azr_mini.runs import METRICS, Run
from azr_mini.shapes import KNOWN
from azr_mini.tasks import TaskType
from azr_mini.train import Step, TrainState

HEAVY = replace(
    preset("gpu-24gb"), gradient_checkpointing=False, max_batch=96, micro_batch_tokens=4096
)
SHAPE = KNOWN[HEAVY.model]
RIGHT = {"gradient_checkpointing": True, "max_batch": 12}


def same_gradient(changes):
    return torch.tensor([3.0, 4.0]) * (1 + 1e-6 * len(changes))


# ---- exercise 1 ---------------------------------------------------------------------------------


def test_half_the_memory_with_the_same_gradient_passes():
    said = check_halved(RIGHT, HEAVY, SHAPE, same_gradient)
    assert said.passed and "30.5 GB before" in said.sentence


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"gradient_checkpointing": True}, "sampling"),  # only one of the two sums
        ({"max_batch": 16}, "learning"),
        ({"micro_batch_tokens": 1024}, "learning"),  # the longest row stays
        ({"batch_size": 2}, "what is trained"),
        ({"max_new_tokens": 128}, "what is trained"),
        ({"memory": 8}, "no field"),
    ],
)
def test_changes_that_do_not_halve_or_change_the_batch_do_not_pass(changes, word):
    said = check_halved(changes, HEAVY, SHAPE, same_gradient)
    assert said.passed is False and word in said.sentence


def test_another_gradient_does_not_pass():
    def other(changes):
        return torch.tensor([3.0, 4.0 + 0.01 * len(changes)])

    said = check_halved(RIGHT, HEAVY, SHAPE, other)
    assert said.passed is False and "gradient is another" in said.sentence


# ---- exercise 2 ---------------------------------------------------------------------------------

CONFIG = Config(lora_rank=2, num_steps=2, dtype="float32", threads=1)


def trained(folder, steps=2, weight=0.5, reward=0.1, config=CONFIG):
    """A run of two steps of an adapter whose weights are all the same number."""
    policy = tiny_policy(lora_rank=2)
    policy.model.peft_config["default"].base_model_name_or_path = "tiny"
    optimizer = torch.optim.AdamW(policy.parameters())
    for parameter in policy.parameters():
        parameter.data.fill_(weight)
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state, run = TrainState(policy, optimizer, TripleBuffer(8)), Run.create(folder, config)
    for step in range(steps):
        seconds = time.perf_counter()  # of the machine
        run.append(Step(step, {"reward/solve/deduction": reward, "time/solve": seconds}, []))
        state.step += 1
    run.checkpoint(state)
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "whole")


def test_a_run_that_ends_in_the_same_bits_passes_whatever_time_it_took(whole, tmp_path):
    again = trained(tmp_path / "again")
    assert again.metrics["time/solve"].tolist() != whole.metrics["time/solve"].tolist()
    assert differences(again, whole) == []
    assert check_resumed(again, whole).passed


def test_what_differs_is_named(whole, tmp_path):
    other = trained(tmp_path / "other", weight=0.25)
    assert "adapter_model.safetensors" in check_resumed(other, whole).sentence
    other = trained(tmp_path / "reward", reward=0.2)
    assert differences(other, whole) == ["reward/solve/deduction"]
    other = trained(tmp_path / "moments")
    path = other.checkpoint_folder / "optimizer.pt"
    saved = torch.load(path, weights_only=True)
    saved["state"][0]["exp_avg"] += 1
    torch.save(saved, path)
    assert "damaged" in check_resumed(other, whole).sentence
    assert differences(Unchecked(other), whole) == ["optimizer.pt"]


class Unchecked:
    """A run whose checkpoint is taken as it is."""

    def __init__(self, run):
        self.folder, self.metrics = run.folder, run.metrics
        self.checkpoint_folder = run.folder / "checkpoint"


def test_runs_that_answer_another_question_do_not_pass(whole, tmp_path):
    assert "nobody killed" in check_resumed(whole, whole).sentence
    half = trained(tmp_path / "half", steps=1)
    assert "1 of 2 steps" in check_resumed(half, whole).sentence
    other = trained(tmp_path / "seed", config=replace(CONFIG, seed=1))
    assert "configuration" in check_resumed(other, whole).sentence
    copy = shutil.copytree(whole.folder, tmp_path / "copy")
    (copy / METRICS).write_text((copy / METRICS).read_text().replace("0.1", "0.3"))
    said = check_resumed(Run.open(copy), whole)
    assert said.passed is False and "reward/solve/deduction" in said.sentence
    assert all(said.passed is False for said in (check_resumed(a, whole) for a in (half, other)))


# ---- exercise 3 ---------------------------------------------------------------------------------

PLANS = {
    "small": (replace(HEAVY, quantize=None), KNOWN["Qwen/Qwen2.5-1.5B"]),
    "large": (replace(HEAVY, gradient_checkpointing=True), KNOWN["Qwen/Qwen2.5-14B"]),
}


def smallest(config, shape):
    return min(card for card in CARDS if estimate(config, shape).peak <= card * GB)


def test_only_the_smallest_cards_pass():
    right = {name: smallest(*plan) for name, plan in PLANS.items()}
    assert len(set(right.values())) == 2
    assert check_cards(right, PLANS).passed
    for name, card in right.items():
        place = CARDS.index(card)
        for other, word in ((place - 1, "does not fit"), (place + 1, "smaller")):
            said = check_cards(right | {name: CARDS[other]}, PLANS)
            assert said.passed is False and name in said.sentence and word in said.sentence
    said = check_cards(right | {"small": 12}, PLANS)
    assert said.passed is False and "choose one of 8" in said.sentence


# ---- all ----------------------------------------------------------------------------------------


def test_stubs_are_not_answered_and_wrong_types_are_a_sentence(whole):
    checks = {
        lambda answer: check_halved(answer, HEAVY, SHAPE, same_gradient): {"a_field": ...},
        lambda answer: check_resumed(answer, whole): ...,
        lambda answer: check_cards(answer, PLANS): dict.fromkeys(PLANS, ...),
    }
    for check, stub in checks.items():
        assert check(stub).passed is None and check(...).passed is None
        for answer in (3, "small", [TaskType.DEDUCTION], {"small": 8.5}, {"max_batch": "few"}):
            said = check(answer)
            assert said.passed is False and said.sentence
