"""Batched generation in torch: finished rows leave and waiting prompts enter.

Random numbers are counted, not drawn from a running stream: who else is in the batch, and when a
row entered it, changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from azr_mini.policy import Policy
from azr_mini.replay import recorder_for
from azr_mini.running import RunningBatch

PREFILL_TOKENS = 16_384  # prompt tokens that enter at once; bounds the memory of a forward pass


@dataclass(frozen=True)
class Completion:
    """One sampled completion; `logprobs` are the policy's own: temperature 1, no top_p."""

    ids: tuple[int, ...]  # includes the end-of-sequence token unless truncated
    logprobs: tuple[float, ...]
    truncated: bool


class Sampler:
    """Writes completions with `policy`, at most `max_batch` at a time."""

    differs = False  # it computes with the learner's own weights

    def __init__(self, policy: Policy, max_batch: int = 512) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch is {max_batch}: give 1 or more")
        self.policy, self.max_batch = policy, max_batch
        self.recorder = recorder_for(policy.device)  # None: every step is run, none replayed

    def refresh(self) -> None:
        """To be called after every update; this sampler reads the policy's weights directly."""

    @torch.inference_mode()
    def generate(
        self,
        prompt_ids: Sequence[Sequence[int]],
        *,
        seeds: Sequence[int],
        num_completions: int = 1,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> list[list[Completion]]:
        """`num_completions` for each prompt, in order; temperature 0 takes the likeliest token.

        The numbers that decide row r of prompt i come from (seeds[i], r, position) alone, so that
        batching and order change a completion only through rounding. A prompt and its completion
        together never exceed the model's positions.
        """
        assert len(seeds) == len(prompt_ids), (len(seeds), len(prompt_ids))
        positions = self.policy.max_positions
        check_request(prompt_ids, positions, num_completions, max_new_tokens, temperature, top_p)
        rows = [(i, r) for i in range(len(prompt_ids)) for r in range(num_completions)]
        written = _Written(len(rows), max_new_tokens, self.policy)
        keys = stream_keys([seeds[i] for i, _ in rows], [r for _, r in rows]).to(self.policy.device)
        # sorted, so that neighbours in the batch are alike; the last enters first. A prompt with
        # more attempts than rows fit enters several times
        waiting = [
            range(first, min(first + self.max_batch, i * num_completions + num_completions))
            for i in sorted(range(len(prompt_ids)), key=lambda i: -len(prompt_ids[i]))
            for first in range(i * num_completions, (i + 1) * num_completions, self.max_batch)
        ]
        limits = torch.tensor(
            [min(max_new_tokens, positions - len(p)) for p in prompt_ids],
            device=self.policy.device,
        )
        batch = RunningBatch(self.policy, self.recorder)
        while waiting or len(batch.rows):
            entering = self._entering(waiting, len(batch.rows), prompt_ids, num_completions)
            if entering:
                prompts = [prompt_ids[ids[0] // num_completions] for ids in entering]
                logits = batch.admit(prompts, entering)
                new = batch.rows[len(batch.rows) - len(logits) :]
            else:
                logits, new = batch.decode(), batch.rows
            position = written.lengths[new]
            tokens, logprobs = draw(logits, keys[new], position, temperature, top_p)
            ended = written.add(new, tokens, logprobs)
            batch.take(tokens, ended | (position + 1 >= limits[new // num_completions]))
        done = iter(written.completions())
        return [[next(done) for _ in range(num_completions)] for _ in prompt_ids]

    def _entering(self, waiting, running, prompt_ids, num_completions) -> list[range]:
        """The rows of the waiting prompts that enter now, several at once: it costs a pass."""
        entering, tokens, free = [], 0, self.max_batch - running
        if running and free < max(1, self.max_batch // 8):
            return []
        while waiting and len(waiting[-1]) <= free and tokens < PREFILL_TOKENS:
            entering.append(waiting.pop())
            free -= len(entering[-1])
            tokens += len(prompt_ids[entering[-1][0] // num_completions])
        return entering


def check_request(
    prompt_ids, positions: int, num_completions, max_new_tokens, temperature, top_p
) -> None:
    """ValueError, naming the value, if `generate` cannot do what it is asked for."""
    longest = max(map(len, prompt_ids), default=1)
    if longest >= positions:
        raise ValueError(
            f"a prompt has {longest} tokens but the model only {positions} "
            "positions: show fewer references or lower max_prompt_tokens"
        )
    if not all(map(len, prompt_ids)):
        raise ValueError("a prompt has no tokens: give at least one")
    for name, value, good in (
        ("num_completions", num_completions, num_completions >= 1),
        ("max_new_tokens", max_new_tokens, max_new_tokens >= 1),
        ("temperature", temperature, 0 <= temperature < float("inf")),
        ("top_p", top_p, 0 < top_p <= 1),
    ):
        if not good:
            raise ValueError(f"{name} is {value}: it is out of range")


class _Written:
    """What every row has written so far."""

    def __init__(self, rows: int, max_new_tokens: int, policy: Policy) -> None:
        self.ids = torch.zeros(rows, max_new_tokens, dtype=torch.long, device=policy.device)
        self.logprobs = torch.zeros(rows, max_new_tokens, device=policy.device)
        self.lengths = torch.zeros(rows, dtype=torch.long, device=policy.device)
        self.ended = torch.zeros(rows, dtype=torch.bool, device=policy.device)
        self.stop_ids = torch.tensor(policy.stop_ids, device=policy.device)

    def add(self, rows: Tensor, tokens: Tensor, logprobs: Tensor) -> Tensor:
        """Appends a token to each of `rows` (R,); returns which of them end with it."""
        self.ids[rows, self.lengths[rows]] = tokens
        self.logprobs[rows, self.lengths[rows]] = logprobs
        self.lengths[rows] += 1
        self.ended[rows] = ended = torch.isin(tokens, self.stop_ids)
        return ended

    def completions(self) -> list[Completion]:
        columns = (self.ids, self.logprobs, self.lengths, self.ended)
        return [
            Completion(tuple(ids[:length]), tuple(logprobs[:length]), not ended)
            for ids, logprobs, length, ended in zip(*(c.tolist() for c in columns), strict=True)
        ]


# ---- choosing a token ---------------------------------------------------------------------------


def draw(
    logits: Tensor, keys: Tensor, positions: Tensor, temperature: float, top_p: float
) -> tuple[Tensor, Tensor]:
    """A token for each row and its log-probability under the policy, both (R,).

    logits: (R, V); keys, positions: (R,). Temperature 0 takes the likeliest token.
    """
    logits = logits.float()
    log_p = torch.log_softmax(logits, dim=-1)
    if temperature == 0:
        tokens = log_p.argmax(dim=-1)
    else:
        p = log_p.exp() if temperature == 1 else torch.softmax(logits / temperature, dim=-1)
        if top_p < 1:
            p = nucleus(p, top_p)
        cumulative = p.cumsum(dim=-1)
        threshold = uniform(keys, positions) * cumulative[:, -1]
        # the first token whose cumulative probability exceeds it, so never one of probability 0
        tokens = torch.searchsorted(cumulative, threshold[:, None], right=True)[:, 0]
        tokens = tokens.clamp(max=p.shape[1] - 1)  # NaN has no such token; the learner refuses it
    return tokens, log_p.gather(1, tokens[:, None])[:, 0]


def nucleus(p: Tensor, top_p: float) -> Tensor:
    """`p` (R, V) without all but the likeliest tokens whose sum reaches `top_p`; not normalised."""
    likeliest, order = p.sort(dim=-1, descending=True, stable=True)
    before = likeliest.cumsum(dim=-1) - likeliest
    return torch.zeros_like(p).scatter(1, order, likeliest.masked_fill(before >= top_p, 0.0))


def stream_keys(seeds: Sequence[int], rows: Sequence[int]) -> Tensor:
    """The key of each row's random numbers, from its prompt's seed and its own number. (R,)"""
    signed = [(seed + 2**63) % 2**64 - 2**63 for seed in seeds]
    numbers = torch.tensor(rows, dtype=torch.long) + 1
    return _mix(_mix(torch.tensor(signed, dtype=torch.long)) + numbers * _GOLDEN)


def uniform(keys: Tensor, positions: Tensor) -> Tensor:
    """The number at `positions` (R,) of the streams `keys` (R,): float32 in [0, 1).

    23 bits, so that its product with any float32 is smaller than that.
    """
    bits = _mix(keys + (positions + 1) * _GOLDEN)
    return _shift(bits, 41).float() * 2.0**-23


# splitmix64: a counter-based generator, the same on every device
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * (0xBF58476D1CE4E5B9 - 2**64)
    x = (x ^ _shift(x, 27)) * (0x94D049BB133111EB - 2**64)
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)  # int64 shifts keep the sign
