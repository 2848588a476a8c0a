"""Row: the learner against TRL's GRPOTrainer on the GPU, one after the other in one process.

Both take an update of AdamW on the same rollouts, all of one length, so that TRL pads nothing: base
in NF4, LoRA of one rank, recomputed layers, no reference policy. TRL computes its log-probabilities
in its fused head, with Liger's layers where they are installed, and gets its best micro-batch; ours
is the best of those that stay within a share of TRL's memory.
"""

import gc
import importlib.util
import tempfile
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.gpu.build import Sizes, random_model, random_policy, random_rollouts, state_of
from benchmarks.gpu.measure import peak, seconds, start_peak
from benchmarks.gpu.shapes import described

SIZE = "1.5B"
PROMPTS, REPEATS = 8, 2
ROWS = (32, 64, 16)  # a micro-batch of TRL
OTHER = (8192, 16_384)  # tokens of a micro-batch of ours, besides the configured
MEMORY = 0.7  # of TRL's
KINDS = {"8 attempts a prompt": (PROMPTS, 8), "a prompt each": (8 * PROMPTS, 1)}


def against_trl(sizes: Sizes) -> Iterator[dict]:
    """Seconds, tokens a second and peak memory of both, with and without shared prompts."""
    shape, config = sizes.shape(SIZE), sizes.config()
    kinds, rows, other = KINDS, ROWS, OTHER
    if sizes.tiny:
        kinds, rows, other = {"8 attempts a prompt": (2, 2)}, (2, 4), (128,)
    found: dict = {"size": SIZE, "ours": {}, "ours_other": {}, "trl": {}}
    rollouts = {
        name: random_rollouts(shape.vocabulary, "solve", *counts, sizes.prompt, sizes.new)
        for name, counts in kinds.items()
    }
    policy = random_policy(shape, config)
    found["our_config"] = described(config)
    for name, batch in rollouts.items():
        found["ours"][name] = ours(policy, batch, config)
        yield found
    for tokens in other:
        found["ours_other"][str(tokens)] = {
            name: ours(policy, batch, replace(config, micro_batch_tokens=tokens))
            for name, batch in rollouts.items()
        }
        yield found
    del policy
    if importlib.util.find_spec("trl") is None:
        yield {"missing": "trl is not installed"}
        return
    for count in rows:
        found["trl"][f"{count} rows"] = of_trl(shape, config, rollouts, count)
        yield found
    best = fastest(found["trl"], next(iter(kinds)))
    if best and sizes.device != "cpu" and importlib.util.find_spec("liger_kernel"):
        count = int(best.split()[0])
        found["trl"][f"{count} rows, Liger"] = of_trl(shape, config, rollouts, count, liger=True)
        yield found


def ours(policy, rollouts: list, config) -> dict:
    """The best of a few updates with our learner."""
    from azr_mini import learner, micro_batches

    watched, micro_batches.watched_rows = micro_batches.watched_rows, lambda *_: {0}  # TRL has none
    try:
        state = state_of(policy, config)
        learner.update(state, rollouts, config)
        start_peak()
        times = [seconds(learner.update, state, rollouts, config)[0] for _ in range(REPEATS)]
    finally:
        micro_batches.watched_rows = watched
    return summary(min(times), rollouts, 0) | {"micro_batch_tokens": state.micro_batch_tokens}


