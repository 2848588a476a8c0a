"""Real faults: full disks, folders that refuse, damaged files, dead processes, numbers that are not
finite. Nothing that was saved is lost, and one sentence says what to do.
"""

import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from test_learner import ROLLOUTS, sgd_state
from test_resume import assert_same_run, every_rollout_pulls
from test_runs import IDENTITY, TinyState
from tiny import tiny_policy as tiny_nano_policy
from tiny_models import tiny_policy

from azr_mini import learner
from azr_mini.__main__ import main
from azr_mini.commands.train import _self_play
from azr_mini.config import Config
from azr_mini.keeping import Interrupts, keep
from azr_mini.learner import MAX_SKIPPED, NonFiniteError, update
from azr_mini.runs import Run
from azr_mini.sampler import Sampler
from azr_mini.sandbox import Executor, Job
from azr_mini.tasks import Role
from azr_mini.train import TrainState, train

ROOT = Path(__file__).resolve().parents[1]
NOBODY = 65534
BIG = Config(max_grad_norm=1e9, micro_batch_tokens=10**6, heldout_path="")
NUM_STEPS = 4


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_policy().save(folder)
    return Config(
        model=str(folder), num_steps=NUM_STEPS, batch_size=2, num_attempts=2, max_new_tokens=8,
        max_prompt_tokens=256, dtype="float32", threads=1, learning_rate=1e-3, heldout_path="",
    )  # fmt: skip


def play(run, state, executor, steps=NUM_STEPS):
    """Trains up to a step, with a checkpoint after each, as the command does."""
    for step in train(run.config, state, executor, advantages=every_rollout_pulls):
        run.append(step)
        run.checkpoint(state)
        if state.step == steps:
            return


@pytest.fixture(scope="module")
def whole(config, executor, tmp_path_factory):
    """A run that nothing happened to."""
    run = Run.create(tmp_path_factory.mktemp("runs") / "whole", config)
    play(run, run.state(), executor)
    return run.folder


def contents(folder: Path) -> dict:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def go_on(folder: Path, executor) -> str:
    """Resumes a run to its end; returns what it says about its checkpoints."""
    run = Run.open(folder)
    state = run.state()
    note = run.rewind()
    play(run, state, executor)
    return note


# ---- disk full


