"""Pre-trains the nano base on generated documents and writes it as a Hugging Face folder.

On a CPU one process a core is faster than threads: `torchrun --nproc-per-node 2 -m azr_mini
pretrain-nano --threads 1` trains on the mean gradient of two processes.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from azr_mini.nano.batches import batches
from azr_mini.nano.checkpoints import Progress, load_state, save
from azr_mini.nano.processes import first_ones, process_group, share_gradients
from azr_mini.nano.tokenizer import build_tokenizer
from azr_mini.validate import load_heldout


@dataclass(frozen=True)
class PretrainConfig:
    """How the nano base is made."""

    out: Path = Path("data/nano_base")
    """Folder to write."""
    tokens: int = 30_000_000
    """Tokens to train on, prompts included."""
    batch_tokens: int = 4096
    """Tokens in an optimizer step, of each process."""
    hidden_size: int = 256
    """Width of the model."""
    num_layers: int = 4
    """Number of layers."""
    intermediate_size: int = 512
    """Width of the MLP."""
    matrix_learning_rate: float = 0.01
    """Muon's step for the weight matrices."""
    learning_rate: float = 0.0015
    """AdamW's step for embeddings and norms."""
    curriculum: float = 0.25
    """Share of the tokens over which programs grow from one operation to several."""
    think: float = 0.4
    """Share of a solver's documents that think first."""
    prompt_weight: float = 0.0
    """Weight of prompt tokens in the loss; completion tokens have 1."""
    seed: int = 0
    """Seed of the weights and of the corpus."""
    threads: int = 2
    """CPU threads."""
    resume: bool = False
    """Go on from the state in the folder."""
    start_from: Path | None = None
    """Folder of a model whose weights to start from; None: random ones."""
    minutes: float | None = None
    """Stop after this time instead of after `tokens`."""
    device: str = "cpu"
    """cpu or cuda."""
    compile: bool = False
    """Compile the loss: faster after a minute or so; on a CPU it needs a C++ compiler."""


def make_model(config: PretrainConfig, vocab_size: int):
    """A stock Llama of the configured size with tied embeddings and random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(config.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.hidden_size // 64,
            num_key_value_heads=config.hidden_size // 64,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=1,
            pad_token_id=0,
        )
    )
    model.set_attn_implementation("eager")  # faster than SDPA on rows this short on a CPU
    return model


def learning_rate_at(progress: float) -> float:
    """Share of the full learning rate: short warm-up, constant, linear decay over the last 40 %."""
    return min(1.0, progress / 0.01, max(0.02, (1.0 - progress) / 0.4))


def loss_of(model, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean cross-entropy of the next token, in nats; ids and weights (B, T)."""
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits.float()  # (B, T-1, V)
    losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return (losses * weights[:, 1:].flatten()).sum() / weights[:, 1:].sum()


def make_optimizers(model, config: PretrainConfig) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms."""
    inside = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    outside = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(inside, lr=config.matrix_learning_rate, weight_decay=0.01),
        torch.optim.AdamW(outside, lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def pretrain(config: PretrainConfig) -> Iterator[dict]:
    """Trains the base and writes it under `config.out`; yields a record every 50 steps.

    A checkpoint is written every five minutes, between two pools, and at the end.
    """
    with process_group():
        yield from train_base(config)


def train_base(config: PretrainConfig) -> Iterator[dict]:
    """What `pretrain` does inside the group of processes."""
    torch.set_num_threads(config.threads)
    tokenizer = build_tokenizer()
    model = make_model(config, vocab_size=-(-len(tokenizer) // 64) * 64).to(config.device)
    optimizers = make_optimizers(model, config)
    if config.start_from:
        weights = load_file(config.start_from / "model.safetensors")
        model.load_state_dict(weights, strict=False)  # tied: the head is the embedding
    progress = load_state(model, optimizers, config) if config.resume else Progress()
    excluded = load_heldout(None)  # no silent empty set: it would be trained on
    stream = batches(tokenizer, config, excluded, progress.pool, progress.seen)
    loss_function = torch.compile(loss_of, dynamic=True) if config.compile else loss_of
    began, last_saved, loss = time.time() - progress.seconds, time.time(), None
    while (done := share_done(progress, config)) < 1.0:
        pool, ids, weights = next(stream)
        if pool > progress.pool and time.time() - last_saved > 300:
            progress.pool, progress.seconds = pool, time.time() - began
            save(model, tokenizer, optimizers, progress, config)
            last_saved = time.time()
        new, num_tokens = train_step(model, optimizers, loss_function, ids, weights, done, config)
        loss = new if loss is None else 0.98 * loss + 0.02 * new
        progress.pool, progress.step = pool, progress.step + 1
        progress.seen += num_tokens
        progress.seconds = first_ones(time.time() - began)
        if progress.step % 50 == 0 or share_done(progress, config) >= 1.0:
            yield {
                "steps": progress.step,
                "tokens": progress.seen,
                "loss": round(loss, 4),
                "seconds": round(progress.seconds),
            }
    save(model, tokenizer, optimizers, progress, config)


def share_done(progress: Progress, config: PretrainConfig) -> float:
    """The share of the tokens, or of the minutes, that is behind us."""
    if config.minutes is not None:
        return progress.seconds / (60 * config.minutes)
    return progress.seen / config.tokens


def train_step(
    model, optimizers, loss_function, ids, weights, done: float, config: PretrainConfig
) -> tuple[float, int]:
    """One optimizer step after this share of the tokens; returns loss in nats and tokens seen."""
    rates = (config.matrix_learning_rate, config.learning_rate)
    for optimizer, rate in zip(optimizers, rates, strict=True):
        optimizer.param_groups[0]["lr"] = rate * learning_rate_at(done)
        optimizer.zero_grad()
    with torch.autocast(config.device, torch.bfloat16):
        loss = loss_function(model, ids.to(config.device), weights.to(config.device))
    loss.backward()
    num_tokens = share_gradients(model, int((ids != 0).sum()))
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return loss.item(), num_tokens
