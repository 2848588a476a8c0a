"""Memory that a run holds all the time: the base, what trains, the copies of them.

Bytes, by arithmetic; a test compares with what tiny models really hold, to the byte.
"""

from dataclasses import replace

from azr_mini.config import Config
from azr_mini.shapes import Shape

FLOAT = 4  # bytes of a float32 number
# bitsandbytes, NF4 with double quantization: half a byte a weight, a byte for each block of 64, a
# float32 for each 256 blocks; for each matrix a table of 16 numbers, one of 256 and an offset
NF4_BLOCK, NF4_NESTED_BLOCK, NF4_TABLES = 64, 256, (16 + 256 + 1) * FLOAT
COPIED_PARAMETERS = 10**9  # as in `decoding`, which needs torch; a test compares


def number_width(config: Config, device: str) -> int:
    """Bytes of a number in the forward pass; `auto` is 16 bits on a GPU, 32 on a CPU."""
    small = device != "cpu" if config.dtype == "auto" else config.dtype != "float32"
    return 2 if small else FLOAT


def weight_bytes(config: Config, shape: Shape, device: str) -> int:
    """Bytes of the model: all weights train in float32; a frozen base is as small as its arithmetic
    on a GPU, and its linear layers may be in 4 bits.
    """
    frozen = config.lora_rank and device != "cpu"
    width = number_width(config, device) if frozen else FLOAT
    if not config.quantize:
        return width * shape.parameters
    rest = shape.parameters - shape.layers * shape.matrix_parameters
    matrices = sum(nf4_bytes(inputs * outputs) for inputs, outputs in shape.matrices)
    return width * rest + shape.layers * matrices


def nf4_bytes(weights: int) -> int:
    """Bytes of a matrix of so many weights in NF4: 4.127 bits each, and its tables."""
    blocks = -(-weights // NF4_BLOCK)
    scales = blocks + FLOAT * -(-blocks // NF4_NESTED_BLOCK)
    return -(-weights // 2) + scales + NF4_TABLES


def layer_adapter_parameters(config: Config, shape: Shape) -> int:
    """Weights of the adapters of one decoder layer."""
    return (config.lora_rank or 0) * sum(map(sum, shape.matrices))


def trained_parameters(config: Config, shape: Shape) -> int:
    """Weights that train: the adapter's, or all."""
    if config.lora_rank:
        return shape.layers * layer_adapter_parameters(config, shape)
    return shape.parameters


def sampler_weight_bytes(config: Config, shape: Shape, width: int) -> int:
    """Bytes of the weights that the sampler holds besides the learner's."""
    if config.sampler == "vllm":
        held = replace(config, quantize=config.sampler_quantize, lora_rank=config.lora_rank or 1)
        return weight_bytes(held, shape, "cuda")
    if config.lora_rank:
        return adapted_bytes(config, shape, width)
    # the layers of a small model are cast and joined for each generation
    if shape.parameters > COPIED_PARAMETERS:
        return 0
    embedding = 0 if shape.tied_head else shape.vocabulary * shape.hidden
    return width * (shape.parameters - embedding)


def adapted_bytes(config: Config, shape: Shape, width: int) -> int:
    """What `joined.Adapted` holds of all decoder layers, while they write and while they learn:
    adapters, cast, those of layers that read the same input as two matrices; biases; of NF4 the
    scales, taken out of their own 8 bits.
    """
    numbers = scales = 0
    for inputs, outputs in joined_matrices(shape):
        ranks = config.lora_rank * len(outputs)
        numbers += ranks * (inputs + sum(outputs))
        scales += sum(-(-inputs * size // NF4_BLOCK) for size in outputs)
    if shape.architecture == "qwen2":
        numbers += shape.queries + 2 * shape.keys
    return shape.layers * (width * numbers + (FLOAT * scales if config.quantize else 0))


def joined_matrices(shape: Shape) -> list[tuple[int, tuple[int, ...]]]:
    """(inputs, outputs of each) of the linear layers that read the same input, as `decoding` joins
    them: q, k and v; o; gate and up; down.
    """
    (hidden, q), (_, k), (_, v), (queries, o), (_, gate), (_, up), (inner, down) = shape.matrices
    return [(hidden, (q, k, v)), (queries, (o,)), (hidden, (gate, up)), (inner, (down,))]
