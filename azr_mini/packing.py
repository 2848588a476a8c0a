"""Run a stock transformers causal language model on packed tokens.

All tokens of a batch travel as one row (1, N): the linear layers see no padding, and a prompt that
several completions share is computed once. Only attention unpacks them, into a grid of E entries (a
prompt with some of its completions) by L columns, under a mask in which completions do not see each
other; a newer GPU needs no grid (`segments`). It plugs into transformers' attention interface: the
model's own code stays the only forward.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from azr_mini.segments import Segments, attend_segments

ATTENTION = "azr_packed"
MASKED = -1e4  # finite: a query that may see nothing must not become NaN
SHARED, EMPTY = 0, -1  # owners of a column: the prompt's, nobody's; completion j has j + 1


@dataclass(frozen=True)
class Packing:
    """Where the tokens of a packed row sit in the grid, and what each may see."""

    places: Tensor  # (N,) entry * L + column
    mask: Tensor  # (E, 1, L, T), added to the attention scores: 0 or MASKED
    # entries up to `last`, from the previous `last` on, need only their first `width` keys
    chunks: tuple[tuple[int, int], ...] = ()  # (last, width)
    # a token may see all those before it in its entry: no attempts share one
    causal: bool = field(default=False, kw_only=True)
    segments: Segments | None = field(default=None, kw_only=True)  # then there is no grid

    @classmethod
    def without_grid(cls, parts: Segments, dtype: torch.dtype) -> "Packing":
        """Packed tokens whose sequences a kernel finds by itself."""
        device = parts.query_ends.device
        none = torch.zeros(1, 1, 1, 1, dtype=dtype, device=device)
        return cls(none.new_zeros(0, dtype=torch.long), none, segments=parts)

    def spread(self, packed: Tensor) -> Tensor:
        """Packed tokens (N, H, D) on the grid: (E, H, L, D), zeros where no token sits."""
        _, heads, width = packed.shape
        entries, _, columns, _ = self.mask.shape
        tokens = packed.to(self.mask.dtype)
        if len(tokens) < entries * columns:
            grid = tokens.new_zeros(entries * columns, heads, width)
            tokens = grid.index_copy_(0, self.places, tokens)
        return tokens.reshape(entries, columns, heads, width).transpose(1, 2)

    def collect(self, grid: Tensor) -> Tensor:
        """The grid (E, H, L, D) as packed tokens again: (N, H, D)."""
        tokens = grid.transpose(1, 2).flatten(0, 1)  # (E * L, H, D)
        if len(tokens) > len(self.places):
            tokens = tokens.index_select(0, self.places)
        return tokens

    def keys_values(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """What the queries of the grid attend to in this layer: two (E, H, T, D)."""
        return self.spread(key), self.spread(value)


def visible(owners: Tensor, query_owners: Tensor) -> Tensor:
    """Whether a query of each owner may see each column, order aside: the prompt and its own.

    owners: (E, T); query_owners: (E, L); returns (E, L, T) booleans.
    """
    seen = owners[:, None] == query_owners[:, :, None]
    return seen.logical_or_(owners[:, None] == SHARED)  # in place: at 8,000 columns 64 MB


def as_mask(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """(E, L, T) booleans as the (E, 1, L, T) that is added to attention scores."""
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return mask.masked_fill_(~seen, MASKED)[:, None]


def packed_attention(
    module, query, key, value, attention_mask, scaling=None, dropout=0.0, packing=None, **kwargs
):
    """Attention of packed tokens; without a packing exactly transformers' own `sdpa`.

    query: (1, Hq, N, D); key, value: (1, H, N, D); returns (1, N, Hq, D) and no weights.
    """
    if packing is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **kwargs
        )
    for extra in ("softcap", "s_aux", "position_bias"):
        if kwargs.get(extra) is not None:
            raise ValueError(
                f"this architecture's attention has {extra}, which is not supported: use a model "
                "of the kinds llama, qwen2, qwen3"
            )
    query, key, value = (x.squeeze(0).transpose(0, 1) for x in (query, key, value))  # (N, heads, D)
    return attend(module.layer_idx, query, key, value, packing, scaling)[None], None


def attend(layer: int, query: Tensor, key: Tensor, value: Tensor, packing: Packing, scaling=None):
    """Attention of packed tokens in a layer. query: (N, Hq, D); key, value: (N, H, D); returns
    (N, Hq, D).
    """
    if packing.segments is not None:
        parts = (x.to(packing.mask.dtype) for x in (query, key, value))
        return attend_segments(*parts, packing.segments, scaling)
    keys, values = packing.keys_values(layer, key, value)  # (E, H, T, D)
    queries, mask = packing.spread(query), packing.mask  # (E, Hq, L, D), (E, 1, L, T)
    shape, shared = queries.shape, queries.shape[1] // keys.shape[1]
    if shared > 1 and copies_keys(queries, packing):
        keys, values = (x.repeat_interleave(shared, dim=1) for x in (keys, values))
    elif shared > 1:  # heads that share keys become more columns, so that no key is copied
        queries = queries.reshape(shape[0], keys.shape[1], shared * shape[2], shape[3])
        mask = mask.repeat(1, 1, shared, 1)
    if packing.causal and copies_keys(queries, packing):  # a kernel that computes half of it
        out = scaled_dot_product_attention(queries, keys, values, is_causal=True, scale=scaling)
        return packing.collect(out)
    if not packing.chunks:
        out = dense_attention(queries, keys, values, mask, scaling)
        return packing.collect(out.reshape(*shape[:3], values.shape[3]))
    parts, first = [], 0
    for last, width in packing.chunks:
        part = slice(first, last)
        parts.append(
            scaled_dot_product_attention(
                queries[part],
                keys[part, :, :width],
                values[part, :, :width],
                attn_mask=mask[part, ..., :width],
                scale=scaling,
            )
        )
        first = last
    out = parts[0] if len(parts) == 1 else torch.cat(parts)
    return packing.collect(out.reshape(*shape[:3], values.shape[3]))


def copies_keys(queries: Tensor, packing: Packing) -> bool:
    """Whether heads that share keys get copies of them, instead of rows of the mask.

    On a GPU over whole grids, where a mask is larger than keys; not in the steps of generation,
    whose few columns attend to many keys.
    """
    return queries.device.type == "cuda" and not packing.chunks


def dense_attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scaling) -> Tensor:
    """Attention over whole grids: queries (E, H, L, D), keys and values (E, H, T, D), mask
    (E, 1, L, T); returns (E, H, L, D).
    """
    if queries.device.type == "cpu" and queries.dtype is torch.bfloat16:
        # forward and backward, two plain products are faster than the fused kernel here
        scaling = queries.shape[-1] ** -0.5 if scaling is None else scaling
        scores = torch.matmul(queries * scaling, keys.transpose(2, 3)) + mask
        return torch.matmul(torch.softmax(scores, dim=-1), values)
    return scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=scaling)


def install(model) -> None:
    """Gives `model` the attention above; calls without a packing behave as before."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if not getattr(model, "_supports_attention_backend", False):
        raise ValueError(
            f"{type(model).__name__} does not use transformers' attention interface: "
            "use a Llama, Qwen2 or Qwen3 kind of model"
        )
    ALL_ATTENTION_FUNCTIONS.register(ATTENTION, packed_attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, sdpa_mask)
    model.set_attn_implementation(ATTENTION)


def packed_logits(
    model, ids: Tensor, positions: Tensor, keep: Tensor | int, packing: Packing
) -> Tensor:
    """Next-token logits after the packed tokens with indices `keep`: (K, V); 0 keeps all.

    ids, positions: (N,).
    """
    return model(logits_to_keep=keep, **_inputs(ids, positions, packing)).logits[0]


def packed_hidden(model, ids: Tensor, positions: Tensor, packing: Packing) -> Tensor:
    """What the model's head reads of the packed tokens: (N, H). ids, positions: (N,)."""
    body = model.get_decoder()
    return body(**_inputs(ids, positions, packing)).last_hidden_state[0]


def _inputs(ids: Tensor, positions: Tensor, packing: Packing) -> dict:
    return {
        "input_ids": ids[None],
        "position_ids": positions[None],
        "attention_mask": packing.mask,  # four dimensions: transformers hands it on untouched
        "use_cache": False,
        "packing": packing,
    }
