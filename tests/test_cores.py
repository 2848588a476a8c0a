"""Threads share whole micro-batches of a small model, and their number changes no bit."""

import os
import threading
import time
from dataclasses import replace

import pytest
import torch
from test_learner import BIG, ROLLOUTS, after
from tiny import tiny_policy

from azr_mini import cores
from azr_mini.cores import share_cores, side_by_side


@pytest.fixture(autouse=True)
def one_thread_again():
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize("lora_rank", [None, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_number_of_threads_changes_no_bit(dtype, lora_rank):
    found = []
    for threads in (1, 2, 3):
        policy = tiny_policy(lora_rank=lora_rank)
        policy.dtype = dtype
        config = replace(BIG, threads=threads, micro_batch_tokens=30, updates_per_step=3)
        found.append(after(config, ROLLOUTS, policy=policy, learning_rate=0.1))
    (weights, metrics), *others = found
    for other_weights, other_metrics in others:
        assert torch.equal(weights, other_weights) and metrics == other_metrics


def test_results_are_computed_at_once_and_come_in_order():
    together = threading.Barrier(2)

    def slow_first(number):
        together.wait(timeout=30)  # passed only by two at once
        time.sleep(0.2 - 0.2 * number)
        return number

    with side_by_side(tiny_policy(), threads=2) as run:
        assert list(run(slow_first, range(2))) == [0, 1]


def test_one_thread_computes_each_result_when_it_is_asked_for():
    asked = []
    with side_by_side(tiny_policy(), threads=1) as run:
        results = run(asked.append, range(3))
        next(results)
    assert asked == [0]


def test_a_large_model_is_not_held_several_times(monkeypatch):
    monkeypatch.setattr(cores, "SMALL_MODEL", 10)
    with side_by_side(tiny_policy(), threads=2) as run:
        assert run is map


def test_an_error_in_one_part_ends_the_others():
    begun = []

    def fail(number):
        begun.append(number)
        raise ValueError("part of a batch")

    with pytest.raises(ValueError, match="part of a batch"):
        with side_by_side(tiny_policy(), threads=2) as run:
            list(run(fail, range(1000)))
    assert len(begun) < 1000


@pytest.mark.parametrize(
    "num_cores, threads, small, expected",
    [(2, 2, True, 1), (8, 2, True, 2), (8, 16, True, 4), (2, 2, False, 2), (None, 2, True, 1)],
)
def test_operations_of_a_small_model_leave_cores_to_others(
    monkeypatch, num_cores, threads, small, expected
):
    monkeypatch.setattr(os, "cpu_count", lambda: num_cores)
    if not small:
        monkeypatch.setattr(cores, "SMALL_MODEL", 10)
    share_cores(tiny_policy(), threads)
    assert torch.get_num_threads() == expected
