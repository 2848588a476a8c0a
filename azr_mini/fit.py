"""Whether a run fits its machine, and if not, what does."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, combinations, product

from azr_mini.config import Config
from azr_mini.estimate import GB, estimate
from azr_mini.presets import CARDS, PRESETS
from azr_mini.shapes import Shape

CPU_PARAMETERS = 200_000_000  # a larger model is trained on a CPU only if the user insists
# compute capabilities; the second as in `segments`, which needs torch; a test compares
TURING, AMPERE = (7, 5), (8, 0)
MARGIN = 0.95  # share of a card's nominal memory that a preset may take: a T4 has 15.8 GB, not 16


@dataclass(frozen=True)
class Card:
    """A GPU: its name, its memory in bytes, its compute capability."""

    name: str
    memory: float
    capability: tuple[int, int] = AMPERE

    @property
    def segmented(self) -> bool:
        """Whether the learner's attention needs no mask there."""
        return self.capability >= AMPERE

    def __str__(self) -> str:
        return f"{self.name} ({self.memory / GB:.1f} GB)"


def find_cards() -> list[Card]:
    """The GPUs that torch can use."""
    import torch

    if not torch.cuda.is_available():
        return []
    found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [Card(card.name, card.total_memory, (card.major, card.minor)) for card in found]


def require_fit(config: Config, shape: Shape, card: Card | None, ram: float = float("inf")) -> None:
    """ValueError that says what to do if the run cannot work on this card, or without one.

    ram: bytes of the machine's own memory, for `device=cpu`.
    """
    if wants_cpu(config):
        peak = estimate(config, shape, "cpu").peak
        if peak > ram:
            raise ValueError(
                f"{config.model} needs about {peak / GB:.1f} GB but this machine has "
                f"{ram / GB:.1f} GB: {_advice(config, shape, ram, 'cpu')}"
            )
    elif card is None:
        if config.device is not None or not runs_on_cpu(shape):
            raise ValueError(
                f"{config.model} has {_count(shape.parameters)} parameters and torch "
                "finds no CUDA GPU: train nano (--preset nano), use a GPU (a Colab T4 will do for "
                "--preset gpu-16gb), or insist on a small model with --device cpu"
            )
    else:
        peak = estimate(config, shape, "cuda", card.memory, card.segmented).peak
        if peak > card.memory:
            raise ValueError(
                f"{config.model} needs about {peak / GB:.1f} GB but this is {card}: "
                f"{_advice(config, shape, card.memory, 'cuda', card.segmented)}"
            )


def wants_cpu(config: Config) -> bool:
    """Whether the user asks for the CPU."""
    return (config.device or "").startswith("cpu")


def runs_on_cpu(shape: Shape) -> bool:
    """Whether a model is small enough to be trained on a CPU unasked."""
    return shape.parameters <= CPU_PARAMETERS


def _count(parameters: int) -> str:
    if parameters < 1e8:
        return f"{parameters:,}"
    return f"{parameters / 1e9:.2g} billion"


def machine_memory() -> float:
    """Bytes of this machine's memory; infinite where the system does not say."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return float("inf")
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def largest_preset(memory: float) -> str | None:
    """The preset for the largest card that has no more than so many bytes; None if none fits."""
    fitting = [name for name, size in CARDS.items() if MARGIN * size * GB <= memory]
    return max(fitting, key=CARDS.get, default=None)


def helpful_changes(
    config: Config, shape: Shape, memory: float, device: str = "cuda", segmented: bool = True
) -> dict:
    """The one or two fields that make the run fit, with their values; empty if none do."""
    fields = list(_savings(config))
    pairs = [product(one, other) for one, other in combinations(fields, 2)]
    for changes in chain(chain(*(product(field) for field in fields)), *pairs):
        together = {name: value for change in changes for name, value in change.items()}
        found = estimate(replace(config, **together), shape, device, memory, segmented)
        if found.peak <= memory:
            return {n: value for n, value in together.items() if value != getattr(config, n)}
    return {}


def _savings(config: Config) -> Iterator[list[dict]]:
    """What saves memory, field by field, the gentlest first."""
    if not config.gradient_checkpointing:
        yield [{"gradient_checkpointing": True}]
    yield [{"max_batch": rows} for rows in (256, 128, 64, 32, 16, 8) if rows < config.max_batch]
    longest = config.max_prompt_tokens + config.max_new_tokens - 1
    sizes = (16_384, 8192, 4096, 2048, 1024)
    yield [{"micro_batch_tokens": n} for n in sizes if longest <= n < config.micro_batch_tokens]
    for name, least in (("max_new_tokens", 512), ("max_prompt_tokens", 1024)):
        lengths = (n for n in (*sizes, 512) if least <= n < getattr(config, name))
        yield [{name: n} for n in lengths]
    if config.sampler == "vllm":
        yield [{"sampler": "torch"}]
    if not config.quantize:
        small = {"quantize": "nf4", "lora_rank": config.lora_rank or 16}
        yield [small | ({"sampler_quantize": "nf4"} if config.sampler == "vllm" else {})]


def _advice(
    config: Config, shape: Shape, memory: float, device: str, segmented: bool = True
) -> str:
    changes = helpful_changes(config, shape, memory, device, segmented)
    ways = [" ".join(_flag(name, value) for name, value in changes.items())] if changes else []
    if device == "cuda" and (nearest := largest_preset(memory)):
        ways.append(f"--preset {nearest} ({PRESETS[nearest].model})")
    return "use " + ", or ".join(ways or ["--preset nano"])


def _flag(name: str, value) -> str:
    flag = "--" + name.replace("_", "-")
    return flag if value is True else f"{flag} {value}"
