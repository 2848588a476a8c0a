"""The recorded mutants are those of the list, every one was noticed, and the script can tell."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import mutants  # noqa: E402

LISTED = mutants.load_mutants()
RECORD = json.loads((ROOT / "docs/results/mutants.json").read_text(encoding="utf-8"))


def test_every_row_of_the_contract_has_mutants():
    count = Counter(mutant.row for mutant in LISTED)
    assert all(count[str(row)] >= 2 for row in range(1, 21))
    assert set(count) <= set(mutants.tests_of_rows())


@pytest.mark.parametrize("mutant", LISTED, ids=lambda m: f"{m.row}: {m.what}")
def test_an_edit_finds_its_text_once_and_changes_it(mutant):
    assert mutant.edits
    for edit in mutant.edits:
        text = (ROOT / edit.file).read_text(encoding="utf-8")
        assert edit.file.startswith("azr_mini/") and text.count(edit.old) == 1
        assert edit.old != edit.new


def test_no_mutant_is_listed_twice():
    assert len({mutant.edits for mutant in LISTED}) == len(LISTED)


def test_the_record_is_of_the_mutants_in_the_list():
    recorded = [
        mutants.Mutant(m["row"], m["what"], tuple(mutants.Edit(**edit) for edit in m["edits"]))
        for m in RECORD["mutants"]
    ]
    assert recorded == LISTED


def test_every_mutant_was_noticed_by_a_test_that_its_row_names():
    named, existing = mutants.tests_of_rows(), mutants.files_of_tests()
    for mutant in RECORD["mutants"]:
        assert mutant["outcome"] in (mutants.KILLED, mutants.TIMEOUT), mutant["what"]
        if mutant["outcome"] == mutants.KILLED:
            assert mutant["killed_by"] in named[mutant["row"]], mutant["what"]
            assert mutant["killed_by"] in existing


def test_every_test_that_the_page_names_exists():
    names = {name for tests in mutants.tests_of_rows().values() for name in tests}
    assert names <= set(mutants.files_of_tests())


def test_the_page_is_drawn_from_the_record():
    drawn = (ROOT / "docs/mutants.md").read_text(encoding="utf-8")
    assert drawn == mutants.page(RECORD)


BAND = "return 1.0 if 0.25 <= solve_rate <= 0.75 else 0.0"


def put(new, timeout=300):
    """What the script says of `rewards.band_reward` with another body, in a fresh process."""
    code = (
        "import json, sys\nfrom benchmarks.mutants import Edit, node_ids, run_tests\n"
        "old, new, timeout = json.loads(sys.argv[1])\n"
        "ids = node_ids(['test_proposer_reward_curves'])\n"
        "found = run_tests(ids, (Edit('azr_mini/rewards.py', old, new),), timeout)\n"
        "print(found['outcome'], found['killed_by'])"
    )
    command = [sys.executable, "-c", code, json.dumps([BAND, new, timeout])]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_harmless_edit_survives():
    assert put(BAND + "  # harmless").stdout.split() == [mutants.SURVIVED]


def test_a_fatal_edit_is_killed_by_name():
    assert put("return 0.0").stdout.split() == [mutants.KILLED, "test_proposer_reward_curves"]


def test_an_edit_that_never_ends_is_stopped():
    assert put("while True:\n        pass", timeout=2).stdout.split() == [mutants.TIMEOUT]


def test_an_edit_that_does_not_even_load_is_an_error_of_the_list():
    found = put("return (")
    assert found.returncode != 0 and "SyntaxError" in found.stderr and not found.stdout
