"""The learner's micro-batches, which are split again where memory does not suffice for one.

What earlier micro-batches added to the gradient stays, so that only the failed pass is lost.
`state` is a `train.TrainState` and `config` a `train.Config`. B rollouts, C completion tokens.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from azr_mini.memory import gpu_memory_ran_out
from azr_mini.tasks import Rollout
from azr_mini.trr import loss_weights

KL_ROLLOUTS = 64  # the KL to the base is logged on at most so many rollouts a step


@dataclass(frozen=True)
class MicroBatch:
    """Some rollouts of a batch, and what their rows (B,) count in its loss."""

    rollouts: list[Rollout]
    weights: Tensor  # (B,)
    watched: list[int]  # rows whose KL to the base is computed
    ref_logprobs: Tensor | None = None  # (B, C), the base's, 0 in rows that are not watched
    old_logprobs: Tensor | None = None  # (B, C), from the first pass

    @property
    def prompt_ids(self) -> list[Sequence[int]]:
        """The prompt of each row."""
        return [rollout.prompt_ids for rollout in self.rollouts]

    @property
    def completion_ids(self) -> list[Sequence[int]]:
        """The completion of each row."""
        return [rollout.completion_ids for rollout in self.rollouts]

    def part(self, rows: Sequence[int]) -> "MicroBatch":
        """The micro-batch of these rows."""
        columns = max(len(self.completion_ids[row]) for row in rows)
        place = {row: number for number, row in enumerate(rows)}

        def of(logprobs: Tensor | None) -> Tensor | None:
            return None if logprobs is None else logprobs[list(rows), :columns]

        return MicroBatch(
            [self.rollouts[row] for row in rows],
            self.weights[list(rows)],
            [place[row] for row in self.watched if row in place],
            of(self.ref_logprobs),
            of(self.old_logprobs),
        )


def micro_batch_tokens(state, config) -> int:
    """The tokens of one forward pass: as configured, or fewer since memory ran out."""
    return state.micro_batch_tokens or config.micro_batch_tokens


def split(policy, rollouts: list[Rollout], config, max_tokens: int) -> list[MicroBatch]:
    """The rollouts in micro-batches, with the weights that their rows have in the whole batch."""
    weights = loss_weights(
        torch.tensor([len(rollout.completion_ids) for rollout in rollouts]),
        [rollout.group for rollout in rollouts],
        group_weight=config.group_weight,
        loss_norm=config.loss_norm,
        norm_tokens=config.max_new_tokens,
    )
    watched = watched_rows(len(rollouts), config)
    return [
        MicroBatch(
            [rollouts[row] for row in rows],
            weights[rows],
            [place for place, row in enumerate(rows) if row in watched],
        )
        for rows in policy.micro_batches(
            [rollout.prompt_ids for rollout in rollouts],
            [rollout.completion_ids for rollout in rollouts],
            max_tokens,
        )
    ]


def watched_rows(num_rollouts: int, config) -> set[int]:
    """The rollouts whose KL to the base is computed: all if it costs, else an even sample."""
    if config.kl_coef:
        return set(range(num_rollouts))
    return {i * num_rollouts // KL_ROLLOUTS for i in range(KL_ROLLOUTS)}


def fitting(
    run: Callable, compute: Callable, batches: Iterable[MicroBatch], state, config
) -> Iterator[tuple[MicroBatch, object]]:
    """Yields every micro-batch with compute(batch), by `run`, which is like `map`, in order.

    When memory runs out the batch at which it did, and those after it, are split to half the tokens
    or fewer, from now on. ValueError, saying what to do, if it does for one rollout alone.
    """
    waiting = list(batches)
    results = iter(run(compute, tuple(waiting)))
    while waiting:
        found = []
        try:
            found.append(next(results))
        except RuntimeError as error:
            if not gpu_memory_ran_out(error):
                raise
            # what to do comes after: the error holds what the failed pass had computed
        if found:
            yield waiting.pop(0), found.pop()  # kept by nobody here: it may be large
            continue
        del results
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        waiting = _smaller(waiting, state, config)
        results = iter(run(compute, tuple(waiting)))


def _smaller(waiting: list[MicroBatch], state, config) -> list[MicroBatch]:
    """The micro-batches in smaller ones, of which the first becomes at least two."""
    first = waiting[0]
    if len(first.rollouts) == 1:
        (prompt,), (completion,) = first.prompt_ids, first.completion_ids
        raise ValueError(
            f"memory does not suffice to learn from one completion of {len(completion)} tokens "
            f"after a prompt of {len(prompt)}: lower --max-new-tokens or --max-prompt-tokens, use "
            "--gradient-checkpointing or --quantize nf4 with --lora-rank 16, or a smaller model"
        )
    tokens, pieces = micro_batch_tokens(state, config), [first]
    while len(pieces) == 1:
        tokens //= 2
        pieces = _split_again(first, state.policy, tokens)
    state.micro_batch_tokens = tokens
    return pieces + [p for b in waiting[1:] for p in _split_again(b, state.policy, tokens)]


def _split_again(batch: MicroBatch, policy, max_tokens: int) -> list[MicroBatch]:
    rows = policy.micro_batches(batch.prompt_ids, batch.completion_ids, max_tokens)
    return [batch] if len(rows) == 1 else [batch.part(part) for part in rows]
