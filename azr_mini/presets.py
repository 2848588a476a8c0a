"""Named configurations: our nano run, one GPU by memory, and the paper's.

A base model may be held in three ways (the sampler of torch reads the learner's own weights, vLLM
holds its own): (a) in 4 bits by both, (b) in 4 bits by the learner and in 16 by vLLM, (c) in 16
bits by both. In (b) two different models take turns, so no preset uses it.
"""

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

# LoRA, whose learning rate has to be about ten times that of full weights (Schulman, "LoRA Without
# Regret"). Instruct models: a base model rarely writes a format that can be parsed. Nothing below
# 1.5B: TinyZero reports that 0.5B fails to learn reasoning. How many rows are sampled at once is
# what decides the memory: each keeps its keys and values. So micro-batches may be as large as made
# the learner fast on an H200 (docs/gpu.md), less where a card before Ampere needs a mask for them.
ONE_GPU = Config(
    lora_rank=16,
    gradient_checkpointing=True,
    num_references=6,
    num_induction_inputs=10,
    num_steps=200,
    heldout_path="",
    learning_rate=1e-5,
    micro_batch_tokens=12_288,
    max_new_tokens=1024,
    max_prompt_tokens=2048,
)
SMALL, MIDDLE, LARGE = (f"Qwen/Qwen2.5-Coder-{size}-Instruct" for size in ("1.5B", "7B", "14B"))

PRESETS: dict[str, Config] = {
    "nano": NANO,
    # (a) one base in 4 bits
    "gpu-8gb": replace(
        ONE_GPU,
        model=SMALL,
        quantize="nf4",
        batch_size=8,
        max_batch=40,
        micro_batch_tokens=8192,
    ),
    # (c) one base in 16 bits, on a T4 float16: each step of the sampler would unpack 4 bits again
    "gpu-16gb": replace(
        ONE_GPU,
        model=SMALL,
        batch_size=8,
        max_batch=96,
        micro_batch_tokens=8192,
    ),
    # (a) one base in 4 bits
    "gpu-24gb": replace(ONE_GPU, model=MIDDLE, quantize="nf4", max_batch=64),
    # (c) one base in 16 bits
    "gpu-40gb": replace(ONE_GPU, model=MIDDLE, max_batch=96),
    # (c) one base in 16 bits
    "gpu-80gb": replace(ONE_GPU, model=LARGE, max_batch=96),
    # (c) the base in 16 bits twice: vLLM has its own copy
    "gpu-141gb": replace(
        ONE_GPU,
        model=LARGE,
        sampler="vllm",
        batch_size=64,
        max_batch=256,
        max_new_tokens=4096,
    ),
    "paper-3b": replace(PAPER, model="Qwen/Qwen2.5-Coder-3B"),
    "paper-7b": replace(PAPER, model="Qwen/Qwen2.5-Coder-7B"),
    "paper-14b": replace(PAPER, model="Qwen/Qwen2.5-Coder-14B"),
}
# GB of the card that a preset is for
CARDS = {name: int(name[4:-2]) for name in PRESETS if name.startswith("gpu-")}


def preset(name: str) -> Config:
    """The configuration of that name; ValueError listing the names if there is none."""
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}: use one of {', '.join(PRESETS)}")
    return PRESETS[name]


def arrangement(config: Config, bits: int = 16) -> str:
    """How the base model is held, in a line. bits: of a number that is not in 4 bits."""
    if not config.lora_rank:
        return "all weights train, beside a frozen copy of the base"
    learner, sampler = (
        "4 bits" if kind else f"{bits} bits" for kind in (config.quantize, config.sampler_quantize)
    )
    if config.sampler == "torch":
        letter = "(a)" if config.quantize else "(c)"
        return f"{letter} one base in {learner}, which learner and sampler share"
    letter = "(c)" if not config.quantize else "(a)" if config.sampler_quantize else "(b)"
    return f"{letter} two copies of the base: the learner's in {learner}, vLLM's in {sampler}"
