"""About how long a step takes: of the right size, and moved by what moves a real step."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from azr_mini.config import Config
from azr_mini.presets import PRESETS
from azr_mini.shapes import KNOWN, QWEN25
from azr_mini.step_time import LAYER_MICRO_BATCH, LAYER_STEP, step_seconds
from azr_mini.work import peaks_of

RECORD = Path(__file__).resolve().parents[1] / "docs" / "results" / "gpu.json"
T4 = "Tesla T4"


@pytest.fixture(scope="module")
def rows():
    return json.loads(RECORD.read_text(encoding="utf-8"))["rows"]


def test_the_two_speeds_are_those_of_the_record(rows):
    measured, layers = rows["shape-1.5B"], QWEN25["1.5B"].layers
    found, (_, bandwidth) = measured["found"], peaks_of(measured["device"]["name"])
    steps = found["config"]["max_new_tokens"] - 1
    solve = found["solve"]
    rest = solve["seconds"] - solve["bytes_at_least"] / bandwidth
    assert pytest.approx(rest / steps / layers, rel=0.02) == LAYER_STEP
    update = found["update"]
    batches = -(-update["packed_tokens"] // update["micro_batch_tokens"])
    assert pytest.approx(update["seconds"] / batches / layers, rel=0.02) == LAYER_MICRO_BATCH


@pytest.mark.parametrize("size", ["1.5B", "7B"])
def test_the_measured_step_is_met_within_a_third(rows, size):
    measured = rows[f"shape-{size}"]
    found = measured["found"]
    whole = sum(found[phase]["seconds"] for phase in ("propose", "solve", "update"))
    guess = step_seconds(Config(**found["config"]), QWEN25[size], measured["device"]["name"])
    assert guess == pytest.approx(whole, rel=1 / 3)


def test_longer_answers_more_rows_and_slower_cards_take_longer():
    config = PRESETS["gpu-16gb"]
    shape = KNOWN[config.model]
    seconds = step_seconds(config, shape, T4)
    assert step_seconds(replace(config, max_new_tokens=2048), shape, T4) > 1.5 * seconds
    assert step_seconds(replace(config, batch_size=16), shape, T4) > 1.5 * seconds
    assert step_seconds(replace(config, max_batch=192), shape, T4) < seconds
    assert step_seconds(replace(config, solve_batch="fresh"), shape, T4) != seconds
    assert step_seconds(config, shape, "NVIDIA H200") < seconds
    assert step_seconds(config, KNOWN["Qwen/Qwen2.5-Coder-0.5B-Instruct"], T4) < seconds


def test_nothing_is_said_of_unknown_cards_and_of_what_has_other_speeds():
    config = PRESETS["gpu-16gb"]
    assert step_seconds(config, KNOWN[config.model], "GeForce GT 1030") is None
    for changes in ({"sampler": "vllm"}, {"dtype": "float32"}, {"lora_rank": None}):
        assert step_seconds(replace(config, **changes), KNOWN[config.model], T4) is None
