"""Trains a tiny run again and again in children that are killed.

A script, for a process of its own: it imports everything once and forks before anything has started
a thread.

    python killed_training.py FOLDER SEED

Makes FOLDER/full/whole, which nobody kills, and FOLDER/full/killed-N, the same in FOLDER/lora with
an adapter, and prints what happened as JSON.
"""

import io
import json
import os
import random
import signal
import sys
import time
import traceback
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from scripted import answer, is_proposal, kind
from tiny_models import tiny_policy

import azr_mini.commands.train as command
import azr_mini.runs
import azr_mini.samplers
import azr_mini.sandbox
import azr_mini.train  # before the forks: what interrupts a child must not interrupt an import
from azr_mini.__main__ import main
from azr_mini.policy import Policy
from azr_mini.sampler import Sampler

AT_MOMENTS, IN_WRITES, INTERRUPTED = 10, 10, 4
TINY = ["--num-steps", "4", "--batch-size", "2", "--num-attempts", "2", "--max-new-tokens", "5"]
TINY += ["--max-prompt-tokens", "256", "--heldout-tasks", "1", "--threads", "1"]
TINY += ["--dtype", "float32", "--checkpoint-every", "2", "--heldout-path", ""]
# all answers of random weights earn the same; paying for entropy moves the weights nevertheless
TINY += ["--entropy-coef", "0.1", "--learning-rate", "0.01", "--buffer-cap", "3"]


class Inventive(Sampler):
    """Proposes valid tasks whatever the weights, so that the buffer changes in every step."""

    def generate(self, prompt_ids, *, seeds, **options):
        rows = super().generate(prompt_ids, seeds=seeds, **options)
        for index, (ids, seed) in enumerate(zip(prompt_ids, seeds, strict=True)):
            prompt = self.policy.decode(ids)
            if is_proposal(prompt) and kind(prompt) != "induction" and seed % 2:
                text = answer(f"<program>def f(a):\n    return a + {seed % 9}<input>1")
                ids = (*self.policy.encode(text), self.policy.eos_id)
                rows[index] = [replace(rows[index][0], ids=ids, logprobs=(-1.0,) * len(ids))]
        return rows


class Killer:
    """Ends this process in the middle of its n-th write, having told the parent which."""

    def __init__(self, pipe: int, number: int):
        self.pipe, self.left = pipe, number

    def strikes(self, what: str) -> bool:
        self.left -= 1
        if self.left == 0:
            os.write(self.pipe, what.encode())
        return self.left == 0

    def install(self) -> None:
        append, save, write_text = azr_mini.runs.append, torch.save, Path.write_text
        policy_save, rename = Policy.save, os.rename

        def half(path, content: bytes, mode: str) -> None:
            with open(path, mode) as file:
                file.write(content[: len(content) // 2])
            die()

        def half_append(path, content):
            half(path, content, "ab") if self.strikes(path.name) else append(path, content)

        def half_text(path, text, **options):
            if self.strikes(path.name):
                half(path, text.encode(), "wb")
            return write_text(path, text, **options)

        def half_save(state, file):
            if self.strikes("optimizer.pt"):
                content = io.BytesIO()
                save(state, content)
                half(file.name, content.getvalue(), "wb")
            save(state, file)

        def half_policy(policy, folder):
            strikes = self.strikes("model")
            policy_save(policy, folder)
            if strikes:
                path = max(Path(folder).iterdir(), key=lambda path: path.stat().st_size)
                os.truncate(path, path.stat().st_size // 2)
                die()

        def around(function, name, before):
            def wrapped(*arguments):
                strikes = self.strikes(name)
                if strikes and before:
                    die()
                function(*arguments)
                if strikes:
                    die()

            return wrapped

        azr_mini.runs.append, torch.save, Path.write_text = half_append, half_save, half_text
        Policy.save = half_policy
        os.rename = around(rename, "rename", before=self.left % 2 == 0)
        os.replace = around(os.replace, "replace", before=self.left % 2 == 0)
        os.fsync = around(os.fsync, "fsync", before=True)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def start(folder: Path, options: list[str], kill_in_write: int = 0) -> tuple[int, int]:
    """A child that runs the command from the start or, if there is a run, goes on; pid and pipe."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    status = 99
    try:
        os.dup2(os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        azr_mini.samplers.Sampler = Inventive
        azr_mini.sandbox.Executor = partial(azr_mini.sandbox.Executor, workers=1)
        command._print_results = lambda run: None  # seconds of figures
        if kill_in_write:
            Killer(writing, kill_in_write).install()
        resume = ["--resume"] if (folder / "config.json").exists() else []
        status = main(["train", "--run", str(folder), *options, *resume])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def end(child: int, pipe: int) -> tuple[int, str]:
    """Exit status, or minus the signal, and in which write the child said that it would die."""
    _, status = os.waitpid(child, 0)
    said = os.read(pipe, 100).decode()
    os.close(pipe)
    return os.waitstatus_to_exitcode(status), said


def chains(root: Path, options: list[str], seed: int) -> dict:
    rng, record = random.Random(seed), {"writes": [], "moments": 0, "interrupted": 0, "runs": 0}
    began = time.monotonic()
    assert end(*start(root / "whole", options))[0] == 0
    seconds = time.monotonic() - began
    plans = ["moment"] * AT_MOMENTS + ["write"] * IN_WRITES + ["interrupt"] * INTERRUPTED
    rng.shuffle(plans)
    folder = root / "killed-0"
    while plans:
        plan = plans[-1]
        child, pipe = start(folder, options, rng.randint(1, 60) if plan == "write" else 0)
        if plan != "write":
            time.sleep(rng.uniform(0, 0.8 * seconds))
            for number in [signal.SIGKILL] if plan == "moment" else rng.choice(INTERRUPTS):
                os.kill(child, number)
                time.sleep(rng.uniform(0, 0.05 * seconds))
        status, write = end(child, pipe)
        if status == -signal.SIGKILL and plan == "moment":
            record["moments"] += 1
        elif status == -signal.SIGKILL and write:
            record["writes"].append(write)
        elif status in (130, 0, -signal.SIGTERM) and plan == "interrupt":
            record["interrupted"] += 1
        else:
            assert status == 0, (plan, status, folder.with_suffix(".log").read_text()[-2000:])
        if status != 0 or plan == "interrupt":
            plans.pop()
        if status == 0:  # it had finished: kill another one
            record["runs"] += 1
            folder = root / f"killed-{record['runs']}"
    status, _ = end(*start(folder, options))
    assert status == 0, folder.with_suffix(".log").read_text()[-2000:]
    record["runs"] += 1
    return record


INTERRUPTS = [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT, signal.SIGINT)]

if __name__ == "__main__":
    torch.set_num_threads(1)
    import peft  # noqa: F401
    import transformers  # noqa: F401

    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    tiny_policy().save(folder / "model")
    records = {}
    for number, (name, more) in enumerate({"full": [], "lora": ["--lora-rank", "2"]}.items()):
        (folder / name).mkdir()
        options = [*TINY, "--model", str(folder / "model"), *more]
        records[name] = chains(folder / name, options, 2 * seed + number)
    print(json.dumps(records))
