"""A run folder: what was asked, what happened, and a checkpoint from which it goes on exactly."""

import gzip
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from azr_mini import checkpoints
from azr_mini.checkpoints import Checkpoint, Sums
from azr_mini.config import Config
from azr_mini.environment import PACKAGES, dtype_name, environment
from azr_mini.files import (
    append,
    damaged,
    gzip_members,
    json_line,
    json_lines,
    unwritable,
    write_whole,
)
from azr_mini.locking import LOCK, Lock, lock
from azr_mini.records import config_record, rollout_record
from azr_mini.tasks import Task, task_from_json

METRICS, ROLLOUTS, HELDOUT = "metrics.jsonl", "rollouts.jsonl.gz", "heldout.jsonl"
APPEND_ONLY = (METRICS, ROLLOUTS, HELDOUT)
RECORD = "record.json"  # only a recorded run has one: it stays as it is


class Run:
    """One run folder, open for appending and for reading.

    `config.json`        the configuration, versions, device, threads, dtype
    `metrics.jsonl`      one line a step
    `rollouts.jsonl.gz`  one gzip member a step, one line a rollout
    `heldout.jsonl`      one line for each held-out evaluation
    `buffer.jsonl`       the buffer at the last checkpoint
    `checkpoint/`        model or adapter, optimizer, buffer, step, checksums of all files
    `checkpoint.previous/`  the one before, for the case that the newest is damaged
    `lock`               who trains into it
    """

    def __init__(self, folder: Path, record: dict):
        self.folder = Path(folder)
        self.record = record
        self._lock: Lock | None = None
        self._start: Checkpoint | None = None  # what `state` loaded
        self._sums: Sums = {}  # of the appended files up to the last checkpoint

    @classmethod
    def create(cls, folder: Path | str, config: Config, policy=None) -> "Run":
        """A new run, with the device and the arithmetic of its policy if that is given.

        ValueError if something is already in the folder or it cannot be written to.
        """
        folder = Path(folder)
        require_free(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error
        run = cls(folder, {"config": config_record(config), **environment(policy)})
        run.lock()
        run._write_record()
        return run

    @classmethod
    def open(cls, folder: Path | str) -> "Run":
        """The run in a folder; ValueError if there is none or its config.json is damaged."""
        path = Path(folder) / "config.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            record["config"].keys()
        except (FileNotFoundError, NotADirectoryError):
            raise ValueError(f"{folder} is not a run folder: it has no config.json") from None
        except KeyError:
            raise ValueError(f"{folder} is not a run folder: its config.json is none's") from None
        except (OSError, ValueError, AttributeError, TypeError) as error:
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
        """The `TrainState` of the last whole checkpoint, or the one before step 0 if there is none.

        config: the run's own, perhaps with more steps. ValueError if the arithmetic would change or
        every checkpoint is damaged.
        """
        from azr_mini.train import TrainState

        self._start = checkpoints.last_whole(self.folder, appended=True)
        folder = self._start.folder if self._start else None
        state = TrainState.create(config or self.config, folder)
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
    def last_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint whose own files are whole; None if there is none yet."""
        return checkpoints.last_whole(self.folder, appended=False)

    @property
    def checkpoint_folder(self) -> Path | None:
        """The folder of the newest whole checkpoint, or None if there is none yet."""
        found = self.last_checkpoint
        return found.folder if found else None

    @property
    def step(self) -> int:
        """The number of steps that the newest whole checkpoint holds."""
        found = self.last_checkpoint
        return found.step if found else 0

    # ---- writing

    def lock(self) -> None:
        """Keeps other processes from training into this folder.

        ValueError if one already does, or if it is a recorded run.
        """
        if (self.folder / RECORD).exists():
            raise ValueError(f"{self.folder} is a recorded run and stays as it is: start a new run")
        self._lock = self._lock or lock(self.folder)

    def append(self, step) -> None:
        """Adds the metrics and the rollouts of one step; ValueError if they cannot be written."""
        append(self.folder / METRICS, json_line({"step": step.step, **step.metrics}))
        lines = b"".join(json_line(rollout_record(step.step, r)) for r in step.rollouts)
        # mtime 0: the same rollouts give the same bytes
        append(self.folder / ROLLOUTS, gzip.compress(lines, compresslevel=6, mtime=0))

    def append_heldout(self, record: dict) -> None:
        """Adds the result of a held-out evaluation, a dict of JSON values with its step."""
        append(self.folder / HELDOUT, json_line(record))

    def checkpoint(self, state) -> None:
        """Saves policy, optimizer, buffer and step; whenever it is killed, a whole one is there.

        ValueError if it cannot be written; the last one then stays.
        """
        try:
            self._sums = checkpoints.save(self.folder, state, APPEND_ONLY, self._sums)
        except Exception as error:  # safetensors and torch each have their own for a full disk
            raise unwritable(self.folder / checkpoints.CURRENT, error) from error
        self._start = None
        self._copy_buffer(self.folder / checkpoints.CURRENT)

    def rewind(self) -> str:
        """Cuts everything after the last whole checkpoint from the files, ready to go on.

        Returns a sentence about a newer checkpoint that was damaged, or "". ValueError, with
        nothing changed, if there is none to go on from or another process trains into the folder.
        """
        self.lock()
        start = self._start or checkpoints.last_whole(self.folder, appended=True)
        self._sums = start.appended if start else dict.fromkeys(APPEND_ONLY, (0, 0))
        try:
            for name, (length, _) in self._sums.items():
                path = self.folder / name
                if path.exists() and path.stat().st_size > length:
                    os.truncate(path, length)
            if start:
                checkpoints.put_aside_damaged(self.folder, start)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        if start:
            self._copy_buffer(start.folder)
        return start.note if start else ""

    def grow(self, config: Config) -> None:
        """Records that the run now has the steps of this configuration, which is else the same."""
        if config_record(config) != self.record["config"]:
            self.check_same(config)
            self.record = {**self.record, "config": config_record(config)}
            self._write_record()

    def changes(self, policy) -> list[str]:
        """What differs from when the run was made, so that going on is not bit for bit the same."""
        now, before = environment(policy), self.record
        pairs = [(key, before.get(key), now[key]) for key in ("python", "device", "threads")]
        pairs += [(key, before["versions"].get(key), now["versions"][key]) for key in PACKAGES]
        return [f"{key} {new} instead of {old}" for key, old, new in pairs if old != new]

    def check_same(self, config: Config) -> None:
        """ValueError that names the field if the configuration is another; `num_steps` may grow."""
        # the run's own with its defaults: an older one may lack fields
        old, new = config_record(self.config), config_record(config)
        for name in old:
            grows = name == "num_steps" and new[name] >= old[name]
            if old[name] != new[name] and not grows:
                raise ValueError(
                    f"{self.folder} was made with {name} = {old[name]!r}, not {new[name]!r}: "
                    "give the same value or start a new run"
                )

    def _write_record(self) -> None:
        write_whole(self.folder / "config.json", json.dumps(self.record, indent=2) + "\n")

    def _copy_buffer(self, checkpoint: Path) -> None:
        content = (checkpoint / "buffer.jsonl").read_text(encoding="utf-8")
        write_whole(self.folder / "buffer.jsonl", content)


def require_free(folder: Path) -> None:
    """ValueError if something is in the folder where a new run should go."""
    begun = (LOCK, "config.json.tmp")  # all that a process killed while creating the run leaves
    if folder.exists() and (
        not folder.is_dir() or any(path.name not in begun for path in folder.iterdir())
    ):
        raise ValueError(
            f"run folder {folder} exists and nothing in it was changed: "
            "continue it with --resume or name another folder with --run"
        )


def next_folder(name: str) -> Path:
    """The first of runs/NAME-1, runs/NAME-2, ... that does not exist."""
    folders = (Path("runs", f"{name}-{number}") for number in itertools.count(1))
    return next(folder for folder in folders if not folder.exists())


def is_run(folder: Path | str) -> bool:
    """Whether a folder holds a run; a model's folder has a config.json of another kind."""
    try:
        return "config" in json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False