@contextmanager
def no_file_beyond(size: int):
    """The kernel refuses every byte beyond that size, in any file: EFBIG, as a disk quota does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [5, 600])  # in metrics.jsonl, then in rollouts.jsonl.gz
def test_a_disk_that_fills_while_appending_costs_the_step_only(
    tmp_path, config, executor, whole, room
):
    run = Run.create(tmp_path / "run", config)
    state = run.state()
    play(run, state, executor, steps=2)
    metrics = (run.folder / "metrics.jsonl").stat().st_size
    (step,) = [next(train(config, state, executor, advantages=every_rollout_pulls))]
    limit = metrics + room if room == 5 else (run.folder / "rollouts.jsonl.gz").stat().st_size + 5
    with no_file_beyond(limit), pytest.raises(ValueError) as caught:
        run.append(step)
    said = str(caught.value)
    assert "cannot be written (File too large): make room" in said and "--resume" in said
    assert Run.open(run.folder).step == 2
    go_on(run.folder, executor)
    assert_same_run(whole, run.folder)


@pytest.mark.parametrize("share", [0.02, 0.5, 1.02, 1.5])  # of the size of the model's file
def test_a_disk_that_fills_in_a_checkpoint_leaves_the_last_one(
    tmp_path, config, executor, whole, share
):
    run = Run.create(tmp_path / "run", config)
    state = run.state()
    play(run, state, executor, steps=2)
    run.append(next(train(config, state, executor, advantages=every_rollout_pulls)))
    before = contents(run.folder)
    model = (run.folder / "checkpoint" / "model.safetensors").stat().st_size
    with no_file_beyond(int(share * model)), pytest.raises(ValueError, match="make room") as caught:
        run.checkpoint(state)
    said = str(caught.value)
    assert "checkpoint cannot be written" in said and "too large" in said, said
    assert contents(run.folder) == before  # and what was half written is gone
    go_on(run.folder, executor)
    assert_same_run(whole, run.folder)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_run_on_a_full_file_system_goes_on_when_there_is_room(
    small_disk, config, executor, whole
):
    run = Run.create(small_disk / "run", config)
    ballast, state = small_disk / "ballast", run.state()
    play(run, state, executor, steps=2)
    room = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast.write_bytes(bytes(room - 300_000))
    with pytest.raises(ValueError, match="No space left on device.*make room"):
        play(run, state, executor)
    assert Run.open(run.folder).step == 2
    ballast.unlink()
    go_on(run.folder, executor)
    assert_same_run(whole, run.folder)


def test_a_run_that_could_not_be_created_can_be(tmp_path, config):
    with no_file_beyond(100), pytest.raises(ValueError, match="config.json cannot be written"):
        Run.create(tmp_path / "run", config)
    assert Run.create(tmp_path / "run", config).step == 0


def test_a_run_killed_while_it_is_created_can_be_created(tmp_path, config):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json.tmp").write_text('{"config"')
    (tmp_path / "run" / "lock").write_text("1")
    Run.create(tmp_path / "run", config)
    assert Run.open(tmp_path / "run").config == config


# ---- folders that refuse


@pytest.fixture
def public_folder():
    """A folder that every user can reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def without_privileges():
    """Nobody's rights if we are root, whom no permission stops."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_folder_that_may_not_be_written_is_named_at_creation(public_folder, config):
    public_folder.chmod(0o555)
    with without_privileges(), pytest.raises(ValueError) as caught:
        Run.create(public_folder / "run", config)
    advice = "cannot be written (Permission denied): make the folder writable or name another one"
    assert f"{public_folder / 'run'} {advice}" in str(caught.value)
    assert not list(public_folder.iterdir())


def test_a_run_folder_that_may_not_be_written_is_named_at_resume(public_folder, whole, capsys):
    folder = Path(shutil.copytree(whole, public_folder / "run"))
    for path in (folder, *folder.iterdir()):
        path.chmod(0o555)
    before = contents(folder)
    with without_privileges():
        assert main(["train", "--run", str(folder), "--resume"]) == 2
    said = capsys.readouterr().err
    assert f"{folder} cannot be written (Permission denied): make the folder writable" in said
    assert said.count("\n") == 1 and contents(folder) == before


HOLD = """
import pathlib, sys, time
from azr_mini.locking import lock
claim = lock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path, whole, capsys):
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    command = [sys.executable, "-c", HOLD, str(folder)]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "held\n"
    before = contents(folder)
    assert main(["train", "--run", str(folder), "--resume"]) == 2
    shown, said = capsys.readouterr()
    assert f"{folder} is in use: process {first.pid} writes to it" in said
    assert said.count("\n") == 1 and contents(folder) == before
    assert not shown  # refused before anything is loaded
    with pytest.raises(ValueError, match="is in use"):
        Run.open(folder).rewind()
    assert len(Run.open(folder).metrics) == NUM_STEPS  # reading needs no claim
    first.kill()
    first.communicate()
    Run.open(folder).rewind()


