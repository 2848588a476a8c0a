"""The running batch of the sampler, where it is rebuilt."""

import pytest
import torch
from tiny_models import tiny_policy

from azr_mini.running import RUN, RunningBatch


@pytest.fixture
def batch():
    """Three prompts of 9, 2 and 5 tokens with one, four and two attempts, after a step."""
    with torch.inference_mode():
        batch = RunningBatch(tiny_policy("qwen2"))
        prompts = [list(range(20, 20 + length)) for length in (9, 2, 5)]
        admit(batch, prompts, [range(1), range(1, 5), range(5, 7)])
        batch.decode()
        batch.take(torch.full((7,), 9), torch.zeros(7, dtype=torch.bool))
        yield batch


def admit(batch, prompts, rows):
    logits = batch.admit(prompts, rows)
    batch.take(logits.argmax(dim=1), torch.zeros(len(logits), dtype=torch.bool))


def test_a_rebuild_makes_room_for_all_steps_of_the_entry_that_fills_up_fastest(batch):
    batch.admit([[5]], [range(7, 8)])
    assert batch.store.capacity >= int(batch.fill.max()) + 4 * RUN.steps


def test_a_rebuild_puts_entries_together_that_use_as_many_slots(batch):
    assert batch.fill.tolist() == [10, 6, 7]
    batch.admit([[5]], [range(7, 8)])
    assert batch.fill.tolist() == [6, 7, 10, 1]
    assert batch.rows.tolist() == [1, 2, 3, 4, 5, 6, 0, 7]


def test_a_rebuild_drops_the_slots_of_rows_that_left(batch):
    batch.decode()
    done = torch.tensor([False, True, True, False, False, False, False])
    batch.take(torch.full((7,), 9), done)
    batch.admit([[5]], [range(7, 8)])
    assert batch.fill.tolist() == [2 + 2 * 2, 5 + 2 * 2, 9 + 2, 1]
    assert batch.rows.tolist() == [3, 4, 5, 6, 0, 7]
