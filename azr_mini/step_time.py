"""About how long a step takes on a GPU, by arithmetic and two speeds that an H200 showed.

A decoding step is many small operations, each with a price of its own, and the bytes that it reads.
In the learner a small model waits for the interpreter and a large one for the card: the longer of
the two counts. Every completion is taken to be as long as the configuration allows.
"""

from azr_mini.config import Config
from azr_mini.held_memory import FLOAT, number_width
from azr_mini.shapes import Shape
from azr_mini.work import Entry, forward_flops, generation_bytes, peaks_of, update_flops, work_of

# Seconds that one decoder layer takes however fast the card is, in a decoding step and in a
# micro-batch of the learner: docs/gpu.md, the 1.5B shape; a test derives them from its record
LAYER_STEP, LAYER_MICRO_BATCH = 0.56e-3, 11e-3
REACHED = 0.4  # assumed share of the data sheet's operations that large products reach
# a card with so many GB
TYPICAL = {16: "T4", 24: "L4", 40: "A100-SXM4-40GB", 80: "H100 80GB HBM3", 141: "H200"}


def step_seconds(config: Config, shape: Shape, device: str) -> float | None:
    """Seconds of a step on the card of this name that trains an adapter in 16 bits with the torch
    sampler; None of any other, and if the card's data sheet is not in `work.PEAKS`.
    """
    peaks, is_known = peaks_of(device), config.lora_rank and number_width(config, "cuda") < FLOAT
    if peaks is None or not is_known or config.sampler != "torch":
        return None
    prompts = 3 * config.batch_size
    sampling = _sampling(config, shape, peaks, prompts, 1)
    sampling += _sampling(config, shape, peaks, prompts, config.num_attempts)
    if config.solve_batch == "fresh":
        sampling += _sampling(config, shape, peaks, prompts, 1)
    return sampling + _learning(config, shape, peaks[0])


def _sampling(config, shape: Shape, peaks, prompts: int, attempts: int) -> float:
    operations, bandwidth = peaks
    prompt, new = config.max_prompt_tokens, config.max_new_tokens
    waves = -(-prompts * attempts // config.max_batch)
    reading = forward_flops(shape, work_of([(prompt, [])] * prompts), config.lora_rank or 0)
    steps = waves * (new - 1) * shape.layers * LAYER_STEP
    read = generation_bytes(
        shape, config.lora_rank or 0, prompts, attempts, prompt, new, waves, bool(config.quantize)
    )
    return sum(reading.values()) / (REACHED * operations) + steps + read / bandwidth


def _learning(config, shape: Shape, operations: float) -> float:
    entries = _entries(config)
    work = work_of(entries)
    flops = update_flops(shape, work, config.lora_rank or 0)
    if config.gradient_checkpointing:
        flops += sum(forward_flops(shape, work, config.lora_rank or 0).values())
    batches = max(1, -(-work.tokens // config.micro_batch_tokens))
    return max(batches * shape.layers * LAYER_MICRO_BATCH, flops / (REACHED * operations))


def _entries(config) -> list[Entry]:
    """Prompts with the completions that share them in a micro-batch, of both roles."""
    prompt, new, tasks = config.max_prompt_tokens, config.max_new_tokens, 3 * config.batch_size
    attempts = config.num_attempts if config.solve_batch == "reuse" else 1
    together = min(attempts, max(1, (config.micro_batch_tokens - prompt) // new))
    full, rest = divmod(attempts, together)
    solve = [(prompt, [new] * together)] * full + [(prompt, [new] * rest)] * bool(rest)
    return [(prompt, [new])] * tasks + solve * tasks
