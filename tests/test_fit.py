"""A run that cannot work is refused in one sentence that says what to do."""

from dataclasses import replace

import pytest

from azr_mini.config import Config
from azr_mini.doctor import gpu_finding
from azr_mini.estimate import GB, estimate
from azr_mini.fit import (
    AMPERE,
    TURING,
    Card,
    helpful_changes,
    largest_preset,
    machine_memory,
    require_fit,
)
from azr_mini.presets import CARDS, PRESETS
from azr_mini.shapes import KNOWN, Shape

T4 = Card("Tesla T4", 15.83e9, (7, 5))
SMALL = Shape("llama", 2, 64, 128, 4, 4, 16, 384, True)


def refusal(config, *where):
    with pytest.raises(ValueError) as caught:
        require_fit(config, KNOWN.get(config.model, SMALL), *where)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_does_not_fit_a_card_is_refused_with_what_does():
    said = refusal(PRESETS["gpu-24gb"], T4)
    assert "needs about 22.8 GB" in said and "Tesla T4 (15.8 GB)" in said
    assert "use --max-batch 16, or --preset gpu-16gb (Qwen/Qwen2.5-Coder-1.5B-Instruct)" in said
    require_fit(PRESETS["gpu-16gb"], KNOWN[PRESETS["gpu-16gb"].model], T4)


@pytest.mark.parametrize("name", CARDS)
def test_what_is_advised_fits(name):
    config, shape = PRESETS[name], KNOWN[PRESETS[name].model]
    for memory in (10 * GB, 0.6 * CARDS[name] * GB, 0.8 * CARDS[name] * GB):
        changes = helpful_changes(config, shape, memory)
        assert not changes or estimate(replace(config, **changes), shape, memory=memory).peak <= (
            memory
        )
        assert all(getattr(config, field) != value for field, value in changes.items())
    assert helpful_changes(config, shape, 0.9 * CARDS[name] * GB), "a little less is enough"


def test_one_change_is_advised_before_two():
    config, shape = PRESETS["gpu-40gb"], KNOWN[PRESETS["gpu-40gb"].model]
    assert helpful_changes(config, shape, 30 * GB) == {"max_batch": 32}
    assert helpful_changes(config, shape, 17 * GB) == {"max_batch": 16, "quantize": "nf4"}
    assert helpful_changes(config, shape, 5 * GB) == {}
    kept = replace(config, gradient_checkpointing=False)
    assert helpful_changes(kept, shape, 40 * GB) == {"gradient_checkpointing": True}


@pytest.mark.parametrize(
    ("name", "lengths", "advice"),
    [
        ("gpu-16gb", {"max_prompt_tokens": 100_000}, {"max_prompt_tokens": 8192}),
        ("gpu-16gb", {"max_new_tokens": 32_000}, {"max_new_tokens": 1024}),
        (
            "gpu-8gb",
            {"max_prompt_tokens": 6144, "max_new_tokens": 8096},
            {"max_batch": 8, "max_new_tokens": 2048},
        ),
    ],
)
def test_of_lengths_that_are_too_long_the_longest_that_fits_is_advised(name, lengths, advice):
    config = replace(PRESETS[name], **lengths)
    shape, memory = KNOWN[config.model], CARDS[name] * GB
    assert helpful_changes(config, shape, memory) == advice
    field, length = [*advice.items()][-1]
    longer = replace(config, **advice | {field: 2 * length})
    assert estimate(longer, shape, memory=memory).peak > memory
    said = refusal(config, Card("one", memory))
    flags = " ".join(f"--{field.replace('_', '-')} {value}" for field, value in advice.items())
    assert f"use {flags}, or --preset {name} (" in said


def test_a_card_before_ampere_needs_room_for_a_mask():
    config = replace(PRESETS["gpu-16gb"], max_batch=8, micro_batch_tokens=16_384)
    shape = KNOWN[config.model]
    memory = estimate(config, shape).peak
    assert estimate(config, shape, segmented=False).peak > memory
    require_fit(config, shape, Card("L4", memory, AMPERE))
    assert "use --micro-batch-tokens 8192" in refusal(config, Card("T4", memory, TURING))


def test_the_first_cards_without_a_mask_are_those_with_the_kernel():
    from azr_mini import segments

    assert segments.AMPERE == AMPERE and not T4.segmented and Card("L4", 24e9, (8, 9)).segmented


def test_where_nothing_helps_nano_is_advised():
    said = refusal(PRESETS["gpu-80gb"], Card("GT 1030", 2e9, (6, 1)))
    assert said.endswith("use --preset nano")


def test_the_full_weights_of_the_paper_do_not_fit_one_card():
    said = refusal(PRESETS["paper-7b"], Card("H100", 85e9, (9, 0)))
    assert "--preset gpu-80gb" in said


def test_without_a_gpu_a_large_model_is_refused_and_a_small_one_is_not():
    said = refusal(PRESETS["gpu-8gb"], None)
    assert "1.5 billion parameters" in said and "no CUDA GPU" in said
    assert all(way in said for way in ("--preset nano", "Colab", "--device cpu"))
    require_fit(Config(model="small"), SMALL, None)
    assert "no CUDA GPU" in refusal(Config(model="small", device="cuda"), None)


def test_a_cpu_is_only_limited_by_its_memory():
    config = replace(PRESETS["gpu-8gb"], device="cpu")
    require_fit(config, KNOWN[config.model], None, 100 * GB)
    said = refusal(config, None, 9 * GB)
    assert "this machine has 9.0 GB" in said and "use --max-batch 8" in said
    assert machine_memory() > GB


def test_the_largest_preset_that_fits_is_named():
    found = {size: largest_preset(size * GB) for size in (6, 8, 15.8, 23.6, 48, 85, 150)}
    assert [*found.values()] == [
        None, "gpu-8gb", "gpu-16gb", "gpu-24gb", "gpu-40gb", "gpu-80gb", "gpu-141gb"
    ]  # fmt: skip


def test_doctor_says_a_cards_memory_and_its_preset():
    found = gpu_finding(0, T4)
    assert found.ok and not found.advice
    assert "Tesla T4 (15.8 GB), compute capability 7.5, fits --preset gpu-16gb" in found.found
    assert "nano" in gpu_finding(0, Card("GT 1030", 2e9, (6, 1))).advice
