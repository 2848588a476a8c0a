"""The diagrams are true, readable by eye and by screen reader, and drawn by their script."""

import re
import sys
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from azr_mini.rewards import FORMAT_REWARDS, proposal_reward
from azr_mini.sandbox import Executor, Job
from azr_mini.tasks import Role, TaskType
from azr_mini.trr import task_relative_advantages
from azr_mini.viz import exams, groups, svg
from azr_mini.viz.colours import COLOURS, OTHER_COLOURS
from azr_mini.viz.diagram import OUTSIDE, PARTS, STAGES, WIDTH, loop_svg

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs.diagrams.draw import FOLDER, drawings  # noqa: E402

DRAWINGS = drawings()
SVG = "{http://www.w3.org/2000/svg}"


def tree(text):
    return ElementTree.fromstring(text)


def texts(element):
    return [part.text for part in element.iter(f"{SVG}text")]


@cache
def width(text, size, weight):
    """The width in DejaVu Sans, which is wider than the other fonts that a reader may have."""
    return TextPath((0, 0), text, size, FontProperties(weight=weight)).get_extents().width


def brightness(colour):
    """Relative luminance of #RRGGBB (WCAG 2)."""
    shares = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(colour, other):
    dark, light = sorted([brightness(colour), brightness(other)])
    return (light + 0.05) / (dark + 0.05)


def test_the_files_are_what_the_script_draws():
    assert {path.name for path in FOLDER.glob("*.svg")} == set(DRAWINGS)
    for name, text in DRAWINGS.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, "run docs/diagrams/draw.py"


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_screen_reader_is_told_what_it_shows(name):
    root = tree(DRAWINGS[name])
    title, description = root.find(f"{SVG}title").text, root.find(f"{SVG}desc").text
    assert root.get("role") == "img" and root.get("aria-label") == title
    assert len(title) > 10 and len(description) > 60


@pytest.mark.parametrize("name", DRAWINGS)
def test_nothing_leaves_the_page(name):
    root = tree(DRAWINGS[name])
    across, down = float(root.get("width")), float(root.get("height"))
    for place in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(place.get(key)) for key in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= across and 0 <= y <= y + h <= down
    for place in root.iter(f"{SVG}text"):
        size, weight = float(place.get("font-size")), int(place.get("font-weight"))
        wide = width(place.text, size, weight)
        left = (
            float(place.get("x"))
            - wide * {"start": 0, "middle": 0.5, "end": 1}[place.get("text-anchor")]
        )
        assert 8 <= left and left + wide <= across - 8 and size <= float(place.get("y")) <= down - 8


def test_the_words_of_a_stage_fit_its_box():
    for stage in STAGES:
        assert width(stage.name, 13, 700) < WIDTH - 8
        assert all(width(line, 12, 400) < WIDTH - 4 for line in stage.lines)


@pytest.mark.parametrize("name", DRAWINGS)
def test_only_the_house_colours_are_used(name):
    known = {*COLOURS.values(), *OTHER_COLOURS, *svg.LIGHT.values(), *svg.DARK.values()}
    assert set(re.findall(r"#[0-9A-Fa-f]{6}", DRAWINGS[name])) <= known


@pytest.mark.parametrize("theme", [svg.LIGHT, svg.DARK], ids=["light", "dark"])
def test_words_and_shapes_stand_out_from_the_page(theme):
    assert contrast(theme["ink"], theme["page"]) >= 7
    assert contrast(theme["soft"], theme["page"]) >= 4.5
    assert all(contrast(colour, theme["page"]) >= 3 for colour in COLOURS.values())


def test_the_sheet_repaints_every_themed_element_and_nothing_outside():
    for name, text in DRAWINGS.items():
        used = {cls for part in tree(text).iter() for cls in part.get("class", "").split()}
        rules = set(re.findall(r"\.azr \.([\w-]+)\{", text))
        assert used - {"azr"} <= rules, name
        assert len(rules) == len(re.findall(r"\{(?:fill|stroke):", text))


@pytest.mark.parametrize("lit", PARTS)
def test_only_the_lit_part_of_the_loop_stands_out(lit):
    root = tree(loop_svg(lit))
    faint = {text for part in root.iter(f"{SVG}g") if part.get("opacity") for text in texts(part)}
    heavy = [part for part in root.iter(f"{SVG}rect") if part.get("stroke-width") == "3"]
    for stage in STAGES:
        assert (stage.name in faint) == (lit not in ("all", stage.part))
    assert len(heavy) == sum(stage.part == lit for stage in STAGES) + (lit == OUTSIDE)
    drawn_outside = any("EVALUATE" in text for text in texts(root))
    assert drawn_outside == (lit == OUTSIDE) and not any("EVALUATE" in text for text in faint)
    assert lit == "all" or lit.upper() in root.find(f"{SVG}title").text


def test_an_unknown_part_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=", ".join(PARTS)):
        loop_svg("sovle")


def test_the_triple_of_the_exams_is_what_python_says():
    inputs, outputs = zip(*exams.PAIRS, strict=True)
    job = Job("\n".join(exams.PROGRAM), [*inputs, exams.ALSO_RIGHT])
    with Executor() as executor:
        (result,) = executor.run([job])
    assert result.status == "ok" and result.outputs == [*outputs, outputs[0]]
    assert exams.ALSO_RIGHT not in inputs


@pytest.mark.parametrize("type", TaskType)
def test_an_exam_shows_everything_but_what_it_hides(type):
    parts = {
        "program": list(exams.PROGRAM),
        "input": [exams.PAIRS[0][0]],
        "output": [exams.PAIRS[0][1]],
    }
    shown = texts(tree(f'<svg xmlns="http://www.w3.org/2000/svg">{exams.card(type, 0)}</svg>'))
    for name, lines in parts.items():
        assert all((line in shown) == (name != exams.HIDDEN[type]) for line in lines)
    assert shown.count("?") == 1


def test_the_example_rewards_could_have_been_earned():
    earned = {
        Role.PROPOSE: {proposal_reward(k / 8) for k in range(9)} | {proposal_reward(None)},
        Role.SOLVE: {
            FORMAT_REWARDS["paper"][verdict] for verdict in ("correct", "wrong", "format")
        },
    }
    assert set(groups.REWARDS) == {(role, type) for role in Role for type in TaskType}
    for (role, _), rewards in groups.REWARDS.items():
        assert len(rewards) == 8 and set(rewards) <= earned[role]


@pytest.mark.parametrize("group", groups.REWARDS)
def test_what_lies_right_of_its_baseline_has_a_positive_advantage(group):
    drawn = groups.cell(0, 0, *group, everything=0)
    root = tree(f'<svg xmlns="http://www.w3.org/2000/svg">{drawn}</svg>')
    (baseline,) = [line for line in root.iter(f"{SVG}line") if line.get("stroke-width") == "3"]
    right = [float(dot.get("cx")) > float(baseline.get("x1")) for dot in root.iter(f"{SVG}circle")]
    advantages = task_relative_advantages(torch.tensor(groups.REWARDS[group]), [group] * 8)
    assert sorted(right) == sorted((advantages > 0).tolist())
    assert any(right) and not all(right)
