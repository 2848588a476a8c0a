"""Every knob of a run; the defaults are the nano run on a CPU."""

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args, get_origin


@dataclass(frozen=True)
class Config:
    """Every knob of a run. The defaults train the nano model on a CPU."""

    model: str = "nano"
    """nano, a folder, or a name on the Hugging Face hub."""
    dialect: Literal["auto", "nano", "chat", "plain"] = "auto"
    """Wording of the prompts: chat uses the model's template, plain none; auto: plain for a base
    model, whose stop tokens do not end a turn of the template."""
    quantize: Literal["nf4"] | None = None
    """Load the base in 4 bits (needs lora_rank)."""
    lora_rank: int | None = None
    """Train a LoRA adapter of this rank; None: all weights."""
    dtype: str = "auto"
    """Arithmetic of the model: float32, bfloat16, float16; auto: what is fast and safe here."""
    device: str | None = None
    """cpu or cuda; None: a GPU if there is one."""
    threads: int = 2
    """Cores to use: a small model's micro-batches at once, or inside a large one's operations."""

    seed: int = 0
    """Same seed, same run, bit for bit on a CPU."""
    num_steps: int = 60
    """Self-play steps."""
    batch_size: int = 16
    """B: proposals, and tasks to solve, of each type in a step (paper: 64)."""
    num_attempts: int = 8
    """n: attempts that estimate a task's solve rate (paper: 8)."""
    solve_batch: Literal["reuse", "fresh"] = "reuse"
    """reuse: the attempts train the solver; fresh (paper): they only estimate, one more trains."""

    num_references: int = 2
    """K: past triples shown to a proposer (paper: 6)."""
    num_induction_inputs: int = 6
    """N: inputs of an induction task, the first half visible (paper: 10)."""
    duplicates: Literal["paper", "reject"] = "reject"
    """A repeated proposal: paper pays it, reject makes it invalid; it never joins twice."""
    buffer_cap: int = 16_384
    """Tasks of each type in the buffer; the oldest makes room."""
    seed_tasks: int = 0
    """Tasks of each type that the model makes before step 0 (paper: 256)."""
    seed_path: str | None = None
    """File of seed tasks; None: the shipped identity triple."""
    heldout_path: str | None = None
    """Programs that no proposal may repeat; None: the shipped held-out set, '' for none."""

    proposer_reward: Literal["one_minus", "variance", "tent", "band"] = "one_minus"
    """Shape of the learnability reward over the solve rate."""
    zero_learnability_reward: float = 0.0
    """Reward of a valid task that all or none solve: 0 (paper) or -0.5 (official code)."""
    format_reward: Literal["paper", "none"] = "paper"
    """paper: -0.5 wrong, -1 malformed or invalid; none: 0 for each of them."""

    advantage: Literal["task_relative", "token_whitened", "role", "global", "grpo"] = (
        "task_relative"
    )
    """What rewards are standardised against; task_relative is TRR++."""
    group_weight: Literal["equal", "tokens"] = "equal"
    """equal: the six (role, type) groups count the same; tokens: every token does."""
    loss_norm: Literal["token_mean", "sequence_mean", "constant"] = "token_mean"
    """Mean over a group's tokens, over its rows' means, or sums over a constant length."""
    clip_low: float = 0.2
    """The ratio is clipped below 1 - clip_low."""
    clip_high: float = 0.2
    """The ratio is clipped above 1 + clip_high."""
    updates_per_step: int = 1
    """Optimizer steps on one batch; with 1 the ratio is 1 and never clips."""
    kl_coef: float = 0.0
    """Cost of leaving the base model, estimated on every token."""
    entropy_coef: float = 0.0
    """Pay for entropy (paper: 0.001)."""

    learning_rate: float = 2e-4
    """Of AdamW, constant (paper: 1e-6)."""
    weight_decay: float = 0.0
    """Of AdamW (paper: 0.01)."""
    max_grad_norm: float = 1.0
    """Longer gradients are scaled down to this."""
    micro_batch_tokens: int = 2048
    """Padded tokens in one forward pass of the learner; changes memory, not the gradient."""
    gradient_checkpointing: bool = False
    """Compute each layer twice and keep less of it; changes memory and time, not the gradient."""

    sampler: Literal["torch", "vllm"] = "torch"
    """Who writes completions; vllm is faster on a GPU (needs lora_rank), torch works everywhere."""
    sampler_quantize: Literal["nf4"] | None = None
    """How vllm holds the base: None in 16 bits, a model of its own where quantize is nf4."""
    importance_cap: float = 2.0
    """A token that vllm sampled weighs at most this for being likelier to the learner."""
    temperature: float = 1.0
    """Of the sampler; the learner's probabilities are at 1."""
    top_p: float = 1.0
    """Of the sampler."""
    max_batch: int = 512
    """Completions that the sampler writes at once; changes memory and speed."""
    max_new_tokens: int = 256
    """Longest completion (paper: 8096)."""
    max_prompt_tokens: int = 512
    """Longest prompt; a proposal that would need a longer one is rejected (paper: 6144)."""

    evaluate_every: int = 0
    """Steps between evaluations on tasks that are not trained on; 0: none."""
    evaluate_benchmarks: str = "heldout"
    """Comma-separated: heldout and ood (nano's), in-distribution, code, math, all, or names such as
    cruxeval_i."""
    evaluate_limit: int = 50
    """Tasks of each type, or rows of each benchmark, in them; their answers are greedy."""

    train_proposer: bool = True
    """False, a control: proposals are made but give no gradient."""
    shuffle_rewards: bool = False
    """True, a control: rewards are permuted inside their (role, type) group."""

    def __post_init__(self):
        for field in fields(self):
            value, choices = getattr(self, field.name), _choices(field.type)
            if choices and value not in choices:
                known = ", ".join(map(str, choices))
                raise ValueError(f"{field.name} is {value!r}: use one of {known}")
            if field.type is int and type(value) is not int:
                raise ValueError(f"{field.name} is {value!r}: give a whole number")
            if field.type is float and type(value) not in (int, float):
                raise ValueError(f"{field.name} is {value!r}: give a number")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= least):
                raise ValueError(f"{name} is {value}: give {_WORDS[least]}")
        self._check_pairs()

    def _check_pairs(self) -> None:
        for name in ("learning_rate", "temperature", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: give a number above 0")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}: give a number above 0 and at most 1")
        if not self.clip_low <= 1:
            raise ValueError(f"clip_low is {self.clip_low}: give a number from 0 to 1")
        if not math.isfinite(self.zero_learnability_reward):
            raise ValueError("zero_learnability_reward is not finite: give 0 or -0.5")
        if self.quantize and not self.lora_rank:
            raise ValueError(
                f"quantize is {self.quantize} without an adapter to train: give lora_rank, say 16"
            )
        if self.sampler == "vllm" and not self.lora_rank:
            raise ValueError(
                "sampler is vllm, which takes an adapter and not all weights: give lora_rank, "
                "say 16, or use sampler torch"
            )
        if self.sampler_quantize and not self.quantize:
            raise ValueError(
                f"sampler_quantize is {self.sampler_quantize} but the learner's base is not in 4 "
                "bits: give quantize as well, or neither"
            )
        if self.advantage == "grpo" and self.solve_batch == "fresh":
            raise ValueError(
                "advantage is grpo with solve_batch fresh, where a task has one attempt and so "
                "nothing to compare it with: use solve_batch reuse"
            )


_LEAST = {
    "threads": 1,
    "lora_rank": 1,
    "num_steps": 0,
    "batch_size": 1,
    "num_attempts": 1,
    "num_references": 1,
    "num_induction_inputs": 2,
    "buffer_cap": 1,
    "seed_tasks": 0,
    "clip_low": 0,
    "clip_high": 0,
    "updates_per_step": 1,
    "kl_coef": 0,
    "entropy_coef": 0,
    "learning_rate": 0,
    "weight_decay": 0,
    "max_grad_norm": 0,
    "micro_batch_tokens": 1,
    "max_batch": 1,
    "importance_cap": 1,
    "temperature": 0,
    "top_p": 0,
    "max_new_tokens": 1,
    "max_prompt_tokens": 1,
    "evaluate_every": 0,
    "evaluate_limit": 1,
}
_WORDS = {0: "0 or more", 1: "1 or more", 2: "2 or more, so that something stays hidden"}


def _choices(annotation) -> tuple:
    """The values a Literal allows, with None if it is optional; empty for other annotations."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    inner = [part for part in get_args(annotation) if get_origin(part) is Literal]
    return (*get_args(inner[0]), None) if inner else ()