def of_trl(shape, config, rollouts: dict[str, list], rows: int, liger: bool = False) -> dict:
    """The same with TRL's trainer, `rows` rollouts at a time, and how it was configured."""
    import torch
    from datasets import Dataset
    from tiny_models import byte_tokenizer
    from trl import GRPOConfig, GRPOTrainer

    from azr_mini.adapters import add_adapter
    from azr_mini.models import choose_dtype
    from benchmarks.learner import padded

    gc.collect()
    dtype, left = choose_dtype(config.dtype, config.device), tensors_now()
    model = add_adapter(random_model(shape, dtype, config.device), config.lora_rank)
    tokenizer, found = byte_tokenizer(), {}
    with tempfile.TemporaryDirectory() as folder:
        chosen = {
            "use_cpu": config.device == "cpu",
            "bf16": dtype is torch.bfloat16,
            "fp16": dtype is torch.float16,
            "per_device_train_batch_size": rows,
            "num_generations": 2,
            "beta": 0.0,
            "loss_type": "bnpo",
            "gradient_checkpointing": True,
            "gradient_checkpointing_kwargs": {"use_reentrant": False},
            "use_liger_kernel": liger,
            "report_to": "none",
        }
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            args=GRPOConfig(output_dir=folder, **chosen),
            train_dataset=Dataset.from_list([{"prompt": "1"}] * rows),
            processing_class=tokenizer,
        )
        # what `Trainer.train` would do
        if liger:
            from transformers.integrations.liger import apply_liger_kernel

            apply_liger_kernel(model, trainer.args.liger_kernel_config)
        model.gradient_checkpointing_enable(chosen["gradient_checkpointing_kwargs"])
        model.train()
        trainer.current_gradient_accumulation_steps = 1
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=config.learning_rate)
        for name, batch in rollouts.items():
            tokens = sum(len(rollout.completion_ids) for rollout in batch)
            inputs = [
                {k: v.to(config.device) for k, v in padded(batch[i : i + rows], 0).items()}
                | {"num_items_in_batch": torch.tensor(tokens, device=config.device)}
                for i in range(0, len(batch), rows)
            ]

            def step(inputs=inputs) -> None:
                for part in inputs:
                    with trainer.compute_loss_context_manager():
                        loss = trainer.compute_loss(model, part)
                    trainer.accelerator.backward(loss)
                torch.nn.utils.clip_grad_norm_(trained, 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

            try:
                step()
                start_peak()
                found[name] = summary(min(seconds(step)[0] for _ in range(REPEATS)), batch, left)
            except torch.OutOfMemoryError:
                found[name] = {"out_of_memory": True}
    chosen |= {"attention": model.config._attn_implementation, "fused_head": True}
    chosen["adapter"] = str(trained[0].dtype).removeprefix("torch.")
    found["config"] = {key: value for key, value in chosen.items() if key != "report_to"}
    return found


def tensors_now() -> int:
    """Bytes of the tensors on the GPU."""
    import torch

    return torch.cuda.memory_allocated() if torch.cuda.is_available() else 0


def summary(took: float, rollouts: list, left: int) -> dict:
    """Seconds, tokens a second and peak memory, less what a contender before had left."""
    tokens = sum(len(rollout.completion_ids) for rollout in rollouts)
    found = {"seconds": took, "tokens_per_s": tokens / took} | peak()
    if "allocated" in found:
        found["allocated"] -= left
    return found


def fastest(theirs: dict[str, dict], kind: str) -> str | None:
    """The name of TRL's fastest setting for this kind of rollouts; None if none has a number."""
    known = [name for name, row in theirs.items() if "seconds" in row.get(kind, {})]
    return max(known, key=lambda name: theirs[name][kind]["tokens_per_s"], default=None)


def best_of_ours(found: dict, kind: str) -> dict | None:
    """Our fastest micro-batch for this kind of rollouts within a share of the memory of TRL's
    fastest, or else our smallest; None if none has a number.
    """
    tried = [found["ours"], *found.get("ours_other", {}).values()]
    tried = [rows[kind] for rows in tried if kind in rows]
    name = fastest(found["trl"], kind)
    limit = found["trl"][name][kind].get("allocated") if name else None
    within = [row for row in tried if limit and row.get("allocated", 0) <= MEMORY * limit]
    return max(within or tried[:1], key=lambda row: row["tokens_per_s"], default=None)


def ratios(found: dict, kind: str) -> dict[str, float]:
    """Our tokens a second over those of TRL's fastest setting, and our peak over its."""
    name, mine = fastest(found["trl"], kind), best_of_ours(found, kind)
    if name is None or mine is None:
        return {}
    best = found["trl"][name][kind]
    answer = {"times_as_fast": mine["tokens_per_s"] / best["tokens_per_s"]}
    if "allocated" in mine and "allocated" in best:
        answer["peak_memory"] = mine["allocated"] / best["allocated"]
    return answer
