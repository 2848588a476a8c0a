"""Tasks survive their JSON, and no other JSON value becomes a task."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_mini.resources import data_path
from azr_mini.tasks import Task, TaskType, load_seed_tasks, task_from_json

SEED = load_seed_tasks(data_path("seed_triples.json"))
DEDUCTION = Task(TaskType.DEDUCTION, "def f(a):\n    return a", ("1",), ("1",)).to_json()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("task", SEED, ids=lambda task: task.type.value)
def test_a_task_survives_its_json(task):
    assert task_from_json(json.loads(json.dumps(task.to_json()))) == task


@given(st.sampled_from(sorted(DEDUCTION)), json_values, st.sampled_from(SEED))
def test_a_field_of_another_kind_is_a_value_error_or_a_sound_task(field, value, task):
    try:
        read = task_from_json({**task.to_json(), field: value})
    except ValueError:
        return
    texts = (read.program, *read.inputs, *read.outputs, read.message or "")
    assert all(isinstance(text, str) for text in texts) and read.to_json()[field] == value


@given(json_values)
def test_any_other_json_value_is_a_value_error(value):
    with pytest.raises(ValueError):
        task_from_json(value)


@pytest.mark.parametrize("field", ["inputs", "outputs"])
@pytest.mark.parametrize("value", ["1", {"1": 1}, None, 1, [1], [None], []], ids=repr)
def test_pairs_are_lists_of_texts(field, value):
    with pytest.raises(ValueError, match="not a task"):
        task_from_json({**DEDUCTION, field: value})


@pytest.mark.parametrize("text", ["[" * 200_000, '{"tasks": 3}', "[]", '{"tasks": [3]}', "{"])
def test_a_damaged_seed_file_is_one_clear_sentence(tmp_path, text):
    path = tmp_path / "seeds.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="seeds.json is damaged.*--seed-path"):
        load_seed_tasks(path)