def test_a_claim_ends_with_the_run_that_made_it(tmp_path, whole):
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    one, other = Run.open(folder), Run.open(folder)
    one.rewind()
    other.rewind()  # the same process may
    del one, other
    command = [sys.executable, "-c", HOLD.replace("600", "0"), str(folder)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout == "held\n"


# ---- damaged files


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def two_checkpoints(folder: Path) -> Run:
    run = Run.create(folder, Config())
    state = TinyState(step=20)
    state.buffer.add(IDENTITY)
    for step, state.step in enumerate((20, 30)):
        run.append(SimpleNamespace(step=step, metrics={"loss": 0.5}, rollouts=[]))
        run.checkpoint(state)
    return run


@pytest.mark.parametrize("damage", [cut, flip, os.unlink])
@pytest.mark.parametrize(
    "name", ["model.pt", "optimizer.pt", "buffer.jsonl", "state.json", "../metrics.jsonl"]
)
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_used(tmp_path, name, damage):
    run = two_checkpoints(tmp_path / "run")
    kept = {p.name: p.read_bytes() for p in (run.folder / "checkpoint.previous").iterdir()}
    damage(run.folder / "checkpoint" / name)
    again = Run.open(run.folder)
    if name == "../metrics.jsonl" and damage is os.unlink:  # both need its first line
        with pytest.raises(ValueError, match="is damaged .metrics.jsonl.* and checkpoint of step"):
            again.rewind()
        return
    note = again.rewind()
    assert note.endswith(f"is damaged ({name.removeprefix('../')}): going on from step 20")
    assert note.startswith("checkpoint of step 30" if name != "state.json" else "checkpoint is")
    assert again.step == 20 and list(again.metrics.index) == [0]
    again.checkpoint(TinyState(step=25))  # the damaged one must not take the place of the whole
    assert kept == {p.name: p.read_bytes() for p in (run.folder / "checkpoint.previous").iterdir()}
    assert Run.open(run.folder).step == 25


def test_any_changed_bit_of_the_record_is_noticed(tmp_path):
    run = two_checkpoints(tmp_path / "run")
    path = run.folder / "checkpoint" / "state.json"
    content = path.read_bytes()
    for place in range(0, 8 * len(content), 5):  # all of the eight bits
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        assert run.step == 20, bytes(changed)


def test_when_both_checkpoints_are_damaged_nothing_changes(tmp_path):
    run = two_checkpoints(tmp_path / "run")
    cut(run.folder / "checkpoint" / "model.pt")
    cut(run.folder / "checkpoint.previous" / "optimizer.pt")
    before = contents(run.folder)
    with pytest.raises(ValueError) as caught:
        Run.open(run.folder).rewind()
    damage = "step 30 is damaged (model.pt) and checkpoint of step 20 is damaged (optimizer.pt)"
    assert damage in str(caught.value) and "restore" in str(caught.value)
    assert contents(run.folder) == before


def test_a_run_goes_on_exactly_from_the_checkpoint_before(tmp_path, config, executor, whole):
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    flip(folder / "checkpoint" / "model.safetensors")
    note = go_on(folder, executor)
    assert note == "checkpoint of step 4 is damaged (model.safetensors): going on from step 3"
    assert_same_run(whole, folder)


def test_a_kill_between_the_renames_leaves_the_last_checkpoint(tmp_path):
    run = two_checkpoints(tmp_path / "run")
    shutil.rmtree(run.folder / "checkpoint.previous")
    os.rename(run.folder / "checkpoint", run.folder / "checkpoint.previous")
    again = Run.open(run.folder)
    assert again.step == 30 and again.rewind() == ""


def test_the_copy_of_the_buffer_is_made_good_at_resume(tmp_path):
    run = two_checkpoints(tmp_path / "run")
    (run.folder / "buffer.jsonl").write_text("")  # killed before it was written
    Run.open(run.folder).rewind()
    assert Run.open(run.folder).buffer == [IDENTITY]


@pytest.mark.parametrize(
    ("name", "read", "words"),
    [
        ("metrics.jsonl", lambda run: run.metrics, "metrics.jsonl is damaged in line 2"),
        ("heldout.jsonl", lambda run: run.heldout, "heldout.jsonl is damaged in line 2"),
        ("buffer.jsonl", lambda run: run.buffer, "buffer.jsonl is damaged in line 1"),
        ("rollouts.jsonl.gz", lambda run: list(run.rollouts), "damaged in step 2, counted from 1"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, name, read, words):
    run = two_checkpoints(tmp_path / "run")
    for step in (0, 30):
        run.append_heldout({"step": step})
    path = run.folder / name
    content = bytearray(path.read_bytes())
    content[content.rindex(b"{") if b"{" in content else -5] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read(run)


def test_going_on_twice_without_a_step_changes_nothing(tmp_path, whole):
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    before = contents(folder)
    for _ in range(2):
        run = Run.open(folder)
        run.state()
        run.rewind()
        del run
    (folder / "lock").write_text((whole / "lock").read_text())  # names the process
    assert contents(folder) == before


def test_a_finished_run_is_given_more_steps_and_remembers(tmp_path, config, executor, whole):
    run = Run.create(tmp_path / "run", replace(config, num_steps=2))
    play(run, run.state(), executor, steps=2)
    run = Run.open(run.folder)
    run.grow(config)
    assert go_on(run.folder, executor) == ""
    assert Run.open(run.folder).config == config
    with pytest.raises(ValueError, match="num_steps = 4, not 3"):
        run.grow(replace(config, num_steps=3))
    assert_same_run(whole, run.folder)


# ---- processes that die


def program(body: str) -> str:
    return f"def f(a):\n    {body}"


def children_of(pid: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@needs_proc
def test_a_child_killed_in_the_middle_costs_its_own_program_only():
    with Executor(workers=1, cpu_seconds=30) as executor:
        killed = []

        def assassin():
            deadline = time.monotonic() + 60
            while not killed and time.monotonic() < deadline:
                for zygote in executor._runner.zygotes:
                    for child in children_of(zygote.process.pid):
                        if zygote.waiting and "while" in zygote.waiting[0].programs[0][0]:
                            os.kill(child, signal.SIGKILL)
                            killed.append(child)
                time.sleep(0.05)

        thread = threading.Thread(target=assassin)
        thread.start()
        jobs = [Job(program(f"return a + {i}"), ["1"]) for i in range(10)]
        results = executor.run([*jobs[:5], Job(program("while True: pass"), ["1"]), *jobs[5:]])
        thread.join()
        assert killed and results.pop(5).status == "error"
        assert [r.outputs for r in results] == [[str(i + 1)] for i in range(10)]


@needs_proc
def test_when_every_zygote_is_killed_the_answers_are_the_same(executor):
    for zygote in executor._runner.zygotes:
        os.kill(zygote.process.pid, signal.SIGKILL)
    results = executor.run([Job(program(f"return a + {i}"), ["1"]) for i in range(20)])
    assert [r.outputs for r in results] == [[str(i + 1)] for i in range(20)]


@needs_proc
def test_a_request_that_is_too_much_for_the_zygote_itself_is_a_verdict():
    with Executor(workers=1, memory_mb=24) as executor:
        before = list(executor._runner.zygotes)
        large = Job(program("return len(a)"), [repr("x" * 19_000)] * 3000)  # 57 MB, in memory twice
        small = [Job(program(f"return a + {i}"), ["1"]) for i in range(6)]
        results = executor.run([*small[:3], large, *small[3:]])
        result = results.pop(3)
        assert result.status == "crash" and "sandbox process" in result.detail
        assert [r.outputs for r in results] == [[str(i + 1)] for i in range(6)]
        assert executor._runner.zygotes[0] is not before[0]


@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_in_the_middle_of_an_update_never_saves_half_of_it(
    tmp_path, config, executor, whole, signals
):
    run = Run.create(tmp_path / "run", config)
    state = run.state()
    calls = []

    def interrupt(optimizer, *_):
        calls.append(0)
        if len(calls) == 3:  # the weights have moved; buffer and step number have not
            for _ in range(signals):
                signal.raise_signal(signal.SIGINT)

    state.optimizer.register_step_post_hook(interrupt)
    pulled = SimpleNamespace(config=config, checkpoint_every=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("azr_mini.train.task_relative_advantages", None)
        patch.setitem(train.__kwdefaults__, "advantages", every_rollout_pulls)
        if signals == 1:
            assert not _self_play(run, state, executor, pulled, Sampler(state.policy))
        else:
            with pytest.raises(KeyboardInterrupt):
                _self_play(run, state, executor, pulled, Sampler(state.policy))
    assert Run.open(run.folder).step == (3 if signals == 1 else 2)
    go_on(run.folder, executor)
    assert_same_run(whole, run.folder)


# ---- numbers that are not finite


def broken(value=math.nan):
    return [replace(ROLLOUTS[0], advantage=value), *ROLLOUTS[1:]]


def snapshot(state):
    return [p.detach().clone() for p in state.policy.parameters()], [
        v.clone() for row in state.optimizer.state.values() for v in row.values()
    ]


def equal(one, other):
    return all(
        len(a) == len(b) and all(map(torch.equal, a, b)) for a, b in zip(one, other, strict=True)
    )


def adam_state():
    state = sgd_state()
    state.optimizer = torch.optim.AdamW(state.policy.parameters(), lr=1e-3)
    update(state, ROLLOUTS, BIG)
    return state


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_skipped_updates_touch_nothing_and_five_in_a_row_end_the_run(value):
    state = adam_state()
    before = snapshot(state)
    for count in range(1, MAX_SKIPPED):
        assert update(state, broken(value), BIG)["update_skipped"] == 1
        assert state.skipped_in_a_row == count and equal(snapshot(state), before)
    with pytest.raises(NonFiniteError, match="not finite in 5 updates in a row.*learning_rate"):
        update(state, broken(value), BIG)
    assert equal(snapshot(state), before)


def test_a_good_update_ends_the_count():
    state = adam_state()
    for rollouts in [*[broken()] * 4, ROLLOUTS, *[broken()] * 4]:
        update(state, rollouts, BIG)
    assert state.skipped_in_a_row == 4


def test_an_infinite_loss_with_a_finite_gradient_is_skipped():
    state = adam_state()
    head = torch.nn.Linear(32, state.reference.model.config.vocab_size)
    head.bias.data[:] = 0.0
    head.bias.data[ROLLOUTS[0].completion_ids[0]] = -math.inf  # a token that the base never says
    state.reference.model.set_output_embeddings(head)
    before = snapshot(state)
    metrics = update(state, ROLLOUTS, replace(BIG, kl_coef=0.1))
    assert math.isinf(metrics["loss"]) and math.isfinite(metrics["grad_norm"])
    assert metrics["update_skipped"] == 1 and equal(snapshot(state), before)


def test_weights_that_are_not_finite_end_the_run_at_once(config, executor):
    state = TrainState.create(config)
    with torch.no_grad():
        state.policy.parameters()[0][0, 0] = math.nan
    with pytest.raises(NonFiniteError, match="weights are not finite in step 0.*--model"):
        list(train(config, state, executor))
    assert state.step == 0
    state = sgd_state(learning_rate=1e38)  # a finite gradient, an infinite step
    huge = [replace(r, advantage=1e4 * r.advantage) for r in ROLLOUTS]
    with pytest.raises(NonFiniteError, match="weights are not finite"):
        update(state, huge, BIG)


def test_the_count_survives_a_resume(tmp_path, config, executor, monkeypatch):
    """Where the run ends does not depend on where it was stopped."""
    from azr_mini import train as loop

    def ends_at(folder, stops):
        run = Run.create(folder, replace(config, num_steps=9))
        state = run.state()
        while True:
            try:
                for step in train(run.config, state, executor, advantages=every_rollout_pulls):
                    run.append(step)
                    run.checkpoint(state)
                    if state.step in stops:
                        break
            except NonFiniteError as error:
                return run.step, str(error)
            run = Run.open(folder)
            state = run.state()
            run.rewind()
            stops = stops[1:]

    def poisoned(state, rollouts, config, **options):
        if state.step >= 1:
            rollouts = [replace(rollouts[0], advantage=math.nan), *rollouts[1:]]
        return learner.update(state, rollouts, config, **options)

    monkeypatch.setattr(loop, "update", poisoned)
    unbroken = ends_at(tmp_path / "whole", [])
    assert unbroken[0] == 5 and "the last in step 5" in unbroken[1]
    assert ends_at(tmp_path / "stopped", [3, 4]) == unbroken
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_updates_that_are_thrown_away_never_replace_the_last_good_checkpoint(
    tmp_path, config, executor, monkeypatch
):
    from azr_mini import train as loop

    def poisoned(state, rollouts, config, **options):
        if state.step in (1, 3, 4, 5, 6, 7):
            rollouts = [replace(rollouts[0], advantage=math.nan), *rollouts[1:]]
        return learner.update(state, rollouts, config, **options)

    monkeypatch.setattr(loop, "update", poisoned)
    run = Run.create(tmp_path / "run", replace(config, num_steps=9))
    state, saved = run.state(), []
    with Interrupts() as interrupts, pytest.raises(NonFiniteError, match="checkpoint.previous"):
        steps = train(run.config, state, executor, advantages=every_rollout_pulls)
        for _ in keep(steps, run, state, interrupts, checkpoint_every=1):
            saved.append(run.step)
    assert saved == [1, 1, 3, 3, 3, 3, 3]
    assert Run.open(run.folder).state().skipped_in_a_row == 0


def test_a_readers_function_that_is_not_finite_is_named(config, executor):
    def divides_by_zero(rewards, groups):
        return rewards / 0

    state = TrainState.create(config)
    with pytest.raises(ValueError, match="divides_by_zero gave advantages that are not finite"):
        next(train(config, state, executor, advantages=divides_by_zero))
    from azr_mini.selfplay import reward_proposals

    proposal = replace(ROLLOUTS[0], role=Role.PROPOSE, type=IDENTITY.type, task=IDENTITY)

    def bottomless(rate):
        return -math.inf

    with pytest.raises(ValueError, match="bottomless gave the reward -inf for solve rate 0.5"):
        reward_proposals([proposal], {(IDENTITY.type, 0): 0.5}, bottomless, config)


# ---- long droughts


@pytest.mark.slow
def test_twenty_steps_without_a_valid_proposal_train_on_full_batches(executor):
    small = Config(
        batch_size=2, num_attempts=2, num_steps=20, max_new_tokens=8, heldout_path="", threads=1
    )
    state = sgd_state(tiny_nano_policy(), learning_rate=1e-3)
    from azr_mini.resources import data_path
    from azr_mini.tasks import load_seed_tasks

    for task in load_seed_tasks(data_path("seed_triples.json")):
        state.buffer.add(task)
    steps = list(train(small, state, executor, advantages=every_rollout_pulls))
    assert len(steps) == 20 and len(state.buffer) == 3
    for step in steps:
        assert sum(r.role is Role.SOLVE for r in step.rollouts) == 3 * 2 * 2
        for kind in ("deduction", "abduction", "induction"):
            assert step.metrics[f"valid_rate/{kind}"] == 0
            assert step.metrics[f"rejected/{kind}/parse"] == 1
        assert json.dumps(step.metrics) and step.metrics["update_skipped"] == 0
