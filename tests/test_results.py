"""Every number in the README and in the model card follows from a recorded result."""

import json
import re
import sys
from pathlib import Path

from azr_mini.evaluate.benchmarks import BENCHMARKS
from azr_mini.evaluate.sharpening import load_sharpening

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import (  # noqa: E402
    base,
    executor,
    learner,
    learning,
    nano_reach,
    performance,
    sharpening,
    soak,
    step,
    vllm_check,
)
from benchmarks.parsers import PARSERS  # noqa: E402


def results(name: str) -> dict:
    return json.loads((ROOT / "docs/results" / name).read_text(encoding="utf-8"))


def test_the_model_card_is_drawn_from_its_record():
    card = (ROOT / "data/nano_base/README.md").read_text(encoding="utf-8")
    assert card == base.card(results("base.json"))


def test_the_table_of_results_is_drawn_from_the_recorded_runs():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Results")[2].partition("\n## ")[0]
    printed = [line for line in section.splitlines() if line.startswith("|")]
    assert printed == learning.table(results("learning.json"))


def test_every_other_number_of_the_section_is_recorded():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Results")[2].partition("\n## ")[0]
    prose = " ".join(line for line in section.splitlines() if not line.startswith(("|", "![")))
    said = {float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", prose)}
    known = learning.facts(results("learning.json"), results("base.json"))
    known |= sharpening.facts(load_sharpening()) | {8.0}  # of notebook 08
    assert said <= known, said - known


def test_every_parser_was_fuzzed_and_none_raised_what_it_does_not_document():
    fuzz = results("fuzz.json")
    rows = fuzz["parsers"].values()
    assert set(fuzz["parsers"]) == set(PARSERS) and fuzz["inputs"] >= 1_000_000
    assert fuzz["inputs"] == sum(row["inputs"] for row in rows)
    assert fuzz["exceptions"] == sum(row["exceptions"] for row in rows) == 0
    assert fuzz["crashes"] == sum(len(row["crashes"]) for row in rows) == 0
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{fuzz['inputs']:,}\ntexts without" in readme


def test_what_is_said_about_kills_is_recorded():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = results("kills.json")
    said = re.findall(r"(\d+) of (\d+)", readme.partition("SIGKILL")[2].partition("##")[0])
    recorded = [found["full weights"], found["adapter"]]
    assert [tuple(map(int, pair)) for pair in said] == [
        (row["kills_in_runs_bit_for_bit_equal"], row["kills"]) for row in recorded
    ]
    for row in recorded:
        assert row["kills"] == sum(len(run["kills"]) for run in row["runs"])
        equal = [len(run["kills"]) for run in row["runs"] if run["differs_in"] == []]
        assert row["kills_in_runs_bit_for_bit_equal"] == sum(equal)
        assert row["kills_while_a_checkpoint_was_written"] >= 5


def test_the_page_on_performance_is_drawn_from_the_records():
    assert performance.PAGE.read_text(encoding="utf-8") == performance.page(performance.load())


def test_the_page_on_the_reach_of_nano_is_drawn_from_its_record():
    found = results("nano_reach.json")
    page = nano_reach.PAGE.read_text(encoding="utf-8")
    assert page == nano_reach.page(found)
    for by_set in found["models"].values():
        sizes = {name: sum(row["tasks"] for row in rows.values()) for name, rows in by_set.items()}
        assert sizes.pop("cruxeval") == 2 * found["cruxeval"]["counts"]["both"]
        assert sizes.pop("held-out") == 3 * nano_reach.TASKS and sum(sizes.values()) == 900
    base, after = found["models"].values()
    for name, by_type in found["gains"].items():
        for type, rows in base[name].items():
            gain, low, high = by_type[type]
            ends = [rows["accuracy"][0], after[name][type]["accuracy"][0]]
            assert abs(ends[1] - ends[0] - gain) < 1e-5 and low <= gain <= high
    named = {benchmark.title for benchmark in BENCHMARKS.values()}
    assert all(title in page for title in named)


def test_recorded_ratios_follow_from_what_was_measured():
    found = performance.load()
    assert found["step"]["ratios"] == step.ratios(found["step"])
    assert found["learner"]["ratios"] == learner.ratios(found["learner"])
    assert found["executor"]["ratios"] == executor.ratios(found["executor"])
    assert found["soak"]["ratios"] == soak.ratios(found["soak"])
    for row in found["sampler"]["rows"]:
        speeds = [row[who]["tokens_per_second"] for who in ("sampler", "generate")]
        assert row["ratio"] == round(speeds[0] / speeds[1], 2)
        assert speeds[1] == max(row["generate_by_batch"].values())


def test_the_page_on_samplers_prints_what_was_recorded():
    page, record = vllm_check.PAGE.read_text(encoding="utf-8"), results("vllm_cpu.json")
    checked = page.partition("## What was checked")[2]
    printed = [line for line in checked.splitlines() if line.startswith("|")]
    assert printed == vllm_check.table(record) + vllm_check.train_table(record)
    assert vllm_check.provenance(record) in page


def test_the_page_on_samplers_says_how_much_an_overlap_could_save():
    steps = results("gpu.json")["rows"]["nano"]["found"]["steps"]
    total = sum(value for step in steps for key, value in step.items() if key.startswith("time/"))
    share = sum(step["time/validate"] for step in steps) / total
    page = " ".join(vllm_check.PAGE.read_text(encoding="utf-8").split())
    assert f"measured on a GPU validation took {share:.0%} of the time" in page


def test_vllm_was_seen_to_write_with_the_adapter_that_is_there():
    for name, row in results("vllm_cpu.json")["rows"].items():
        found, equal = row["swaps"]["gaps"], row["greedy"]
        assert row["swaps"]["a_again_equals_a"] and not row["swaps"]["b_equals_a"], name
        wrong = found.pop("wrong adapter")["mean"]
        if row["learner_quantize"] is None:  # else the two hold different models anyway
            assert max(gap["mean"] for gap in found.values()) < wrong / 3, name
        if row["dtype"] == "float32" and row["learner_quantize"] is None:
            same = {equal["equal_to_torch_sampler"], equal["equal_to_transformers"]}
            assert same == {equal["prompts"]}, name
            assert max(gap["max"] for gap in found.values()) < 1e-4, name


def test_every_grader_gives_right_answers_all_and_wrong_ones_nothing():
    rows = results("graders.json")["graders"]
    assert set(BENCHMARKS) - {"lcb_execution", "lcb_generation"} <= set(rows)
    for name, row in rows.items():
        assert row["oracle"]["correct"] == row["rows"] > 0, name
        assert row["wrong"]["correct"] == 0, name
        for model in ("oracle", "wrong"):
            assert sum(row[model]["reasons"].values()) == row["rows"]
            assert "format" not in row[model]["reasons"]
