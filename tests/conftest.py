"""Fixtures for the folder of shared evaluation data that lies beside the repository on CI machines.

Elsewhere the environment variable AZR_DATA names it. This is the only file that knows where it is.
Without it the tests that need it are skipped, but under CI a missing folder is a failure: nothing
may silently go untested there.
"""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# No claim is about time: on a busy machine any example may take long.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SHARED = Path(os.environ.get("AZR_DATA") or Path(__file__).resolve().parents[2] / "shared")


def shared_folder(name: str) -> Path:
    """The path of a folder in the shared data; fails under CI, else skips, if it is missing."""
    folder = SHARED / name
    if not folder.is_dir():
        reason = f"shared data folder {name!r} is not in {SHARED}: name its parent in AZR_DATA"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def evals_folder() -> Path:
    """The folder of benchmark data files."""
    return shared_folder("evals")


@pytest.fixture(scope="session")
def official_seeds_folder() -> Path:
    """The folder of seed tasks that the official runs made."""
    return shared_folder("official_seeds")
