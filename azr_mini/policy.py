"""The policy: a Hugging Face causal language model with its tokenizer.

Prompts and completions are token ids throughout; text is only ever encoded and decoded whole. The
model stays in evaluation mode (no dropout), so that what sampled a token also scores it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from azr_mini.models import choose_dtype, find_model, load_model
from azr_mini.packing import install, pack, packed_logits, share_prompts
from azr_mini.prompts import NANO_TAGS, Dialect


class Policy:
    """A model and its tokenizer; `dtype` is the arithmetic of its forward pass, by autocast."""

    def __init__(
        self, model, tokenizer, name: str = "", dtype: torch.dtype = torch.float32
    ) -> None:
        self.model, self.tokenizer, self.name, self.dtype = model.eval(), tokenizer, name, dtype
        base = model.get_base_model() if hasattr(model, "peft_config") else model
        install(base)
        config = base.config.get_text_config()
        self.max_positions = min(
            config.max_position_embeddings, getattr(config, "sliding_window", None) or 10**9
        )
        # In attention a pair of tokens costs 4 H operations a layer, in the linear layers a token
        # about 24 H^2; attention runs at half the speed.
        self.pair_cost = 1 / (3 * config.hidden_size)
        vocabulary = tokenizer.get_vocab()
        is_nano = all(tag in vocabulary for tag in NANO_TAGS)
        self.dialect = Dialect.NANO if is_nano else Dialect.CHAT
        self.stop_ids = _stop_ids(base, tokenizer)
        self.eos_id = tokenizer.eos_token_id
        self.pad_id = self.eos_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id

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

    def encode(self, prompt: str) -> list[int]:
        """The prompt's token ids, inside the model's chat template if it has one."""
        if self.dialect is Dialect.CHAT and self.tokenizer.chat_template:
            message = [{"role": "user", "content": prompt}]
            prompt = self.tokenizer.apply_chat_template(
                message, add_generation_prompt=True, tokenize=False
            )
            return self.tokenizer.encode(prompt, add_special_tokens=False)
        return self.tokenizer.encode(prompt)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a completion, tags included, without end-of-sequence and padding."""
        unwritten = {*self.stop_ids, self.pad_id}
        written = [i for i in ids if i not in unwritten]
        return self.tokenizer.decode(
            written, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )

    def logprobs(
        self, prompt_ids: Sequence[Sequence[int]], completion_ids: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities and entropies of every completion token at temperature 1, and the mask.

        Returns three (B, C), right-padded with 0: float32, float32, bool. The mask is built from
        lengths, never from `ids != pad`: pad may equal EOS, and EOS must be learned.
        """
        prompts, completions = [*map(list, prompt_ids)], [*map(list, completion_ids)]
        batch = pack(prompts, completions, self.pair_cost, self.dtype, self.device)
        with self.autocast():
            logits = packed_logits(
                self.model, batch.ids, batch.positions, batch.keep, batch.packing
            )
        log_p = torch.log_softmax(logits.float(), dim=-1)  # (K, V)
        entropies = -(log_p.exp() * log_p).sum(dim=-1)  # (K,)
        targets = torch.tensor(
            [i for row in completions for i in row], dtype=torch.long, device=self.device
        )
        log_p = log_p.index_select(0, batch.predicted_by).gather(1, targets[:, None])[:, 0]

        lengths = torch.tensor([*map(len, completions)], device=self.device)
        mask = torch.arange(int(lengths.max()), device=self.device) < lengths[:, None]  # (B, C)
        empty = log_p.new_zeros(mask.shape)
        return (
            empty.masked_scatter(mask, log_p),
            empty.masked_scatter(mask, entropies.index_select(0, batch.predicted_by)),
            mask,
        )

    def micro_batches(
        self,
        prompt_ids: Sequence[Sequence[int]],
        completion_ids: Sequence[Sequence[int]],
        max_tokens: int,
    ) -> list[list[int]]:
        """All rows in batches of at most `max_tokens` for `logprobs`, rows that share a prompt
        together; a row that is longer is a batch of its own.
        """
        entries = share_prompts(prompt_ids, completion_ids, self.pair_cost, max_tokens)
        sizes = [
            len(prompt_ids[rows[0]]) + sum(max(0, len(completion_ids[row]) - 1) for row in rows)
            for rows in entries
        ]
        batches: list[list[int]] = []
        count = longest = 0
        for index in sorted(range(len(entries)), key=lambda index: -sizes[index]):
            if batches and (count + 1) * longest <= max_tokens:
                batches[-1] += entries[index]
                count += 1
            else:  # longest first, so the first entry of a batch sets its width
                batches.append(list(entries[index]))
                count, longest = 1, sizes[index]
        return batches

    def save(self, folder: Path | str) -> None:
        """Writes the model (or only its adapter) and the tokenizer in Hugging Face format."""
        # else peft asks the hub, at every checkpoint, whether the base's embeddings were resized
        quietly = {"save_embedding_layers": False} if hasattr(self.model, "peft_config") else {}
        self.model.save_pretrained(folder, **quietly)
        self.tokenizer.save_pretrained(folder)


def load_policy(
    name: str = "nano",
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
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    compute = choose_dtype(dtype, device)
    source = find_model(name)
    adapter = Path(source, "adapter_config.json")
    has_adapter = adapter.is_file()
    if quantize and not (lora_rank or has_adapter):
        raise ValueError("4-bit weights cannot be trained: give lora_rank, such as 16, as well")
    if has_adapter:
        base = json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"]
    else:
        base = name
    # all weights train in float32; a frozen base may be as small as its arithmetic
    frozen = (lora_rank or has_adapter) and device != "cpu"
    weights = compute if frozen else torch.float32
    model, tokenizer = load_model(base, quantize, weights, compute, device)
    if has_adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, source, is_trainable=True)
    elif lora_rank:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(
            model,
            LoraConfig(
                r=lora_rank,
                lora_alpha=2 * lora_rank,
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            ),
        )
    return Policy(model, tokenizer, name, compute)


def _stop_ids(model, tokenizer) -> tuple[int, ...]:
    """Every token that ends a completion; chat models often have several."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    configured = configured if isinstance(configured, list) else [configured]
    stop_ids = {i for i in (*configured, tokenizer.eos_token_id) if i is not None}
    if tokenizer.eos_token_id is None:
        raise ValueError("the tokenizer has no end-of-sequence token: completions could not end")
    return tuple(sorted(stop_ids))
