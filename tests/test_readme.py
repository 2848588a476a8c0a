"""The README names every module, and its links and commands exist."""

import re
from pathlib import Path

import pytest

from azr_mini.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PARTS = sorted(
    path.name + ("/" if path.is_dir() else "")
    for path in (ROOT / "azr_mini").iterdir()
    if path.name not in ("__init__.py", "__pycache__", "_data")
)


@pytest.mark.parametrize("name", PARTS)
def test_the_file_tree_says_what_it_is_for(name):
    assert re.search(rf"^  {re.escape(name)} +\w", README, flags=re.MULTILINE)


def test_every_local_link_leads_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links and all((ROOT / link).exists() for link in links), links


def test_commands_and_make_targets_exist():
    named = set(re.findall(r"python -m azr_mini ([a-z-]+)", README))
    assert named == set(COMMANDS)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
