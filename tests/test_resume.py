"""A run that was stopped or killed and goes on is bit for bit the run that was not."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import tiny_policy

from azr_mini.config import Config
from azr_mini.resources import data_path
from azr_mini.runs import Run
from azr_mini.sandbox import Executor
from azr_mini.train import train

VARYING = ("time/", "tokens_per_second/", "memory/")
TINY = {
    "num_steps": 5,
    "batch_size": 2,
    "num_attempts": 2,
    "max_new_tokens": 12,
    "max_prompt_tokens": 256,
    "dtype": "float32",
    "threads": 1,
}
SMALL = ["--num-steps", "6", "--batch-size", "4", "--num-attempts", "2", "--heldout-tasks", "4"]


def assert_same_run(one: Path, two: Path) -> None:
    """Everything that is promised to be equal is, to the last bit."""
    for name in ("rollouts.jsonl.gz", "buffer.jsonl", "heldout.jsonl", "checkpoint/buffer.jsonl"):
        pair = [(folder / name) for folder in (one, two)]
        assert pair[0].exists() == pair[1].exists(), name
        assert not pair[0].exists() or pair[0].read_bytes() == pair[1].read_bytes(), name
    rows = []
    for folder in (one, two):
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        rows.append([{k: v for k, v in r.items() if not k.startswith(VARYING)} for r in records])
    assert rows[0] == rows[1] and len(rows[0][0]) > 20
    (name,) = {path.name for path in (one / "checkpoint").glob("*.safetensors")}
    weights = [load_file(folder / "checkpoint" / name) for folder in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    moments = [
        torch.load(folder / "checkpoint" / "optimizer.pt", weights_only=True)["state"]
        for folder in (one, two)
    ]
    assert moments[0].keys() == moments[1].keys() and moments[0]
    for key in moments[0]:
        for name, value in moments[0][key].items():
            assert torch.equal(value, moments[1][key][name]), (key, name)


def every_rollout_pulls(rewards, groups):
    """Advantages that move the weights although a random model earns the same everywhere."""
    return torch.linspace(-1, 1, len(rewards))


def go_on(run, state, executor, steps, checkpoint_after=None):
    for step in train(run.config, state, executor, advantages=every_rollout_pulls):
        run.append(step)
        if step.step + 1 in (checkpoint_after, run.config.num_steps):
            run.checkpoint(state)
        if step.step + 1 == steps:
            return


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_policy().save(folder)
    return str(folder)


@pytest.mark.parametrize("lora_rank", [None, 2])
def test_going_on_from_a_checkpoint_changes_nothing(tmp_path, model_folder, lora_rank):
    config = Config(model=model_folder, lora_rank=lora_rank, **TINY)
    whole, killed = (Run.create(tmp_path / name, config) for name in ("whole", "killed"))
    with Executor(workers=1) as executor:
        go_on(whole, whole.state(), executor, steps=5)
        go_on(killed, killed.state(), executor, steps=4, checkpoint_after=2)
        again = Run.open(killed.folder)
        assert again.step == 2 and len(again.metrics) == 4
        state = again.state()
        again.rewind()
        go_on(again, state, executor, steps=5)
    assert_same_run(whole.folder, killed.folder)
    if lora_rank:
        adapter = load_file(whole.folder / "checkpoint" / "adapter_model.safetensors")
        assert any(value.abs().sum() > 0 for key, value in adapter.items() if "lora_B" in key)


def test_the_weights_did_move(tmp_path, model_folder):
    config = Config(model=model_folder, **TINY)
    run = Run.create(tmp_path / "run", config)
    with Executor(workers=1) as executor:
        go_on(run, run.state(), executor, steps=5)
    before = load_file(Path(model_folder, "model.safetensors"))
    after = load_file(run.folder / "checkpoint" / "model.safetensors")
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_going_on_with_another_arithmetic_is_refused(tmp_path, model_folder):
    config = Config(model=model_folder, **TINY)
    run = Run.create(tmp_path / "run", config)
    run.record["dtype"] = "bfloat16"
    with pytest.raises(ValueError, match="made with dtype bfloat16, this machine uses float32"):
        run.state()


def command(*arguments) -> list[str]:
    return [sys.executable, "-m", "azr_mini", "train", *map(str, arguments)]


def read_steps(process: subprocess.Popen, count: int) -> None:
    """Returns when the process has reported that many steps."""
    seen = []
    for line in process.stdout:
        seen.append(line)
        count -= line.startswith("step ")
        if not count:
            return
    raise AssertionError("".join(seen))


@pytest.mark.slow
@pytest.mark.skipif(
    not (data_path("nano_base") / "model.safetensors").exists(), reason="data/nano_base is missing"
)
def test_killed_and_interrupted_runs_go_on_exactly(tmp_path):
    """The command line itself, with the nano base: killed, then stopped with Ctrl-C, then whole."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    root = str(Path(__file__).resolve().parents[1])  # found also where it is not installed
    options = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": root}, **pipes}
    whole = subprocess.run(command(*SMALL, "--run", "whole"), **options)
    assert whole.returncode == 0, whole.stdout

    begin = command(*SMALL, "--run", "stopped", "--checkpoint-every", "2")
    process = subprocess.Popen(begin, **options)
    read_steps(process, 3)
    process.kill()
    process.communicate()
    assert len(Run.open(tmp_path / "stopped").metrics) >= 3

    go_on_command = command("--run", "stopped", "--resume", "--checkpoint-every", "100")
    process = subprocess.Popen(go_on_command, **options)
    read_steps(process, 1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()
    assert process.returncode == 130 and "--run stopped --resume" in said, said
    assert Run.open(tmp_path / "stopped").step in (3, 4, 5)

    last = subprocess.run(go_on_command, **options)
    assert last.returncode == 0, last.stdout
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_twenty_kills_change_nothing_with_full_weights_or_an_adapter(tmp_path):
    """The command line in forked children: ten kills at random moments, ten in the middle of a
    write, four interrupts; each of the runs that this takes ends as the one that nobody killed.
    """
    tests = Path(__file__).resolve().parent
    path = os.pathsep.join([str(tests.parent), str(tests)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(tests / "killed_training.py"), str(tmp_path), "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name, record in json.loads(done.stdout).items():
        assert record["moments"] == 10 and len(record["writes"]) == 10, record
        assert record["interrupted"] == 4
        whole, *killed = sorted((tmp_path / name).glob("*/config.json"), reverse=True)
        assert whole.parent.name == "whole" and len(killed) == record["runs"]
        for config in killed:
            assert_same_run(whole.parent, config.parent)
        base = load_file(tmp_path / "model" / "model.safetensors")
        if name == "full":  # what is equal did change
            weights = load_file(whole.parent / "checkpoint" / "model.safetensors")
            assert any(not torch.equal(base[key], weights[key]) for key in base)
        steps = [json.loads(x) for x in (whole.parent / "metrics.jsonl").read_text().splitlines()]
        sizes = [step["buffer/size/deduction"] for step in steps]
        assert 1 < sizes[-1] == 3  # the buffer grew up to its cap
