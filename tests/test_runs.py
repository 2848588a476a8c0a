"""A run folder keeps what happened, never half a checkpoint, and nothing is overwritten."""

import json
import os
from dataclasses import dataclass, field, replace

import pytest
import torch
from made_up_run import MadeUpStep, made_up_run

from azr_mini.buffer import TripleBuffer
from azr_mini.config import Config
from azr_mini.loss_scale import LossScale
from azr_mini.runs import Run
from azr_mini.tasks import Role, Rollout, Task, TaskType

IDENTITY = Task(TaskType.DEDUCTION, "def f(a):\n    return a", ("1",), ("1",))


class TinyPolicy:
    """One matrix that can be saved."""

    def __init__(self):
        self.model = torch.nn.Linear(3, 2)

    def save(self, folder):
        torch.save(self.model.state_dict(), folder / "model.pt")


@dataclass
class TinyState:
    policy: TinyPolicy = field(default_factory=TinyPolicy)
    optimizer: torch.optim.Optimizer = None
    buffer: TripleBuffer = field(default_factory=TripleBuffer)
    step: int = 0
    skipped_in_a_row: int = 0
    micro_batch_tokens: int | None = None
    loss_scale: LossScale = field(default_factory=LossScale)

    def __post_init__(self):
        self.optimizer = torch.optim.AdamW(self.policy.model.parameters())


def contents(run):
    return {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}


def test_everything_appended_is_read_back(tmp_path):
    run = made_up_run(tmp_path / "run", num_steps=3)
    again = Run.open(tmp_path / "run")
    assert list(again.metrics.index) == [0, 1, 2]
    assert again.metrics["time/solve"].notna().all()
    rollouts = list(again.rollouts)
    assert {record["step"] for record in rollouts} == {0, 1, 2}
    assert len(rollouts) == 3 * 3 * 4 * 9
    first = rollouts[0]
    assert first["role"] == Role.PROPOSE.value and first["type"] == TaskType.DEDUCTION.value
    assert first["task"]["program"].startswith("def f")
    assert [record["step"] for record in again.heldout] == [0, 3]
    assert again.record["versions"]["torch"] == run.record["versions"]["torch"] is not None


def test_the_same_rollouts_give_the_same_bytes(tmp_path):
    one, two = (made_up_run(tmp_path / name, num_steps=2) for name in ("one", "two"))
    assert contents(one) == contents(two)


def test_text_that_is_not_unicode_survives(tmp_path):
    odd = "\ud800 \x00 \u2028 é"
    hostile = Rollout(Role.SOLVE, TaskType.DEDUCTION, odd, odd, (), (), (), False, "format", -1.0)
    run = Run.create(tmp_path / "run", Config())
    run.append(MadeUpStep(0, {}, [hostile]))
    (record,) = run.rollouts
    assert record["completion"] == record["prompt"] == odd


