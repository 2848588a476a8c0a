"""Accuracy during training, on tasks that are not trained on, as metrics of some of the steps."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from azr_mini.evaluate.answering import Runners, Settings, answer
from azr_mini.evaluate.benchmarks import BENCHMARKS, GROUPS
from azr_mini.evaluate.dataset import Dataset, load
from azr_mini.evaluate.heldout import SETS, evaluate, first_of_each_type, load_heldout_tasks
from azr_mini.evaluate.intervals import share_interval
from azr_mini.evaluate.scores import Scores

# (policy, sampler) -> numbers by name. It has its own seeds, so that the same policy scores the
# same at any time and training goes on as if it had not been evaluated.
Evaluation = Callable[..., dict[str, float]]
AFTER, BEFORE = "eval", "eval_before"


def evaluation_of(config, executor, runners: Runners) -> Evaluation:
    """The evaluation on every benchmark that a configuration names, its data loaded now.

    ValueError that lists the known names if it names another, and one that says why if a benchmark
    has no data.
    """
    given = config.evaluate_benchmarks.split(",")
    for name in given:
        if name not in (*SETS, *GROUPS, *BENCHMARKS):
            known = ", ".join((*SETS, *GROUPS, *BENCHMARKS))
            raise ValueError(f"evaluate_benchmarks has {name!r}: use some of {known}")
    names = dict.fromkeys(member for name in given for member in GROUPS.get(name, [name]))
    limit, length = config.evaluate_limit, config.max_new_tokens
    return together(
        {
            name: nano_evaluation(name, executor, limit, length)
            if name in SETS
            else benchmark_evaluation(load(BENCHMARKS[name], limit), runners, config)
            for name in names
        }
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


def benchmark_evaluation(dataset: Dataset, runners: Runners, config) -> Evaluation:
    """Greedy accuracy on these rows of a benchmark with its 95 % interval, asked in style azr."""
    settings = Settings(config.model, max_new_tokens=config.max_new_tokens)

    def evaluate_benchmark(policy, sampler) -> dict[str, float]:
        found = answer(policy, sampler, runners, dataset.benchmark, dataset.rows, settings)
        score = share_interval(np.array([record["score"] for record in found]))
        return {"accuracy": score.estimate, "low": score.low, "high": score.high}

    return evaluate_benchmark


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
