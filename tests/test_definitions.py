"""docs/definitions.md names only functions, switches and tests that exist."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

from azr_mini.config import Config

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "definitions.md"
SECTIONS = re.split(r"^### (?=\d)", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
ROWS = {section.split("\n")[0]: section.split("\n## ")[0] for section in SECTIONS}


def defined(path):
    """Every function, class and constant that a file defines, methods included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


TESTS = set().union(*(defined(path) for path in (ROOT / "tests").glob("test_*.py")))


def item(row, name):
    """The text of a row's "Function", "Switch" or "Tests"."""
    found = re.search(rf"^- {name}: (.*?)(?=^- |\Z)", row, flags=re.MULTILINE | re.DOTALL)
    assert found, f"no {name} in:\n{row}"
    return found[1]


def test_there_are_twenty_rows():
    assert [title.split(".")[0] for title in ROWS] == [str(n) for n in range(1, 21)]


@pytest.mark.parametrize("title", ROWS)
def test_a_rows_functions_exist(title):
    links = re.findall(r"\[`(\w+)`\]\(\.\./(\S+?)\)", item(ROWS[title], "Function"))
    assert links
    for name, path in links:
        assert name in defined(ROOT / path), f"{path} has no {name}"


@pytest.mark.parametrize("title", ROWS)
def test_a_rows_switches_are_fields_of_the_config(title):
    text = item(ROWS[title], "Switch")
    names = re.findall(r"`(\w+)`", text)
    assert names or text.strip() == "none"
    assert set(names) <= {field.name for field in fields(Config)}


@pytest.mark.parametrize("title", ROWS)
def test_a_rows_tests_exist(title):
    names = re.findall(r"`(\w+)`", item(ROWS[title], "Tests"))
    assert names and set(names) <= TESTS, set(names) - TESTS


def test_every_choice_of_the_config_is_on_the_page():
    """A switch with named values is a decision, so it belongs into the contract."""
    page = PAGE.read_text(encoding="utf-8")
    loading = {"dialect", "quantize", "sampler_quantize"}
    for field in fields(Config):
        if "Literal" in str(field.type) and field.name not in loading:
            assert f"`{field.name}`" in page, field.name
    for name in ("train_proposer", "shuffle_rewards", "heldout_path"):
        assert name in page
