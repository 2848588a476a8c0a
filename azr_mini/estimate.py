"""How much memory a run will need, by arithmetic: before anything is loaded.

Sampling and learning take turns, so the peak is the larger of two sums; of sampling the moment
that takes most counts. Lengths are taken as the longest that the configuration allows, so that a
run needs this much or less. Tests compare each part with what tiny models really hold, docs/gpu.md
the whole with a GPU.
"""

from dataclasses import dataclass

from azr_mini.config import Config
from azr_mini.held_memory import (
    FLOAT,
    number_width,
    sampler_weight_bytes,
    trained_parameters,
    weight_bytes,
)
from azr_mini.shapes import Shape
from azr_mini.working_memory import (
    learning_activations,
    learning_logits,
    sampling_moment,
)

GB = 10**9
# The CUDA context with its libraries, and what a caching allocator holds but cannot give to the
# next tensor: chosen by what an H200 held beyond its tensors (docs/gpu.md)
CUDA_CONTEXT, FRAGMENTS, FRAGMENTED_SHARE = GB * 85 // 100, GB * 35 // 100, 0.03
# vLLM's own workspace and graphs, an assumption until measured (its weights, keys and values leave
# the GPU while the learner works, by its sleep mode)
VLLM_WORKSPACE = 2 * GB


@dataclass(frozen=True)
class Part:
    """Bytes that one kind of tensor takes while sampling and while learning."""

    name: str
    sampling: int
    learning: int


@dataclass(frozen=True)
class Estimate:
    """The parts of a run's memory."""

    parts: tuple[Part, ...]

    def __getitem__(self, name: str) -> Part:
        return next(part for part in self.parts if part.name == name)

    @property
    def sampling(self) -> int:
        """Bytes while sampling."""
        return sum(part.sampling for part in self.parts)

    @property
    def learning(self) -> int:
        """Bytes while learning."""
        return sum(part.learning for part in self.parts)

    @property
    def peak(self) -> int:
        """Bytes of the larger of the two."""
        return max(self.sampling, self.learning)


def estimate(
    config: Config,
    shape: Shape,
    device: str = "cuda",
    memory: float | None = None,
    segmented: bool = True,
) -> Estimate:
    """The memory that a run with this configuration needs on a GPU, or on a CPU.

    memory: bytes of the card; vLLM's keys and values take at most a quarter of what is free there.
    segmented: False for a GPU before Ampere, where the learner's attention needs a mask.
    """
    width = number_width(config, device)
    weights = weight_bytes(config, shape, device)
    trained = trained_parameters(config, shape)
    adapter = FLOAT * trained if config.lora_rank else 0
    reference = 0 if config.lora_rank else weights  # the frozen copy that the KL is taken to
    most = int(max(0, memory - weights) // 4) if memory else None
    moment = sampling_moment(config, shape, width, device, most)
    copy = sampler_weight_bytes(config, shape, width)
    others = VLLM_WORKSPACE if config.sampler == "vllm" else 0
    parts = [
        Part("weights", weights, weights),
        Part("LoRA adapter", adapter, adapter),
        Part("optimizer (two moments)", 2 * FLOAT * trained, 2 * FLOAT * trained),
        Part("gradients (sum and newest)", 0, 2 * FLOAT * trained),
        Part("frozen copy of the base", reference, reference),
        Part("sampler's copy of the weights", copy, 0),
        Part("keys and values", moment.keys_values, 0),
        Part("vLLM's own (assumed)", others, others),
        Part("logits", moment.logits, learning_logits(config, shape, width)),
        Part(
            "activations",
            moment.activations,
            learning_activations(config, shape, width, device, segmented),
        ),
    ]
    if device != "cpu":
        ours = [sum(getattr(part, side) for part in parts) for side in ("sampling", "learning")]
        reserve = [CUDA_CONTEXT + FRAGMENTS + int(FRAGMENTED_SHARE * size) for size in ours]
        parts.append(Part("CUDA and fragments", *reserve))
    return Estimate(tuple(parts))
