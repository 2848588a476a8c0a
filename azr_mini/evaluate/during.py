"""Accuracy during training, on tasks that are not trained on, as metrics of some of the steps."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from azr_mini.evaluate.heldout import SETS, evaluate, first_of_each_type, load_heldout_tasks
from azr_mini.evaluate.scores import Scores

# (policy, sampler) -> numbers by name. It has its own seeds, so that the same policy scores the
# same at any time and training goes on as if it had not been evaluated.
Evaluation = Callable[..., dict[str, float]]
AFTER, BEFORE = "eval", "eval_before"


def evaluation_of(config, executor) -> Evaluation:
    """The evaluation on every benchmark that a configuration names.

    ValueError that lists the known names if it names another.
    """
    names = config.evaluate_benchmarks.split(",")
    for name in names:
        if name not in SETS:
            known = ", ".join(SETS)
            raise ValueError(f"evaluate_benchmarks has {name!r}: use some of {known}")
    length = config.max_new_tokens
    return together(
        {name: nano_evaluation(name, executor, config.evaluate_limit, length) for name in names}
    )


def together(evaluations: dict[str, Evaluation]) -> Evaluation:
    """All of these as one, each with its name before its numbers."""

    def evaluate_all(policy, sampler) -> dict[str, float]:
        return {
            f"{name}/{key}": value
            for name, evaluation in evaluations.items()
            for key, value in evaluation(policy, sampler).items()
        }

    return evaluate_all


def nano_evaluation(name: str, executor, limit: int | None, max_new_tokens: int) -> Evaluation:
    """Greedy accuracy on the first tasks of each type of a set of nano tasks, as in the paper's
    curves (figure 6a): its mean over the types with the 95 % interval, and by type.
    """
    tasks = first_of_each_type(load_heldout_tasks(name=name), limit)

    def evaluate_nano(policy, sampler) -> dict[str, float]:
        settings = {"samples": 1, "temperature": 0.0, "max_new_tokens": max_new_tokens}
        return _numbers(evaluate(policy, sampler, executor, tasks, **settings))

    return evaluate_nano


def _numbers(scores: Scores) -> dict[str, float]:
    mean = scores.accuracy()
    by_type = {f"accuracy/{t.value}": scores.accuracy(t).estimate for t in scores.attempts}
    return {"accuracy": mean.estimate, "low": mean.low, "high": mean.high, **by_type}


def with_evaluations(
    steps: Iterable, state, sampler, evaluation: Evaluation, every: int
) -> Iterator:
    """Yields the steps of `train`, some with `eval/...` and `time/evaluate` among their metrics.

    Evaluated are the policy after every `every` steps and, as `eval_before/...` of step 0, the one
    before the first. state: the one that `train` trains, read here and never changed.
    """
    found = _timed(evaluation, state.policy, sampler, BEFORE) if state.step == 0 else {}
    for step in steps:
        if state.step % every == 0:
            found |= _timed(evaluation, state.policy, sampler, AFTER)
        yield replace(step, metrics=step.metrics | found)
        found = {}


def _timed(evaluation: Evaluation, policy, sampler, prefix: str) -> dict[str, float]:
    began = time.perf_counter()
    found = {f"{prefix}/{name}": value for name, value in evaluation(policy, sampler).items()}
    return {**found, "time/evaluate": time.perf_counter() - began}