def test_an_existing_run_is_never_overwritten(tmp_path):
    run = made_up_run(tmp_path / "run", num_steps=1)
    before = contents(run)
    with pytest.raises(ValueError, match="run exists .*--resume"):
        Run.create(tmp_path / "run", Config())
    assert contents(run) == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="file exists"):
        Run.create(tmp_path / "file", Config())
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(ValueError, match="nothing is not a run folder"):
        Run.open(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file is not a run folder"):
        Run.open(tmp_path / "file")
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    with pytest.raises(ValueError, match="is not a run folder: its config.json is none's"):
        Run.open(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json is damaged"):
        Run.open(tmp_path)


def test_another_configuration_is_refused_by_field(tmp_path):
    run = Run.create(tmp_path / "run", Config(num_steps=10))
    run.check_same(Config(num_steps=10))
    run.check_same(Config(num_steps=20))
    with pytest.raises(ValueError, match="made with learning_rate = .*, not 0.5"):
        run.check_same(Config(num_steps=10, learning_rate=0.5))
    with pytest.raises(ValueError, match="num_steps = 10, not 9"):
        run.check_same(Config(num_steps=9))


def test_a_run_from_before_a_field_existed_goes_on_with_its_default(tmp_path):
    run = made_up_run(tmp_path / "run", num_steps=2)
    record = json.loads((run.folder / "config.json").read_text())
    for name in ("max_batch", "gradient_checkpointing", "sampler"):
        del record["config"][name]
    (run.folder / "config.json").write_text(json.dumps(record))
    old = Run.open(run.folder)
    assert old.config == run.config and old.config.max_batch == 512
    old.check_same(run.config)
    old.grow(replace(run.config, num_steps=3))
    assert Run.open(run.folder).config.num_steps == 3
    with pytest.raises(ValueError, match="made with max_batch = 512, not 8"):
        old.check_same(replace(run.config, num_steps=3, max_batch=8))


def test_rewinding_cuts_what_came_after_the_checkpoint(tmp_path):
    run = made_up_run(tmp_path / "run", num_steps=2)
    state = TinyState(step=2)
    state.buffer.add(IDENTITY)
    run.checkpoint(state)
    kept = contents(run)
    for name in ("metrics.jsonl", "rollouts.jsonl.gz", "heldout.jsonl"):
        with open(run.folder / name, "ab") as file:
            file.write(b'{"torn": ')
    again = Run.open(run.folder)
    assert again.step == 2 and again.buffer == [IDENTITY]
    assert list(again.metrics.index) == [0, 1]  # a torn line does not disturb a reader
    again.rewind()
    assert contents(run) == kept


def test_without_a_checkpoint_the_run_starts_again(tmp_path):
    run = made_up_run(tmp_path / "run", num_steps=2)
    assert run.step == 0 and run.checkpoint_folder is None
    run.rewind()
    assert run.metrics.empty and not list(run.rollouts) and not run.heldout


def test_a_file_shorter_than_its_checkpoint_is_refused(tmp_path):
    run = made_up_run(tmp_path / "run", num_steps=2)
    run.checkpoint(TinyState(step=2))
    os.truncate(run.folder / "metrics.jsonl", 10)
    with pytest.raises(ValueError, match="step 2 is damaged .metrics.jsonl.*restore"):
        run.rewind()


CALLS = 25  # more than a checkpoint makes


@pytest.mark.parametrize("broken_call", range(1, CALLS + 1))
def test_a_checkpoint_is_complete_wherever_saving_is_killed(tmp_path, monkeypatch, broken_call):
    run = made_up_run(tmp_path / "run", num_steps=1)
    for step in (0, 1):
        run.checkpoint(TinyState(step=step))
    calls = 0

    def killed_at_some_point(function):
        def wrapped(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == broken_call:
                raise KeyboardInterrupt
            return function(*arguments, **options)

        return wrapped

    for module, name in ((os, "rename"), (os, "fsync"), (torch, "save")):
        monkeypatch.setattr(module, name, killed_at_some_point(getattr(module, name)))
    state = TinyState(step=2)
    try:
        run.checkpoint(state)
    except KeyboardInterrupt:
        assert broken_call < CALLS
    monkeypatch.undo()
    again = Run.open(run.folder)
    assert again.step in (1, 2)
    folder = again.checkpoint_folder
    assert {"model.pt", "optimizer.pt", "buffer.jsonl", "state.json"} <= set(os.listdir(folder))
    torch.load(folder / "optimizer.pt", weights_only=True)
    again.rewind()
    again.checkpoint(replace(state, step=3))  # and the next one works
    assert Run.open(run.folder).step == 3
    left = {path.name for path in run.folder.iterdir() if path.is_dir()}
    assert left == {"checkpoint", "checkpoint.previous"}


def test_what_a_checkpoint_needs_is_on_the_disk_before_it_counts(tmp_path, monkeypatch):
    run = made_up_run(tmp_path / "run", num_steps=1)
    state, events = TinyState(step=1), []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda fd: events.append(os.fstat(fd).st_ino) or fsync(fd))
    monkeypatch.setattr(os, "rename", lambda a, b: events.append("rename") or rename(a, b))
    run.checkpoint(state)
    needed = [run.folder / name for name in ("metrics.jsonl", "rollouts.jsonl.gz", "heldout.jsonl")]
    needed += [run.folder / "checkpoint", *(run.folder / "checkpoint").iterdir()]
    place = events.index("rename")
    assert {path.stat().st_ino for path in needed} <= set(events[:place])
    last = len(events) - 1 - events[::-1].index("rename")
    assert events[last + 1] == run.folder.stat().st_ino  # and then the rename itself


def test_a_torn_gzip_member_hides_only_its_own_step(tmp_path):
    run = made_up_run(tmp_path / "run", num_steps=3)
    path = run.folder / "rollouts.jsonl.gz"
    os.truncate(path, path.stat().st_size - 20)
    assert {record["step"] for record in run.rollouts} == {0, 1}


def test_damaged_rollouts_are_named(tmp_path):
    run = made_up_run(tmp_path / "run", num_steps=1)
    (run.folder / "rollouts.jsonl.gz").write_bytes(b"this is not gzip, not at all")
    with pytest.raises(ValueError, match="rollouts.jsonl.gz is damaged"):
        list(run.rollouts)


def test_numbers_that_json_lacks_are_written_as_null(tmp_path):
    run = Run.create(tmp_path / "run", Config())
    run.append_heldout({"step": 0, "value": float("nan")})
    assert "null" in (run.folder / "heldout.jsonl").read_text()
