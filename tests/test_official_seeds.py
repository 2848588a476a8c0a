"""What became of the triples of real models is recorded row by row and holds on this machine."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import official_seeds  # noqa: E402
from benchmarks.official_seeds import OTHER, Pair, cause, causes, measure, page, short  # noqa: E402

RECORD = json.loads((ROOT / "docs/results/official_seeds.json").read_text(encoding="utf-8"))


def test_the_page_is_drawn_from_its_record():
    assert (ROOT / "docs/official_seeds.md").read_text(encoding="utf-8") == page(RECORD)


@pytest.mark.slow
def test_every_row_fares_as_recorded(official_seeds_folder):
    found = json.loads(json.dumps(measure(official_seeds_folder)))
    for name, recorded in RECORD["files"].items():
        assert by_row(found[name].pop("differences")) == by_row(recorded["differences"]), name
        assert found[name] == {k: v for k, v in recorded.items() if k != "differences"}, name


def by_row(differences):
    """The differences that do not depend on the version of Python."""
    kept = [entry for entry in differences if entry["cause"] != official_seeds.DIGITS]
    return {(entry["row"], entry["cause"]): entry for entry in kept}


def test_nearly_every_difference_has_a_cause():
    runs = sum(found["pairs"] for found in RECORD["files"].values())
    assert causes(RECORD["files"])[OTHER] <= 0.02 * runs


def test_an_answer_is_only_wrong_where_the_stored_text_is_damaged():
    damaged = {"stored output is empty", "stored output was cut at 400 characters"}
    for found in RECORD["files"].values():
        why = {entry["row"]: entry["cause"] for entry in found["differences"]}
        assert all(why[row] in damaged for _, row, _ in found["not correct"])


def test_of_a_stored_value_at_most_forty_characters_are_shown():
    for found in RECORD["files"].values():
        for entry in found["differences"]:
            assert len(entry["stored"]) <= 40 and len(entry["ours"]) <= 40, entry
    assert short("a\n" * 50).isprintable() and len(short("é" * 50)) == 40


PROGRAM = "def f(a):\n    return a"
LONG = repr("a" * 900)


@pytest.mark.parametrize(
    "expected, pair",
    [
        (None, Pair(PROGRAM, "1", "1", "1")),
        (official_seeds.SAME, Pair(PROGRAM, "'a'", '"a"', "'a'")),
        (official_seeds.SAME, Pair(PROGRAM, "1", "{2: 1, 1: 2}", "{1: 2, 2: 1}")),
        (OTHER, Pair(PROGRAM, "1", "1.0", "1")),
        (official_seeds.DIGITS, Pair(PROGRAM, "1", "[1, 0.30000000000000004]", "[1, 0.3]")),
        (OTHER, Pair(PROGRAM, "1", "[1, 0.31]", "[1, 0.3]")),
        (OTHER, Pair(PROGRAM, "1", "deque([1])", "[1]")),
        ("stored output is empty", Pair(PROGRAM, "1", "", "1")),
        (official_seeds.CUT_AT_400, Pair(PROGRAM, "1", f"{LONG[:200]}...{LONG[-200:]}", LONG)),
        (OTHER, Pair(PROGRAM, "1", f"'{'b' * 199}...{'b' * 199}'", LONG)),
        ("input names its arguments", Pair(PROGRAM, "a=1", "1", None, "input", "keyword")),
        ("input is the whole call of f", Pair(PROGRAM, "f(1)", "1", None, "input", "malformed")),
        ("returns None", Pair(PROGRAM, "1", "None", None, "output", "None")),
        ("prints instead of returning", Pair("print(1)", "1", "None", None, "output", "None")),
        ("static check: import of os", Pair(PROGRAM, "1", "1", None, "unsafe", "import of os.x")),
        (OTHER, Pair(PROGRAM, "1", "1", None, "crash", "ended by SIGSEGV")),
    ],
)  # fmt: skip
def test_a_cause_follows_from_the_pair_alone(expected, pair):
    assert cause(pair) == expected
