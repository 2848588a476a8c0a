"""The policy: a Hugging Face causal language model with its tokenizer.

Prompts and completions are token ids throughout; text is only ever encoded and decoded whole. The
model stays in evaluation mode (no dropout), so that what sampled a token also scores it.
"""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from azr_mini.adapters import add_adapter, base_of, load_adapter, rank_of, save_adapter
from azr_mini.head import chunked_scores, needs_chunks, scores
from azr_mini.hub import find_model
from azr_mini.models import ARCHITECTURES, choose_device, choose_dtype, load_model
from azr_mini.packed_batch import PackedBatch, in_micro_batches, pack
from azr_mini.packing import install, packed_hidden, packed_logits
from azr_mini.prompts import NANO_TAGS, Dialect
from azr_mini.segments import has_kernel
from azr_mini.templates import in_plain_text, in_template, speaks_in_turns, stop_ids


class Policy:
    """A model and its tokenizer; `dtype` is the arithmetic of its forward pass, by autocast."""

    def __init__(
        self, model, tokenizer, name: str = "", dtype: torch.dtype = torch.float32
    ) -> None:
        self.model, self.tokenizer, self.name, self.dtype = model.eval(), tokenizer, name, dtype
        self.training: dict | None = None  # the run's configuration, for an adapter's card
        base = self.base
        install(base)
        config = base.config.get_text_config()
        self.max_positions = min(
            config.max_position_embeddings, getattr(config, "sliding_window", None) or 10**9
        )
        # In attention a pair of tokens costs 4 H operations a layer, in the linear layers a token
        # about 24 H^2; attention runs at half the speed.
        self.pair_cost = 1 / (3 * config.hidden_size)
        head_dim = getattr(config, "head_dim", None)
        head_dim = head_dim or config.hidden_size // config.num_attention_heads
        self.segmented = has_kernel(self.device, dtype, head_dim)
        if self.segmented:  # sharing a prompt adds no pairs
            self.pair_cost = 0.0
        vocabulary = tokenizer.get_vocab()
        is_nano = all(tag in vocabulary for tag in NANO_TAGS)
        self.dialect = Dialect.NANO if is_nano else Dialect.CHAT
        self.stop_ids = stop_ids(base, tokenizer)
        self.in_template = not is_nano and speaks_in_turns(tokenizer, self.stop_ids)
        self.eos_id = tokenizer.eos_token_id
        self.pad_id = self.eos_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    @property
    def has_adapter(self) -> bool:
        """Whether only an adapter trains."""
        return hasattr(self.model, "peft_config")

    @property
    def base(self):
        """The model itself, without the wrapper of its adapter (whose layers it holds)."""
        return self.model.get_base_model() if self.has_adapter else self.model

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return next(self.model.parameters()).device

    def parameters(self) -> list[torch.nn.Parameter]:
        """The weights that train: all of them, or the adapter's."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def autocast(self) -> torch.autocast:
        """The context in which the model computes in `dtype`."""
        return torch.autocast(
            self.device.type,
            dtype=self.dtype,
            enabled=self.dtype is not torch.float32,
            cache_enabled=False,  # a pass uses a weight once, and threads would share the cache
        )

    def speak(self, dialect: str) -> None:
        """Words prompts as `Config.dialect` says; ValueError if that needs a template there is not.

        "auto" is what the model was made for, as chosen when it was loaded.
        """
        if dialect == "auto":
            return
        if dialect == "chat" and not self.tokenizer.chat_template:
            raise ValueError(
                f"dialect is chat but the tokenizer of {self.name} has no chat template: use "
                "--dialect plain, or a model that was tuned for chat (its name often says Instruct)"
            )
        self.dialect = Dialect.NANO if dialect == "nano" else Dialect.CHAT
        self.in_template = dialect == "chat"

    def encode(self, prompt: str) -> list[int]:
        """The prompt's token ids; in the chat dialect inside the model's template, or as plain text
        for a base model.
        """
        if self.in_template:  # it holds the special tokens
            return self.tokenizer.encode(
                in_template(self.tokenizer, prompt), add_special_tokens=False
            )
        if self.dialect is Dialect.CHAT:
            prompt = in_plain_text(prompt)
        return self.tokenizer.encode(prompt)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a completion, tags included, without end-of-sequence and padding."""
        unwritten = {*self.stop_ids, self.pad_id}
        written = [i for i in ids if i not in unwritten]
        return self.tokenizer.decode(
            written, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )

    def logprobs(
        self,
        prompt_ids: Sequence[Sequence[int]],
        completion_ids: Sequence[Sequence[int]],
        entropy_gradient: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities and entropies of every completion token at temperature 1, and the mask.

        Returns three (B, C), right-padded with 0: float32, float32, bool. The mask is built from
        lengths, never from `ids != pad`: pad may equal EOS, and EOS must be learned. Entropies
        without a gradient save memory.
        """
        prompts, completions = [*map(list, prompt_ids)], [*map(list, completion_ids)]
        batch = pack(prompts, completions, self.pair_cost, self.dtype, self.device, self.segmented)
        targets = torch.tensor(
            [i for row in completions for i in row], dtype=torch.long, device=self.device
        )
        log_p, entropies = self._scores(batch, targets, entropy_gradient)

        lengths = torch.tensor([*map(len, completions)], device=self.device)
        mask = torch.arange(int(lengths.max()), device=self.device) < lengths[:, None]  # (B, C)
        empty = log_p.new_zeros(mask.shape)
        return (
            empty.masked_scatter(mask, log_p),
            empty.masked_scatter(mask, entropies.index_select(0, batch.predicted_by)),
            mask,
        )

    def _scores(
        self, batch: PackedBatch, targets: Tensor, entropy_gradient: bool
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the targets (T,) and entropies of the positions kept (K,)."""
        base, packed = self.base, (batch.ids, batch.positions)
        config = base.config.get_text_config()
        many = needs_chunks(len(batch.keep), config.vocab_size)
        with self.autocast():
            if many and config.model_type in ARCHITECTURES:
                hidden = packed_hidden(base, *packed, batch.packing).index_select(0, batch.keep)
                head = base.get_output_embeddings()
                return chunked_scores(hidden, head, batch.predicted_by, targets, entropy_gradient)
            logits = packed_logits(self.model, *packed, batch.keep, batch.packing)
        return scores(logits, batch.predicted_by, targets, entropy_gradient)

    def micro_batches(
        self,
        prompt_ids: Sequence[Sequence[int]],
        completion_ids: Sequence[Sequence[int]],
        max_tokens: int,
    ) -> list[list[int]]:
        """All rows in batches of at most `max_tokens` for `logprobs`, rows that share a prompt
        together; a row that is longer is a batch of its own.
        """
        return in_micro_batches(
            prompt_ids, completion_ids, self.pair_cost, max_tokens, self.segmented
        )

    def save(self, folder: Path | str) -> None:
        """Writes the model (or only its adapter) and the tokenizer in Hugging Face format."""
        if self.has_adapter:
            save_adapter(self.model, folder, self.training)
        else:
            self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def load_policy(
    name: str | Path = "nano",
    quantize: str | None = None,
    lora_rank: int | None = None,
    dtype: str = "auto",
    device: str | None = None,
) -> Policy:
    """The policy of that name: "nano", a folder (a model, or an adapter that `save` wrote), or a
    Hugging Face name. ValueError, saying what to do, if there is no such model.

    `quantize="nf4"` keeps the base in 4 bits; `lora_rank` trains an adapter instead of all weights.
    """
    if quantize not in (None, "nf4"):
        raise ValueError(f"no quantize {quantize!r}: use 'nf4' or None")
    device, name = choose_device(device), str(name)
    compute = choose_dtype(dtype, device)
    source = find_model(name)
    rank = rank_of(source)
    has_adapter = rank is not None
    if has_adapter and lora_rank not in (None, rank):
        raise ValueError(
            f"the adapter in {name} has rank {rank} and not {lora_rank}: give lora_rank {rank}"
        )
    if quantize and not (lora_rank or has_adapter):
        raise ValueError("4-bit weights cannot be trained: give lora_rank, such as 16, as well")
    # all weights train in float32; a frozen base may be as small as its arithmetic
    frozen = (lora_rank or has_adapter) and device != "cpu"
    weights = compute if frozen else torch.float32
    if has_adapter:
        base = base_of(source)
        try:
            model, tokenizer = load_model(base, quantize, weights, compute, device)
        except ValueError as error:
            raise ValueError(
                f"the adapter in {name} expects its base at {base}: put it back there (a link will "
                f"do); {error}"
            ) from error
        model = load_adapter(model, source, base)
    else:
        model, tokenizer = load_model(name, quantize, weights, compute, device)
        if lora_rank:
            model = _with_adapter(model, lora_rank)
    return Policy(model, tokenizer, name, compute)


def _with_adapter(model, rank: int):
    try:
        return add_adapter(model, rank)
    except ValueError as error:  # peft's
        raise ValueError(
            f"a model of the kind {model.config.model_type} takes no adapter of rank {rank}: use "
            "one of the kinds llama, qwen2, qwen3 and a rank of 1 or more"
        ) from error


def merged(policy: Policy) -> Policy:
    """A policy of its own whose weights hold the adapter; ValueError for a base in 4 bits, which
    merging would round a second time.
    """
    if not policy.has_adapter:
        raise ValueError(f"{policy.name} has no adapter to merge: save the policy as it is")
    if getattr(policy.base, "is_loaded_in_4bit", False):
        raise ValueError(
            f"the base of {policy.name} is in 4 bits, and merging would round it again: load the "
            "adapter's folder without quantize and merge that"
        )
    model = copy.deepcopy(policy.model).merge_and_unload()
    return Policy(model.requires_grad_(True), policy.tokenizer, policy.name, policy.dtype)
