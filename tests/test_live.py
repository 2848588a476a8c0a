"""A run that is watched in a notebook is kept, drawn in place, and survives interrupts."""

import ast
import os
import queue
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyter_client.manager import start_new_kernel
from made_up_run import made_up_run
from test_resume import TINY, assert_same_run, every_rollout_pulls
from tiny_models import tiny_policy

from azr_mini.config import Config
from azr_mini.keeping import Interrupts, keep
from azr_mini.runs import Run
from azr_mini.sandbox import Executor
from azr_mini.train import train
from azr_mini.viz import live
from azr_mini.viz.learning import reward
from azr_mini.viz.live import Page, follow, how_to_go_on
from azr_mini.viz.style import GREY

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_policy().save(folder)
    return Config(model=str(folder), heldout_path="", **TINY)


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


@pytest.fixture(scope="module")
def whole(config, executor, tmp_path_factory):
    """The run that nobody interrupts."""
    run = Run.create(tmp_path_factory.mktemp("runs") / "whole", config)
    assert len(watch(run, run.state(), executor)) == config.num_steps
    return run


def watch(run, state, executor, advantages=every_rollout_pulls):
    """The steps that come out of following a run."""
    steps = train(run.config, state, executor, advantages=advantages)
    return [step.step for step in follow(steps, run, state, num_steps=run.config.num_steps)]


def interrupting(at_step, times):
    """Advantages that interrupt this process, in the middle of a step, so many times."""
    calls = []

    def advantages(rewards, groups):
        calls.append(1)
        if len(calls) - 1 == at_step:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return every_rollout_pulls(rewards, groups)

    return advantages


def go_on(run, executor):
    """The steps that the lines of the message make, without what they were given besides."""
    run = Run.open(run.folder)
    state = run.state()
    run.rewind()
    return watch(run, state, executor)


def test_the_first_interrupt_finishes_the_step_and_saves(config, executor, whole, tmp_path):
    run = Run.create(tmp_path / "run", config)
    assert watch(run, run.state(), executor, interrupting(at_step=2, times=1)) == [0, 1, 2]
    assert run.step == 3 and "3 of 5 steps are saved" in how_to_go_on(run, 5)
    assert go_on(run, executor) == [3, 4]
    assert_same_run(whole.folder, run.folder)


def test_the_second_interrupt_throws_the_step_away(config, executor, whole, tmp_path):
    run = Run.create(tmp_path / "run", config)
    assert watch(run, run.state(), executor, interrupting(at_step=2, times=2)) == [0, 1]
    assert run.step == 0 and go_on(run, executor) == [0, 1, 2, 3, 4]
    assert_same_run(whole.folder, run.folder)


def test_a_half_applied_update_is_never_saved(config, executor, whole, tmp_path):
    run = Run.create(tmp_path / "run", config)
    state = run.state()
    update, calls = state.optimizer.step, []

    def step_and_interrupt():
        update()
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    state.optimizer.step = step_and_interrupt
    steps = train(config, state, executor, advantages=every_rollout_pulls)
    with Interrupts(signal.SIGINT) as interrupts, pytest.raises(KeyboardInterrupt):
        for _ in keep(steps, run, state, interrupts, checkpoint_every=1):
            pass
    assert run.step == 1 and go_on(run, executor) == [1, 2, 3, 4]
    assert_same_run(whole.folder, run.folder)


@pytest.mark.parametrize("interrupted", [False, True])
def test_who_breaks_off_between_two_steps_loses_nothing(config, executor, tmp_path, interrupted):
    run = Run.create(tmp_path / "run", config)
    state = run.state()
    steps = train(config, state, executor, advantages=every_rollout_pulls)
    for step in follow(steps, run, state, num_steps=5):
        if step.step == 1:
            if not interrupted:
                break
            signal.raise_signal(signal.SIGINT)
    assert run.step == 2 == step.step + 1


