"""Named configurations: our nano run, one GPU by memory, and the paper's."""

from dataclasses import replace

from azr_mini.config import Config

NANO = Config()

# Paper, table 3 and section 4; official code, branch `paper`. Full weights on 2 to 8 GPUs of 80 GB:
# these say what the paper did, they do not fit one GPU.
PAPER = Config(
    num_steps=500,
    batch_size=64,
    num_attempts=8,
    solve_batch="fresh",
    num_references=6,
    num_induction_inputs=10,
    duplicates="paper",
    seed_tasks=256,
    heldout_path="",
    entropy_coef=0.001,
    learning_rate=1e-6,
    weight_decay=0.01,
    micro_batch_tokens=32_768,
    max_new_tokens=8096,
    max_prompt_tokens=6144,
)

# 4-bit base and LoRA, whose learning rate has to be about ten times that of full weights.
ONE_GPU = Config(
    quantize="nf4",
    lora_rank=16,
    num_references=6,
    num_induction_inputs=10,
    num_steps=200,
    heldout_path="",
    learning_rate=1e-5,
    micro_batch_tokens=8192,
    max_new_tokens=1024,
    max_prompt_tokens=2048,
)

PRESETS: dict[str, Config] = {
    "nano": NANO,
    "gpu-16gb": replace(ONE_GPU, model="Qwen/Qwen2.5-Coder-1.5B-Instruct"),
    "gpu-24gb": replace(ONE_GPU, model="Qwen/Qwen2.5-Coder-3B-Instruct", max_new_tokens=2048),
    "gpu-48gb": replace(ONE_GPU, model="Qwen/Qwen2.5-Coder-7B-Instruct", max_new_tokens=2048),
    "gpu-80gb": replace(ONE_GPU, model="Qwen/Qwen2.5-Coder-14B-Instruct", max_new_tokens=4096),
    "paper-3b": replace(PAPER, model="Qwen/Qwen2.5-Coder-3B"),
    "paper-7b": replace(PAPER, model="Qwen/Qwen2.5-Coder-7B"),
    "paper-14b": replace(PAPER, model="Qwen/Qwen2.5-Coder-14B"),
}


def preset(name: str) -> Config:
    """The configuration of that name; ValueError listing the names if there is none."""
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}: use one of {', '.join(PRESETS)}")
    return PRESETS[name]
