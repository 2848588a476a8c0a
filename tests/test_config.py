import ast
import inspect
import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict, fields, replace

import pytest

from azr_mini import config as config_module
from azr_mini.config import Config


@pytest.mark.parametrize(
    "name, value, advice",
    [
        ("num_attempts", 0, "1 or more"),
        ("num_attempts", -3, "1 or more"),
        ("batch_size", 0, "1 or more"),
        ("batch_size", 1.5, "whole number"),
        ("batch_size", True, "whole number"),
        ("batch_size", "16", "whole number"),
        ("num_steps", -1, "0 or more"),
        ("num_references", 0, "1 or more"),
        ("num_induction_inputs", 1, "2 or more"),
        ("buffer_cap", 0, "1 or more"),
        ("seed_tasks", -1, "0 or more"),
        ("clip_low", -0.1, "0 or more"),
        ("clip_low", 1.5, "0 to 1"),
        ("clip_high", -0.1, "0 or more"),
        ("clip_high", float("nan"), "0 or more"),
        ("updates_per_step", 0, "1 or more"),
        ("kl_coef", -1.0, "0 or more"),
        ("entropy_coef", float("inf"), "0 or more"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", float("nan"), "0 or more"),
        ("learning_rate", "fast", "a number"),
        ("weight_decay", -0.1, "0 or more"),
        ("max_grad_norm", 0.0, "above 0"),
        ("temperature", 0.0, "above 0"),
        ("top_p", 0.0, "above 0"),
        ("top_p", 1.1, "at most 1"),
        ("micro_batch_tokens", 0, "1 or more"),
        ("max_batch", 0, "1 or more"),
        ("max_new_tokens", 0, "1 or more"),
        ("max_prompt_tokens", 0, "1 or more"),
        ("threads", 0, "1 or more"),
        ("lora_rank", 0, "1 or more"),
        ("zero_learnability_reward", float("nan"), "0 or -0.5"),
        ("proposer_reward", "inverse", "one_minus, variance, tent, band"),
        ("format_reward", "strict", "paper, none"),
        ("solve_batch", "old", "reuse, fresh"),
        ("duplicates", "keep", "paper, reject"),
        ("advantage", "gae", "task_relative, token_whitened, role, global, grpo"),
        ("group_weight", "none", "equal, tokens"),
        ("loss_norm", "mean", "token_mean, sequence_mean, constant"),
        ("dialect", "latin", "auto, nano, chat, plain"),
        ("quantize", "int8", "nf4, None"),
        ("sampler", "sglang", "torch, vllm"),
        ("sampler_quantize", "int8", "nf4, None"),
        ("importance_cap", 0.5, "1 or more"),
        ("importance_cap", float("inf"), "1 or more"),
    ],
)
def test_an_impossible_value_is_one_sentence_that_names_it(name, value, advice):
    with pytest.raises(ValueError) as caught:
        Config(**{name: value})
    message = str(caught.value)
    assert name in message and advice in message and "\n" not in message
    assert str(value) in message or name == "zero_learnability_reward"


def test_pairs_that_cannot_work_are_named():
    with pytest.raises(ValueError, match="quantize is nf4.*lora_rank"):
        Config(quantize="nf4")
    with pytest.raises(ValueError, match="grpo.*fresh.*reuse"):
        Config(advantage="grpo", solve_batch="fresh")
    with pytest.raises(ValueError, match="sampler is vllm.*lora_rank"):
        Config(sampler="vllm")
    with pytest.raises(ValueError, match="sampler_quantize is nf4.*quantize as well"):
        Config(sampler="vllm", sampler_quantize="nf4", lora_rank=16)
    Config(quantize="nf4", lora_rank=16, sampler="vllm", sampler_quantize="nf4")


def test_a_config_never_changes():
    with pytest.raises(FrozenInstanceError):
        Config().seed = 3
    assert replace(Config(), seed=3).seed == 3
    with pytest.raises(ValueError, match="batch_size"):
        replace(Config(), batch_size=0)


def test_a_config_is_its_fields():
    assert Config(**asdict(Config(num_steps=5))) == Config(num_steps=5)


def test_every_field_explains_itself():
    """The command line shows these sentences; a field without one shows nothing."""
    body = ast.parse(inspect.getsource(config_module)).body
    (node,) = (n for n in body if isinstance(n, ast.ClassDef) and n.name == "Config")
    explained = set()
    for statement, following in zip(node.body, node.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
            text = ast.literal_eval(following.value)
            assert len(text) > 10 and text.endswith("."), text
            explained.add(statement.target.id)
    assert explained == {field.name for field in fields(Config)}


def test_every_number_has_a_range():
    free = {"seed", "zero_learnability_reward"}
    numbers = {f.name for f in fields(Config) if f.type in (int, float)}
    assert numbers - free <= set(config_module._LEAST)


def test_defaults_follow_the_definitions():
    c = Config()
    assert (c.num_references, c.num_induction_inputs, c.num_attempts) == (2, 6, 8)  # 6, 5, 12
    assert (c.zero_learnability_reward, c.proposer_reward, c.format_reward) == (
        0.0, "one_minus", "paper"
    )  # fmt: skip
    assert (c.solve_batch, c.duplicates, c.seed_tasks) == ("reuse", "reject", 0)  # 12, 14, 15
    assert (c.advantage, c.group_weight, c.loss_norm) == ("task_relative", "equal", "token_mean")
    assert (c.updates_per_step, c.kl_coef, c.entropy_coef, c.temperature) == (1, 0, 0, 1)


def test_reading_a_config_needs_no_torch():
    code = "import sys, azr_mini.presets; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_the_command_line_shows_the_sentences(capsys):
    tyro = pytest.importorskip("tyro")
    with pytest.raises(SystemExit):
        tyro.cli(Config, args=["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--num-attempts" in shown and "estimate a task's" in shown
    assert tyro.cli(Config, args=["--num-attempts", "3", "--quantize", "None"]).num_attempts == 3
