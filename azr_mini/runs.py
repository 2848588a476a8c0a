"""A run folder: what was asked, what happened, and a checkpoint from which it goes on exactly."""

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd

from azr_mini.config import Config
from azr_mini.environment import PACKAGES, dtype_name, environment
from azr_mini.files import (
    damaged,
    gzip_members,
    json_line,
    json_lines,
    plain,
    sync,
    write_whole,
)
from azr_mini.tasks import Rollout, Task, task_from_json

METRICS, ROLLOUTS, HELDOUT = "metrics.jsonl", "rollouts.jsonl.gz", "heldout.jsonl"
APPEND_ONLY = (METRICS, ROLLOUTS, HELDOUT)


class Run:
    """One run folder, open for appending and for reading.

    `config.json`        the configuration, versions, device, threads, dtype
    `metrics.jsonl`      one line a step
    `rollouts.jsonl.gz`  one gzip member a step, one line a rollout
    `heldout.jsonl`      one line for each held-out evaluation
    `buffer.jsonl`       the buffer at the last checkpoint
    `checkpoint/`        model or adapter, optimizer, buffer, step, lengths of the appended files
    """

    def __init__(self, folder: Path, record: dict):
        self.folder = Path(folder)
        self.record = record

    @classmethod
    def create(cls, folder: Path | str, config: Config, policy=None) -> "Run":
        """A new run, with the device and the arithmetic of its policy if that is given.

        ValueError if something is already in the folder.
        """
        folder = Path(folder)
        require_free(folder)
        folder.mkdir(parents=True, exist_ok=True)
        record = {"config": config_record(config), **environment(policy)}
        write_whole(folder / "config.json", json.dumps(record, indent=2) + "\n")
        return cls(folder, record)

    @classmethod
    def open(cls, folder: Path | str) -> "Run":
        """The run in a folder; ValueError if there is none or its config.json is damaged."""
        path = Path(folder) / "config.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            record["config"].keys()
        except FileNotFoundError:
            raise ValueError(f"{folder} is not a run folder: it has no config.json") from None
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise damaged(path, error) from error
        return cls(Path(folder), record)

    # ---- reading

    @property
    def config(self) -> Config:
        """The configuration of the run; ValueError if this version does not know it."""
        try:
            return Config(**self.record["config"])
        except TypeError as error:
            raise ValueError(f"{self.folder} was made by another version: {error}") from error

    def state(self, config: Config | None = None):
        """The `TrainState` of the last checkpoint, or the one before step 0 if there is none.

        config: the run's own, perhaps with more steps. ValueError if the arithmetic would change.
        """
        from azr_mini.train import TrainState

        state = TrainState.create(config or self.config, self.checkpoint_folder)
        recorded, found = self.record.get("dtype"), dtype_name(state.policy)
        if recorded and recorded != found:
            raise ValueError(
                f"{self.folder} was made with dtype {recorded}, this machine uses {found}: go on "
                "where it was made or start a new run"
            )
        return state

    @property
    def metrics(self) -> pd.DataFrame:
        """One row a step, indexed by step; one column for each metric key."""
        rows = list(json_lines(self.folder / METRICS))
        return pd.DataFrame(rows).set_index("step") if rows else pd.DataFrame()

    @property
    def rollouts(self) -> Iterator[dict]:
        """Every rollout in order, as a dict with its step; a torn last step is left out."""
        for member in gzip_members(self.folder / ROLLOUTS):
            yield from map(json.loads, member.splitlines())

    @property
    def heldout(self) -> list[dict]:
        """The held-out evaluations made during the run, in order."""
        return list(json_lines(self.folder / HELDOUT))

    @property
    def buffer(self) -> list[Task]:
        """The tasks in the buffer at the last checkpoint."""
        return [task_from_json(record) for record in json_lines(self.folder / "buffer.jsonl")]

    @property
    def checkpoint_folder(self) -> Path | None:
        """The last complete checkpoint, or None if there is none yet."""
        for name in ("checkpoint", "checkpoint.old"):  # old: killed between two renames
            if (self.folder / name / "state.json").exists():
                return self.folder / name
        return None

    @property
    def step(self) -> int:
        """The number of steps that the last checkpoint holds."""
        return self._checkpoint_record()["step"]

    # ---- writing

    def append(self, step) -> None:
        """Adds the metrics and the rollouts of one step to the files."""
        self._append(METRICS, json_line({"step": step.step, **step.metrics}))
        lines = b"".join(json_line(rollout_record(step.step, r)) for r in step.rollouts)
        # mtime 0: the same rollouts give the same bytes
        self._append(ROLLOUTS, gzip.compress(lines, compresslevel=6, mtime=0))

    def append_heldout(self, record: dict) -> None:
        """Adds the result of a held-out evaluation, a dict of JSON values with its step."""
        self._append(HELDOUT, json_line(record))

    def checkpoint(self, state) -> None:
        """Saves policy, optimizer, buffer and step; whenever it is killed, a whole one is there."""
        import torch

        temporary = self.folder / "checkpoint.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        state.policy.save(temporary)
        torch.save(state.optimizer.state_dict(), temporary / "optimizer.pt")
        state.buffer.save(temporary / "buffer.jsonl")
        paths = [self.folder / name for name in APPEND_ONLY]
        lengths = {p.name: p.stat().st_size if p.exists() else 0 for p in paths}
        record = {"step": state.step, "lengths": lengths}
        (temporary / "state.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
        for path in [*(p for p in paths if p.exists()), *sorted(temporary.rglob("*")), temporary]:
            sync(path)
        self._put_in_place(temporary)
        write_whole(
            self.folder / "buffer.jsonl",
            (self.folder / "checkpoint" / "buffer.jsonl").read_text(encoding="utf-8"),
        )

    def rewind(self) -> None:
        """Cuts everything after the last checkpoint from the files, ready to go on from there."""
        for name, length in self._checkpoint_record()["lengths"].items():
            path = self.folder / name
            size = path.stat().st_size if path.exists() else 0
            if size < length:
                raise ValueError(
                    f"{path} has {size} bytes but its checkpoint was made when it had {length}: "
                    "restore the file or start a new run"
                )
            if size > length:
                os.truncate(path, length)

    def changes(self, policy) -> list[str]:
        """What differs from when the run was made, so that going on is not bit for bit the same."""
        now, before = environment(policy), self.record
        pairs = [(key, before.get(key), now[key]) for key in ("python", "device", "threads")]
        pairs += [(key, before["versions"].get(key), now["versions"][key]) for key in PACKAGES]
        return [f"{key} {new} instead of {old}" for key, old, new in pairs if old != new]

    def check_same(self, config: Config) -> None:
        """ValueError that names the field if the configuration is another; `num_steps` may grow."""
        old, new = self.record["config"], config_record(config)
        for name in [*old, *(n for n in new if n not in old)]:
            grows = name == "num_steps" and new.get(name, 0) >= old[name]
            if old.get(name) != new.get(name) and not grows:
                raise ValueError(
                    f"{self.folder} was made with {name} = {old.get(name)!r}, not "
                    f"{new.get(name)!r}: give the same value or start a new run"
                )

    def _append(self, name: str, content: bytes) -> None:
        with open(self.folder / name, "ab") as file:
            file.write(content)

    def _checkpoint_record(self) -> dict:
        folder = self.checkpoint_folder
        if folder is None:
            return {"step": 0, "lengths": dict.fromkeys(APPEND_ONLY, 0)}
        return json.loads((folder / "state.json").read_text(encoding="utf-8"))

    def _put_in_place(self, temporary: Path) -> None:
        current, old = self.folder / "checkpoint", self.folder / "checkpoint.old"
        if current.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.rename(current, old)
        os.rename(temporary, current)
        sync(self.folder)
        shutil.rmtree(old, ignore_errors=True)


def require_free(folder: Path) -> None:
    """ValueError if something is in the folder where a new run should go."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"run folder {folder} exists and nothing in it was changed: "
            "continue it with --resume or name another folder with --run"
        )


def is_run(folder: Path | str) -> bool:
    """Whether a folder holds a run; a model's folder has a config.json of another kind."""
    try:
        return "config" in json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def config_record(config: Config) -> dict:
    """The fields of a configuration as plain JSON values."""
    return json.loads(json.dumps(asdict(config), default=plain))


def rollout_record(step: int, rollout: Rollout) -> dict:
    """A rollout as plain JSON values. Prompt ids follow from the prompt, so they are left out."""
    record = {"step": step}
    for field in fields(rollout):
        value = getattr(rollout, field.name)
        if field.name == "prompt_ids":
            continue
        if field.name == "logprobs":
            value = [round(logprob, 4) for logprob in value]  # for the eye; training has its own
        record[field.name] = value.to_json() if isinstance(value, Task) else value
    return record
