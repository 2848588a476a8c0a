"""Shipped files are found in a clone and in an installed wheel."""

import subprocess
import sys
from pathlib import Path

import pytest

from azr_mini.resources import data_path
from azr_mini.tasks import load_seed_tasks

ROOT = Path(__file__).resolve().parents[1]


def test_the_seed_file_is_found_in_the_clone():
    assert load_seed_tasks(data_path("seed_triples.json"))


@pytest.mark.slow
def test_seed_and_recorded_runs_are_found_in_an_installed_wheel(tmp_path):
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path / "dist", ROOT],
        check=True,
    )
    (wheel,) = (tmp_path / "dist").glob("azr_mini-*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    program = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "from azr_mini.resources import data_path\n"
        "from azr_mini.recorded import recorded, recorded_names\n"
        "from azr_mini.tasks import load_seed_tasks\n"
        "assert len(recorded(recorded_names()[0]).metrics)\n"
        "path = data_path('seed_triples.json')\n"
        "assert load_seed_tasks(path)\n"
        "print(path)"
    )
    command = [sys.executable, "-I", "-c", program]
    found = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert Path(found.stdout.strip()) == site / "azr_mini" / "_data" / "seed_triples.json"
