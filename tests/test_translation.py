"""The Chinese README says the same as the English one, part by part."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ENGLISH, CHINESE = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")
)
SWITCHES = ("English | [简体中文](README.zh-CN.md)", "[English](README.md) | 简体中文")
HAN = re.compile(r"[\u4e00-\u9fff]")
NUMBER = re.compile(r"(?<![A-Za-z0-9_.])[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![A-Za-z0-9_])")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sections(text):
    """The text in parts, each with the level of its heading."""
    prose = FENCE.sub(lambda block: block.group().replace("\n#", "\n\\#"), text)
    parts = re.split(r"^(#+) (.*)$", prose, flags=re.MULTILINE)[1:]
    return [
        (len(level), title, body)
        for level, title, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    ]


PAIRS = list(zip(sections(ENGLISH), sections(CHINESE), strict=False))
each_section = pytest.mark.parametrize(
    ("english", "chinese"),
    [(english[2], chinese[2]) for english, chinese in PAIRS],
    ids=[english[1] for english, _ in PAIRS],
)


def code(body):
    """Every code block without its comments; of a listing of files, the names."""
    blocks = []
    for language, block in FENCE.findall(body):
        cut = r"\s*#.*" if language else r"(?<=\S)\s.*"
        lines = [re.sub(cut, "", line) for line in block.splitlines()]
        blocks.append((language, [line for line in lines if line]))
    return blocks


def without_code(body):
    for switch in SWITCHES:
        body = body.replace(switch, "")
    return FENCE.sub("", body)


def table(body):
    return [line for line in body.splitlines() if line.startswith("|")]


def numbers(text):
    return NUMBER.findall(re.sub(r"`[^`]*`|\]\([^)]*\)", " ", text))


def test_each_readme_leads_to_the_other():
    assert ENGLISH.splitlines()[2] == SWITCHES[0] and CHINESE.splitlines()[2] == SWITCHES[1]


def test_headings_are_the_same_in_the_same_order():
    levels = [[level for level, _, _ in sections(text)] for text in (ENGLISH, CHINESE)]
    assert levels[0] == levels[1]
    titles = [title for _, title, _ in sections(CHINESE)[1:]]
    assert all(HAN.search(title) for title in titles), titles


@each_section
def test_code_is_the_same_apart_from_comments(english, chinese):
    assert code(chinese) == code(english)


@each_section
def test_links_and_pictures_are_the_same(english, chinese):
    english, chinese = without_code(english), without_code(chinese)
    link = r"(!?)\[(?:[^\]\[]|!?\[[^\]]*\])*\]\(([^)]+)\)"
    assert sorted(re.findall(link, chinese)) == sorted(re.findall(link, english))


@each_section
def test_names_and_commands_in_sentences_are_the_same(english, chinese):
    spans = [sorted(re.findall(r"`([^`]+)`", without_code(body))) for body in (english, chinese)]
    assert spans[0] == spans[1]


@each_section
def test_tables_have_the_same_numbers_in_the_same_places(english, chinese):
    rows = [[[numbers(cell) for cell in row.split("|")] for row in table(body)]
            for body in (english, chinese)]  # fmt: skip
    assert rows[0] == rows[1]


@each_section
def test_sentences_have_the_same_numbers(english, chinese):
    said = [sorted(numbers(without_code(body))) for body in (english, chinese)]
    assert said[0] == said[1]


@each_section
def test_lists_have_as_many_points_and_nothing_is_left_in_english(english, chinese):
    points = [re.findall(r"^- ", without_code(body), re.MULTILINE) for body in (english, chinese)]
    assert len(points[0]) == len(points[1])
    plain = re.sub(r"`[^`]*`|\]\([^)]*\)", "", without_code(chinese))
    blocks = [block for block in re.split(r"\n\n|\n(?=- )", plain) if len(block.split()) > 3]
    assert all(HAN.search(block) for block in blocks if not block.lstrip().startswith("|"))
