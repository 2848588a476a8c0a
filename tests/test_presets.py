import pytest

from azr_mini.config import Config
from azr_mini.presets import PRESETS, preset


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
    for name, p in PRESETS.items():
        if name.startswith("gpu"):
            assert p.quantize == "nf4" and p.lora_rank and p.learning_rate >= 1e-5


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(ValueError, match="'mega'.*nano.*paper-3b"):
        preset("mega")
