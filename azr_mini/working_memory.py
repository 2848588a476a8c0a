"""Memory that comes and goes: of the sampler while it writes, of the learner while it learns.

Bytes, by arithmetic; tests compare with the tensors that tiny models really make. Lengths are the
longest that the configuration allows. Width: bytes of a number in the forward pass.
"""

from dataclasses import dataclass

from azr_mini.config import Config
from azr_mini.held_memory import FLOAT, adapted_bytes, joined_matrices
from azr_mini.shapes import Shape

# as in the modules that use them, which need torch; a test compares
LOGITS_CHUNK, FEW_LOGITS = 256, 2**25
PREFILL_TOKENS, VLLM_ROWS = 16_384, 256
STEPS_RUN, STEPS_REPLAYED = 16, 48  # between two rebuilds of the keys and values


# ---- sampling -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """Bytes at one moment of sampling."""

    keys_values: int
    logits: int
    activations: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.keys_values + self.logits + self.activations


def sampling_moment(
    config: Config, shape: Shape, width: int, device: str, most: int | None = None
) -> Moment:
    """The moment that takes most: when the prompts enter, or when every row is at its longest.

    most: bytes that the keys and values are held to, as vLLM holds its own, but for two rows.
    """
    passing = prefill_activations(config, shape, width, device)
    logits, step = sampling_logits(config, shape, width), workspace(config, shape, width)
    full = key_value_bytes(config, shape, width, device)
    if config.sampler == "vllm":  # its batches mix both
        bound = full if most is None else max(most, 2 * full // sampled_rows(config))
        return Moment(min(full, bound), logits, passing)
    if device != "cpu":  # steps are replayed: what one makes is still held while tokens are drawn
        step = recorded_step(config, shape, width)
        logits += sampled_rows(config) * shape.vocabulary * width
    slots = _most_slots(config, 1, steps_between_rebuilds(device))
    entered = 2 * width * shape.layers * shape.keys * slots  # all prompts, before the first step
    entered = full if enters_in_waves(config) else entered
    return max(Moment(entered, 0, passing), Moment(full, logits, step), key=lambda m: m.total)


def enters_in_waves(config: Config) -> bool:
    """Whether attempts have to wait until others have ended."""
    return 3 * config.batch_size * config.num_attempts > config.max_batch


def sampled_rows(config: Config) -> int:
    """Attempts that are written at once."""
    rows = min(config.max_batch, 3 * config.batch_size * config.num_attempts)
    return min(rows, VLLM_ROWS) if config.sampler == "vllm" else rows


def steps_between_rebuilds(device: str) -> int:
    """Decoding steps for which the torch sampler makes room at once."""
    return STEPS_RUN if device == "cpu" else STEPS_REPLAYED


def key_value_bytes(config: Config, shape: Shape, width: int, device: str) -> int:
    """Bytes of the keys and values at the end of sampling; of the torch sampler with the pair of
    tensors that it moves when the store grows.
    """
    prompt, new = config.max_prompt_tokens, config.max_new_tokens
    if config.sampler == "vllm":
        return 2 * width * shape.layers * shape.keys * sampled_rows(config) * (prompt + new)
    slots = _most_slots(config, new, steps_between_rebuilds(device))
    return 2 * width * (shape.layers + 1) * shape.keys * slots


def _most_slots(config: Config, new: int, steps: int) -> int:
    proposals, rows = min(config.max_batch, 3 * config.batch_size), sampled_rows(config)
    prompt, waves = config.max_prompt_tokens, enters_in_waves(config)
    return max(
        store_slots(proposals, 1, prompt, new, steps),
        store_slots(rows, config.num_attempts, prompt, new, steps, waves),
    )


def store_slots(
    rows: int, num_attempts: int, prompt: int, new: int, steps: int, waves: bool = False
) -> int:
    """Slots that `key_values.KeyValueStore` ends with when `rows` rows, `num_attempts` to a prompt
    of `prompt` tokens, all write `new` tokens, with room for `steps` tokens of each made at once.

    waves: other rows follow those that end. Prompts with few rows left then stand beside new ones;
    recorded rollouts needed up to a fifth more slots, and room for more steps in each of them.
    """
    lanes = min(num_attempts, rows)
    entries = -(-rows // num_attempts)
    entries += -(-entries // 4) if waves else 0
    at_once = -(-PREFILL_TOKENS // prompt)  # prompts that enter together
    size = entered = capacity = 0

    def rebuild(fill: int) -> None:
        nonlocal size, capacity
        capacity = -(-(fill + lanes * steps) // 8) * 8
        if entered * capacity > size:
            size = max(entered * capacity, size * 3 // 2)

    while entered < entries:
        entered = min(entries, entered + at_once)
        rebuild(prompt)
    fill = prompt
    for _ in range(new - 1):
        if fill + lanes > capacity:
            rebuild(fill)
        fill += lanes
    if waves:
        size += 3 * rows // num_attempts // 2 * lanes * (steps - STEPS_RUN)
    return size


def sampling_logits(config: Config, shape: Shape, width: int) -> int:
    """Bytes of the scores of the next token and of what is made of them to draw it: in float32 once
    more, log-probabilities, probabilities, their cumulative sum, and the order if top_p cuts.
    """
    copies = width + 4 * FLOAT + (24 if config.top_p < 1 else 0)
    return sampled_rows(config) * shape.vocabulary * copies


def recorded_step(config: Config, shape: Shape, width: int) -> int:
    """Bytes that a CUDA graph of a decoding step holds besides its logits: of its attention, whose
    heads that share keys have a mask each, or of its largest matrices.
    """
    lanes, matrix = min(config.num_attempts, config.max_batch), workspace(config, shape, width)
    columns = config.max_prompt_tokens + lanes * (config.max_new_tokens + STEPS_REPLAYED)
    masks = width * shape.heads // shape.key_value_heads * columns
    both = width * 2 * (shape.hidden + shape.queries + shape.keys)
    both += FLOAT * (shape.queries + shape.keys)  # turned by their positions
    inner, rows = width * 2 * shape.intermediate, sampled_rows(config)
    return rows * both + max(rows * masks, rows * inner + max(matrix, rows * inner))


def prefill_activations(config: Config, shape: Shape, width: int, device: str) -> int:
    """Bytes of one decoder layer over the prompts that enter at once."""
    prompts = min(3 * config.batch_size, -(-PREFILL_TOKENS // config.max_prompt_tokens))
    tokens = prompts * config.max_prompt_tokens
    per_token = 6 * shape.hidden + 2 * shape.queries + 5 * shape.intermediate
    masks = config.max_prompt_tokens**2
    if device == "cpu":  # heads that share keys become rows of the mask
        masks *= prompts * shape.heads // shape.key_value_heads
    return width * (tokens * per_token + masks) + workspace(config, shape, width)


# ---- learning -----------------------------------------------------------------------------------


def learning_logits(config: Config, shape: Shape, width: int) -> int:
    """Bytes of the logits of one chunk, in float32 once more, and of softmax and entropy with their
    gradients.
    """
    positions = learner_tokens(config)
    if positions * shape.vocabulary > FEW_LOGITS:
        positions = min(positions, LOGITS_CHUNK)
    return positions * shape.vocabulary * (width + 5 * FLOAT)


def learner_tokens(config: Config) -> int:
    """Tokens in a forward pass of the learner: its budget, or the longest row if that is longer."""
    return max(config.micro_batch_tokens, config.max_prompt_tokens + config.max_new_tokens - 1)


def learning_activations(
    config: Config, shape: Shape, width: int, device: str, segmented: bool = True
) -> int:
    """Bytes that wait for the backward pass, of all layers or only their inputs, what one layer
    needs while it is differentiated, beyond the logits, which are gone by then, and the copies that
    are made of an adapter.
    """
    tokens = learner_tokens(config)
    layer = layer_activations(config, shape, width, device, tokens, tokens, segmented)
    stream = tokens * shape.hidden * (width if config.lora_rank and device != "cpu" else FLOAT)
    inner = tokens * shape.intermediate * width
    # a layer's last matrix is gone when the gradients of gate, up and their product are there
    passing = 2 * stream + inner + max(2 * inner, last_matrix(config, shape, width))
    if config.gradient_checkpointing:
        waiting, passing = shape.layers * stream, passing + layer
    else:
        waiting = shape.layers * layer
    mask = 0
    if has_grid(width, device, segmented):  # one for all layers; what it is made of is gone by then
        mask = tokens * tokens * width
    copies = adapted_bytes(config, shape, width) if config.lora_rank else 0
    return copies + waiting + mask + max(0, passing - learning_logits(config, shape, width))


def has_grid(width: int, device: str, segmented: bool = True) -> bool:
    """Whether attention needs a grid and a mask. segmented: the GPU is Ampere or newer, and so has
    the kernel that does not.
    """
    return device == "cpu" or width == FLOAT or not segmented


def layer_activations(
    config: Config,
    shape: Shape,
    width: int,
    device: str,
    tokens: int,
    columns: int,
    segmented: bool = True,
) -> int:
    """Bytes that one decoder layer saves for the backward pass of `tokens` packed tokens, in
    entries of `columns` columns.
    """
    hidden, queries, keys, inner = shape.hidden, shape.queries, shape.keys, shape.intermediate
    # each linear layer under autocast casts its own input and weights, except in `lean`
    casts = width != FLOAT and not config.lora_rank
    inputs = (5 if casts else 2) * hidden + queries + inner
    copied = device != "cpu" and has_grid(width, device, segmented)
    attended = 2 * queries + 2 * (queries if copied else keys)  # q, out; k, v
    gates = 2 if config.lora_rank else 3  # `lean_mlp` computes silu(gate) again
    numbers = inputs + attended + gates * inner + 7 * (config.lora_rank or 0)
    norms = 2 * (hidden + 1)
    if not config.lora_rank:  # their weights train, and need what they were multiplied with
        norms += 2 * hidden
    if shape.architecture == "qwen3":
        norms += queries + keys + shape.heads + shape.key_value_heads
        numbers += 0 if config.lora_rank else queries + keys
    scores = shape.heads  # the logarithm of each sum of exponentials
    per_token = width * numbers + FLOAT * (norms + scores)
    weights = width * shape.matrix_parameters if casts else 0
    mask = 0
    if device == "cpu" and shape.heads > shape.key_value_heads:
        mask = width * tokens * columns * shape.heads // shape.key_value_heads
    return tokens * per_token + weights + mask


def last_matrix(config: Config, shape: Shape, width: int) -> int:
    """Bytes of a layer's last matrix out of 4 bits, with which its backward pass begins."""
    return width * shape.matrices[-1][0] * shape.matrices[-1][1] if config.quantize else 0


def workspace(config: Config, shape: Shape, width: int) -> int:
    """Bytes of the largest matrices that the sampler takes out of 4 bits together."""
    if not config.quantize:
        return 0
    return width * max(inputs * sum(outputs) for inputs, outputs in joined_matrices(shape))
