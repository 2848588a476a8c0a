"""The recorded runs that ship with the package: small run folders whose files are checked."""

import hashlib
import json
from pathlib import Path

from azr_mini.files import damaged
from azr_mini.resources import data_path
from azr_mini.runs import RECORD, Run


def recorded_names(root: Path | None = None) -> list[str]:
    """The names of the recorded runs in a folder, by default the shipped one, sorted."""
    root = root or data_path("recorded_runs")
    return sorted(path.parent.name for path in root.glob(f"*/{RECORD}"))


def origin(name: str, root: Path | None = None) -> dict:
    """How a recorded run was made: about, command, seed, date, hardware, versions, seconds of
    training, commits, the steps whose rollouts were kept, and the sha256 of every file.

    ValueError that lists the known names if there is no such run.
    """
    known = recorded_names(root)
    if name not in known:
        raise ValueError(f"no recorded run {name!r}: use one of {', '.join(known) or 'none'}")
    path = (root or data_path("recorded_runs")) / name / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["sha256"].items()
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise damaged(path, error) from error
    return record


def recorded(name: str, root: Path | None = None) -> Run:
    """The recorded run of that name, to be read like any other; its rollouts are a sample of steps.

    ValueError that lists the known names if there is no such run, and one that names the file if a
    file is not the one that was recorded.
    """
    sums = origin(name, root)["sha256"]
    folder = (root or data_path("recorded_runs")) / name
    for file, expected in sums.items():
        path = folder / file
        if not path.is_file():
            raise ValueError(f"{path} is missing: restore it from the repository")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise ValueError(f"{path} is not what was recorded: restore it from the repository")
    return Run.open(folder)
