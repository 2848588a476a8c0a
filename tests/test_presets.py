import itertools
from dataclasses import replace

import pytest

from azr_mini.config import Config
from azr_mini.estimate import GB, estimate
from azr_mini.fit import MARGIN
from azr_mini.licences import licence_of
from azr_mini.presets import CARDS, PRESETS, arrangement, preset
from azr_mini.shapes import KNOWN


@pytest.mark.parametrize("name", ["paper-3b", "paper-7b", "paper-14b"])
def test_the_paper_presets_hold_the_papers_values(name):  # definition 19
    p = preset(name)
    assert (p.learning_rate, p.batch_size, p.num_attempts) == (1e-6, 64, 8)
    assert (p.num_references, p.num_induction_inputs, p.seed_tasks) == (6, 10, 256)
    assert (p.num_steps, p.temperature, p.top_p) == (500, 1.0, 1.0)
    assert (p.max_prompt_tokens, p.max_new_tokens) == (6144, 8096)
    assert (p.entropy_coef, p.kl_coef, p.updates_per_step) == (0.001, 0.0, 1)
    assert (p.solve_batch, p.duplicates, p.advantage) == ("fresh", "paper", "task_relative")
    assert (p.lora_rank, p.quantize, p.weight_decay, p.max_grad_norm) == (None, None, 0.01, 1.0)
    assert p.zero_learnability_reward == 0.0 and p.format_reward == "paper"
    assert p.model == f"Qwen/Qwen2.5-Coder-{name.removeprefix('paper-').upper()}"


def test_the_nano_preset_is_the_default():
    nano = preset("nano")
    assert nano == Config()
    assert (nano.model, nano.batch_size, nano.num_attempts) == ("nano", 16, 8)
    assert (nano.num_references, nano.num_induction_inputs) == (2, 6)
    assert (nano.quantize, nano.lora_rank, nano.duplicates) == (None, None, "reject")


def test_one_gpu_presets_train_an_adapter_ten_times_faster():  # definition 19
    for name in CARDS:
        p = PRESETS[name]
        assert p.lora_rank and p.learning_rate >= 1e-5 and p.gradient_checkpointing


def test_only_the_papers_presets_pay_repeated_proposals():  # definition 14, and the README
    paying = {name for name, config in PRESETS.items() if config.duplicates == "paper"}
    assert paying == {"paper-3b", "paper-7b", "paper-14b"}


def peak(name):
    return estimate(PRESETS[name], KNOWN[PRESETS[name].model], memory=CARDS[name] * GB).peak


def test_there_is_a_preset_for_every_size_of_card():
    assert [*CARDS.values()] == [8, 16, 24, 40, 80, 141]


@pytest.mark.parametrize("name", CARDS)
def test_a_preset_fits_its_card_with_a_margin_and_uses_half_of_it(name):
    assert 0.5 < peak(name) / (CARDS[name] * GB) < MARGIN


@pytest.mark.parametrize(("smaller", "name"), [*itertools.pairwise(CARDS)])
def test_a_preset_is_too_large_for_the_next_smaller_card(smaller, name):
    memory = CARDS[smaller] * GB
    assert estimate(PRESETS[name], KNOWN[PRESETS[name].model], memory=memory).peak > memory


def test_gpu_presets_take_open_instruct_models():
    for name in CARDS:
        model = PRESETS[name].model
        assert model.endswith("-Instruct") and licence_of(model) == "apache-2.0"


def test_a_t4_computes_in_float16():
    assert PRESETS["gpu-16gb"].dtype == "auto"  # float16 below compute capability 8


def test_each_gpu_preset_says_how_the_base_is_held():
    letters = {name: arrangement(PRESETS[name])[:3] for name in CARDS}
    assert letters == {
        "gpu-8gb": "(a)", "gpu-16gb": "(c)", "gpu-24gb": "(a)", "gpu-40gb": "(c)",
        "gpu-80gb": "(c)", "gpu-141gb": "(c)",
    }  # fmt: skip
    two = Config(lora_rank=8, quantize="nf4", sampler="vllm")
    assert arrangement(two).startswith("(b) two copies")
    assert arrangement(replace(two, sampler_quantize="nf4")).startswith("(a) two copies")
    assert "all weights" in arrangement(Config())
    assert arrangement(PRESETS["gpu-16gb"], 32).startswith("(c) one base in 32 bits")
    assert arrangement(two, 32).startswith("(b) two copies of the base: the learner's in 4 bits")


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(ValueError, match="'mega'.*nano.*paper-3b"):
        preset("mega")
