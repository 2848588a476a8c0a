"""The glossary explains every term in both languages and leads to the module that holds it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
HAN = re.compile(r"[\u4e00-\u9fff]")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in GLOSSARY.splitlines()
    if line.startswith("| <a")
]
each_term = pytest.mark.parametrize("row", ROWS, ids=[row[0].split("**")[1] for row in ROWS])


@each_term
def test_a_term_is_explained_in_both_languages(row):
    term, english, chinese, _ = row
    assert HAN.search(term) and HAN.search(chinese) and not HAN.search(english)
    assert english.endswith(".") and chinese.endswith("。")
    assert 1 <= len(re.findall(r"[.?](?= |$)", english)) <= 2
    assert 1 <= chinese.count("。") <= 2


@each_term
def test_a_term_leads_to_the_module_that_holds_it(row):
    _, english, chinese, link = row
    text, target = re.fullmatch(r"\[`(.+)`\]\((.+)\)", link).groups()
    module = (ROOT / "docs" / target).resolve()
    assert target == f"../azr_mini/{text}" and module.is_file()
    source = module.read_text(encoding="utf-8")
    named = re.findall(r"`([^`]+)`", english)
    assert sorted(named) == sorted(re.findall(r"`([^`]+)`", chinese))
    assert all(name in source for name in named), named


def test_terms_stand_once_under_an_anchor_of_their_name():
    anchors = re.findall(r'<a id="([a-z0-9-]+)"></a>\*\*(.+?)\*\*', GLOSSARY)
    assert len(anchors) == len(ROWS) == len(set(anchors)) >= 60
    for anchor, term in anchors:
        assert anchor == re.sub(r"[^a-z0-9]+", "-", term.lower()).strip("-")


def test_the_numbers_of_an_explanation_are_the_same_in_both_languages():
    for _, english, chinese, _ in ROWS:
        said = [{*re.findall(r"\d+(?:\.\d+)?", cell)} for cell in (english, chinese)]
        assert said[0] == said[1], english
