"""Writes every diagram beside this script: python docs/diagrams/draw.py"""

from pathlib import Path

from azr_mini.viz.diagram import PARTS, loop_svg
from azr_mini.viz.exams import three_exams_svg
from azr_mini.viz.groups import six_groups_svg

FOLDER = Path(__file__).resolve().parent


def drawings() -> dict[str, str]:
    """The text of every diagram by its file name."""
    loops = {f"loop_{part}.svg": loop_svg(part) for part in PARTS if part != "all"}
    return {
        "loop.svg": loop_svg("all"),
        **loops,
        "three_exams.svg": three_exams_svg(),
        "six_groups.svg": six_groups_svg(),
    }


if __name__ == "__main__":
    for name, text in drawings().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
