import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_mini.buffer import TripleBuffer
from azr_mini.resources import data_path
from azr_mini.tasks import Task, TaskType, load_seed_tasks

DEDUCTION, ABDUCTION, INDUCTION = TaskType.DEDUCTION, TaskType.ABDUCTION, TaskType.INDUCTION


def task(number, type=DEDUCTION, program="def f(a):\n    return a"):
    if type is INDUCTION:
        pair = (str(number), str(number + 1))
        return Task(type, program, pair, pair, message=f"number {number}", num_visible=1)
    return Task(type, program, (str(number),), (str(number),))


def filled(*numbers, type=DEDUCTION, cap=100):
    buffer = TripleBuffer(cap)
    for number in numbers:
        buffer.add(task(number, type))
    return buffer


def seeds():
    buffer = TripleBuffer()
    for seed in load_seed_tasks(data_path("seed_triples.json")):
        buffer.add(seed)
    return buffer


def test_a_task_joins_once():  # definition 14
    buffer = TripleBuffer()
    assert buffer.add(task(1)) and not buffer.add(task(1))
    assert buffer.size(DEDUCTION) == len(buffer) == 1 and buffer.contains(task(1))


def test_layout_and_comments_do_not_make_a_task_new():  # definition 14
    buffer = filled(1)
    assert buffer.contains(task(1, program="def f( a ):  # mine\n  return a\n"))
    assert not buffer.contains(task(1, program="def f(b):\n    return b"))


def test_another_input_or_another_type_is_another_task():
    buffer = filled(1)
    assert buffer.add(task(2)) and buffer.add(task(1, ABDUCTION)) and buffer.add(task(1, INDUCTION))
    assert buffer.distinct(DEDUCTION) == 1 and buffer.size(DEDUCTION) == 2


def test_an_induction_task_with_reordered_inputs_or_a_new_message_is_not_new():
    buffer = filled(1, type=INDUCTION)
    old = task(1, INDUCTION)
    again = Task(INDUCTION, old.program, old.inputs[::-1], old.outputs[::-1], "other words", 1)
    assert buffer.contains(again)


def test_the_cap_drops_the_oldest():  # definition 14
    buffer = filled(1, 2, 3, 4, cap=3)
    assert [t.inputs[0] for t in buffer] == ["2", "3", "4"]
    assert not buffer.contains(task(1)) and buffer.add(task(1))
    assert [t.inputs[0] for t in buffer] == ["3", "4", "1"]


def test_the_cap_counts_each_type_alone():
    buffer = filled(1, 2, cap=2)
    buffer.add(task(1, ABDUCTION))
    assert buffer.size(DEDUCTION) == 2 and buffer.size(ABDUCTION) == 1


def test_distinct_programs_are_forgotten_with_their_last_task():
    buffer = TripleBuffer(cap=2)
    for number, program in enumerate(["def f(a):\n    return 1", "def f(a):\n    return 2"] * 2):
        buffer.add(task(number, program=program))
    assert buffer.distinct(DEDUCTION) == 2
    buffer.add(task(9, program="def f(a):\n    return 2"))
    assert buffer.distinct(DEDUCTION) == 1


def test_references_are_drawn_without_replacement():  # definition 6
    buffer = filled(*range(6))
    for seed in range(20):
        drawn = buffer.sample_references(DEDUCTION, 6, random.Random(seed))
        assert len({triple.input for triple in drawn}) == 6
    assert len(buffer.sample_references(DEDUCTION, 2, random.Random(0))) == 2


def test_fewer_references_when_the_buffer_is_smaller():  # definition 6
    assert len(seeds().sample_references(ABDUCTION, 6, random.Random(0))) == 1


def test_references_are_of_their_own_type_and_uniform():
    buffer = filled(*range(4))
    buffer.add(task(99, ABDUCTION))
    rng = random.Random(0)
    seen = [buffer.sample_references(DEDUCTION, 1, rng)[0].input for _ in range(4000)]
    assert set(seen) == set("0123")
    assert all(900 < seen.count(number) < 1100 for number in "0123")


def test_induction_programs_come_from_the_union_of_the_other_buffers():
    buffer = filled(1)
    buffer.add(task(2, ABDUCTION))
    buffer.add(task(3, INDUCTION))
    rng = random.Random(0)
    assert {buffer.sample_program(rng).input for _ in range(100)} == {"1", "2"}


def test_a_solve_batch_is_new_tasks_first_then_different_past_ones():  # definition 13
    buffer, new = filled(*range(5)), [task(10), task(11)]
    for seed in range(20):
        batch = buffer.fill(DEDUCTION, new, 6, random.Random(seed))
        assert batch[:2] == new and len(batch) == 6
        assert len({t.inputs for t in batch[2:]}) == 4


def test_a_buffer_that_just_suffices_repeats_nothing():  # definition 13
    batch = filled(*range(5)).fill(DEDUCTION, [], 5, random.Random(0))
    assert {t.inputs[0] for t in batch} == set("01234")


def test_a_small_buffer_fills_a_batch_with_replacement():  # definition 13
    for type in TaskType:
        batch = seeds().fill(type, [], 8, random.Random(0))
        assert len(batch) == 8 and {t.type for t in batch} == {type}


def test_a_full_batch_draws_nothing():
    rng = random.Random(0)
    before = rng.getstate()
    assert filled(1).fill(DEDUCTION, [task(5), task(6)], 2, rng) == [task(5), task(6)]
    assert rng.getstate() == before


def test_filling_does_not_change_its_arguments():
    buffer, new = filled(1, 2), [task(7)]
    buffer.fill(DEDUCTION, new, 3, random.Random(0))
    assert new == [task(7)] and buffer.size(DEDUCTION) == 2


numbers = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(TaskType)), max_size=30)


@given(numbers, st.integers(1, 5))
def test_a_buffer_is_what_a_plain_list_would_be(added, cap):
    buffer, plain = TripleBuffer(cap), {type: [] for type in TaskType}
    for number, type in added:
        new = task(number, type)
        assert buffer.add(new) is (new not in plain[type])
        if new not in plain[type]:
            plain[type] = [*plain[type], new][-cap:]
    assert list(buffer) == [t for type in TaskType for t in plain[type]]


@given(added=numbers)
def test_save_and_load_give_the_same_buffer(added, tmp_path_factory):
    buffer = TripleBuffer(cap=4)
    for number, type in added:
        buffer.add(task(number, type))
    path = tmp_path_factory.mktemp("buffer") / "buffer.jsonl"
    buffer.save(path)
    again = TripleBuffer.load(path, cap=4)
    assert list(again) == list(buffer) and again._known == buffer._known
    assert again._programs == buffer._programs


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "deduction"}', "null", '{"type": 3}'])
def test_a_damaged_file_is_one_clear_sentence(tmp_path, text):
    path = tmp_path / "buffer.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match="buffer.jsonl.*new run"):
        TripleBuffer.load(path)


def test_a_missing_file_is_one_clear_sentence(tmp_path):
    with pytest.raises(ValueError, match="nowhere.jsonl"):
        TripleBuffer.load(tmp_path / "nowhere.jsonl")
