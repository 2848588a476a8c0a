"""The shapes of models: what decides how many numbers they have."""

from dataclasses import dataclass
from typing import Literal

from azr_mini.adapters import base_of, is_adapter
from azr_mini.hub import find_model, load_config


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama, Qwen2 or Qwen3 kind of model."""

    architecture: Literal["llama", "qwen2", "qwen3"]
    layers: int
    hidden: int
    intermediate: int
    heads: int
    key_value_heads: int
    head_size: int
    vocabulary: int
    tied_head: bool  # the head is the embedding

    @property
    def queries(self) -> int:
        """Width of a layer's queries."""
        return self.heads * self.head_size

    @property
    def keys(self) -> int:
        """Width of a layer's keys, and of its values."""
        return self.key_value_heads * self.head_size

    @property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of the linear layers of a decoder layer: q, k, v, o, gate, up, down."""
        attention = [(self.hidden, width) for width in (self.queries, self.keys, self.keys)]
        attention.append((self.queries, self.hidden))
        up, down = (self.hidden, self.intermediate), (self.intermediate, self.hidden)
        return (*attention, up, up, down)

    @property
    def matrix_parameters(self) -> int:
        """Weights of the linear layers of a decoder layer, without biases."""
        return sum(inputs * outputs for inputs, outputs in self.matrices)

    @property
    def embedding_parameters(self) -> int:
        """Weights of the embedding, and of the head where it is another matrix."""
        return self.vocabulary * self.hidden * (1 if self.tied_head else 2)

    @property
    def parameters(self) -> int:
        """Every weight of the model."""
        small = 2 * self.hidden  # two norms
        small += self.queries + 2 * self.keys if self.architecture == "qwen2" else 0  # biases
        small += 2 * self.head_size if self.architecture == "qwen3" else 0  # norms of heads
        layers = self.layers * (self.matrix_parameters + small)
        return layers + self.hidden + self.embedding_parameters

    @property
    def settings(self) -> dict:
        """What `transformers.AutoConfig.for_model(shape.architecture, **settings)` takes."""
        return {
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_value_heads,
            "head_dim": self.head_size,
            "vocab_size": self.vocabulary,
            "tie_word_embeddings": self.tied_head,
        }


# As in the config.json of each model on the hub, which litgpt's config.py quotes one by one
# (github.com/Lightning-AI/litgpt); tied heads as in table 1 of the reports on Qwen2.5
# (arXiv 2412.15115) and Qwen3 (2505.09388).
QWEN25 = {
    "0.5B": Shape("qwen2", 24, 896, 4864, 14, 2, 64, 151_936, True),
    "1.5B": Shape("qwen2", 28, 1536, 8960, 12, 2, 128, 151_936, True),
    "3B": Shape("qwen2", 36, 2048, 11_008, 16, 2, 128, 151_936, True),
    "7B": Shape("qwen2", 28, 3584, 18_944, 28, 4, 128, 152_064, False),
    "14B": Shape("qwen2", 48, 5120, 13_824, 40, 8, 128, 152_064, False),
}
QWEN3 = {
    "0.6B": Shape("qwen3", 28, 1024, 3072, 16, 8, 128, 151_936, True),
    "1.7B": Shape("qwen3", 28, 2048, 6144, 16, 8, 128, 151_936, True),
    "4B": Shape("qwen3", 36, 2560, 9728, 32, 8, 128, 151_936, True),
    "8B": Shape("qwen3", 36, 4096, 12_288, 32, 8, 128, 151_936, False),
    "14B": Shape("qwen3", 40, 5120, 17_408, 40, 8, 128, 151_936, False),
}
LLAMA31_8B = Shape("llama", 32, 4096, 14_336, 32, 8, 128, 128_256, False)

KNOWN: dict[str, Shape] = {
    **{
        f"Qwen/{family}-{size}{kind}": shape
        for family in ("Qwen2.5", "Qwen2.5-Coder")
        for size, shape in QWEN25.items()
        for kind in ("", "-Instruct")
    },
    **{
        f"Qwen/Qwen3-{size}{kind}": shape for size, shape in QWEN3.items() for kind in ("", "-Base")
    },
    "meta-llama/Llama-3.1-8B": LLAMA31_8B,
    "meta-llama/Llama-3.1-8B-Instruct": LLAMA31_8B,
}


def find_shape(name: str) -> Shape | None:
    """The shape of a model: one of the known ones, else from the config.json of a folder or of the
    hub; None for other kinds. ValueError, saying what to do, if there is no such model.
    """
    if name in KNOWN:
        return KNOWN[name]
    source = find_model(name)
    if is_adapter(source):
        return find_shape(base_of(source))
    return shape_of(load_config(name))


def shape_of(config) -> Shape | None:
    """The shape that a transformers configuration describes; None for kinds not known here."""
    if config.model_type not in ("llama", "qwen2", "qwen3"):
        return None
    heads = config.num_attention_heads
    return Shape(
        config.model_type,
        config.num_hidden_layers,
        config.hidden_size,
        config.intermediate_size,
        heads,
        config.num_key_value_heads,
        getattr(config, "head_dim", None) or config.hidden_size // heads,
        config.vocab_size,
        config.tie_word_embeddings,
    )