def test_interrupts_mean_what_they_meant_before_and_after(config, executor, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    run = Run.create(tmp_path / "run", config)
    watch(run, run.state(), executor, interrupting(at_step=0, times=1))
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_of_the_main_thread_it_does_without_interrupts(config, executor, whole, tmp_path):
    run, found = Run.create(tmp_path / "run", config), []
    state = run.state()
    thread = threading.Thread(target=lambda: found.extend(watch(run, state, executor)))
    thread.start()
    thread.join()
    assert found == [0, 1, 2, 3, 4]
    assert_same_run(whole.folder, run.folder)


def test_outside_of_a_notebook_nothing_is_shown(config, executor, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(live, "picture", None)  # whoever draws fails
    run = Run.create(tmp_path / "run", config)
    assert watch(run, run.state(), executor) == [0, 1, 2, 3, 4]
    assert capsys.readouterr() == ("", "")


def test_a_checkpoint_is_saved_every_ten_steps_and_after_the_last(tmp_path, config):
    run = Run.create(tmp_path / "run", config)
    state, saved = SimpleNamespace(step=0, skipped_in_a_row=0), []
    run.append, run.checkpoint = lambda step: None, lambda state: saved.append(state.step)

    def steps():
        for _ in range(25):
            state.step += 1
            yield state.step

    with Interrupts() as interrupts:
        assert list(keep(steps(), run, state, interrupts)) == list(range(1, 26))
    assert saved == [10, 20, 25]


class Clock:
    """A clock that only goes when it is told."""

    now, steps = 1000.0, 0

    def perf_counter(self):
        return self.now


@pytest.mark.parametrize("every", [1, 7])
def test_drawing_takes_at_most_a_tenth_of_the_time(monkeypatch, tmp_path, every):
    clock, drawn = Clock(), []

    def slow_drawing(*arguments, alt):
        clock.now += 1.0
        drawn.append(clock.steps)

    monkeypatch.setattr(live, "time", clock)
    monkeypatch.setattr(live, "in_notebook", lambda: True)
    monkeypatch.setattr(live, "show_in_place", lambda content, handle: "a handle")
    monkeypatch.setattr(live, "picture", slow_drawing)
    page = Page(Run(tmp_path, {}), 50, every, [])
    page.draw()
    for _ in range(50):
        clock.now += 2.0
        clock.steps += 1
        page.draw_if_time()
    page.draw()
    assert drawn[0] == 0 and drawn[-1] == 50 and len(drawn) == len(set(drawn))
    assert 0.05 < (len(drawn) - 2) * 1.0 / (clock.now - 1000.0) <= 0.1
    assert all(b - a >= every for a, b in zip(drawn, drawn[1:-1], strict=False))


def test_recorded_runs_stand_in_grey_behind_the_curves(tmp_path):
    run, *others = (made_up_run(tmp_path / f"{n}", num_steps=n, seed=n) for n in (6, 12, 9))
    figure = reward(run, others, num_steps=6)
    for axes in figure.axes:
        greys = [line for line in axes.lines if line.get_color() == GREY]
        assert [len(line.get_xdata()) for line in greys] == [12, 9]
        assert axes.lines[:2] == greys and len(axes.lines[2].get_xdata()) == 6
        assert axes.get_xlim()[1] > 11
    assert "2 recorded runs" in figure.legends[0].get_texts()[0].get_text()


# ---- in a real kernel


@contextmanager
def kernel(folder):
    """A kernel in that folder that imports this package, and a function that runs a cell in it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    manager, client = start_new_kernel(300, cwd=str(folder), env=environment)

    def run_cell(code, on_message=lambda message: None):
        """The messages that the cell gave rise to, in order."""
        sent, messages, until = client.execute(code), [], time.monotonic() + 900
        while time.monotonic() < until:
            try:
                message = client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") == sent:
                messages.append((message["msg_type"], message["content"]))
                if messages[-1] == ("status", {"execution_state": "idle"}):
                    return messages
                on_message(messages[-1])
        raise AssertionError("the cell did not end")

    try:
        yield manager, run_cell
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


SETUP = """
from azr_mini.config import Config
from azr_mini.runs import Run
from azr_mini.sandbox import Executor
from azr_mini.train import TrainState, train
from azr_mini.viz.live import follow

executor = Executor(workers=1)
config = Config(num_steps=6, batch_size=2, num_attempts=2, max_new_tokens=40, threads=1,
                dtype="float32")
"""
TRAIN = """
state = TrainState.create(config)
run = Run.create({name!r}, config, state.policy)
for step in follow(train(config, state, executor), run, state, num_steps=6):
    print("made", step.step)
"""


def shown(messages):
    """The last content of each output that has a display id, in order of appearance."""
    outputs = {}
    for kind, content in messages:
        if kind in ("display_data", "update_display_data"):
            outputs[content["transient"]["display_id"]] = content
    return list(outputs.values())


def errors(messages):
    return [content for kind, content in messages if kind == "error"]


@pytest.mark.slow
def test_a_run_interrupted_in_a_kernel_goes_on_bit_for_bit(tmp_path):
    with kernel(tmp_path) as (manager, run_cell):
        assert not errors(run_cell(SETUP))
        messages = run_cell(TRAIN.format(name="whole"))
        assert not errors(messages)
        kinds = [kind for kind, _ in messages]
        assert kinds.count("display_data") == 2 < kinds.count("update_display_data")
        figure, text = shown(messages)
        assert figure["data"]["image/png"] and figure["metadata"]["image/png"]["alt"]
        assert "6 of 6 steps are done and saved in whole" in text["data"]["text/plain"]

        for name, times in (("once", 1), ("twice", 2)):

            def interrupt(message, times=times):
                if message[0] == "stream" and "made 1" in message[1]["text"]:
                    for _ in range(times):
                        manager.interrupt_kernel()
                        time.sleep(0.05)  # two signals at the same time are one

            messages = run_cell(TRAIN.format(name=name), interrupt)
            assert not errors(messages)
            said = shown(messages)[1]["data"]["text/plain"]
            assert "stopped:" in said and Run.open(tmp_path / name).step in (0, 2, 3)
            lines = said.partition("or else\n\n")[2]
            code = "\n".join(line.removeprefix("    ") for line in lines.splitlines())
            ast.parse(code)
            assert not errors(run_cell(code))
            assert_same_run(tmp_path / "whole", tmp_path / name)
