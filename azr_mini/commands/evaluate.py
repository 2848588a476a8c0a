"""The command `evaluate`: scores of a model or a run on held-out tasks and on benchmarks."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from rich import progress

from azr_mini import options as opt
from azr_mini.commands.benchmarks import load_data, run_benchmarks
from azr_mini.commands.console import CONSOLE, PROGRAM, parse, say

KINDS = ("sampled", "greedy")


def evaluate(arguments: list[str]) -> int:
    """Scores a model or a run on held-out tasks, on benchmarks, or on both."""
    options = parse(opt.EvaluateOptions, "evaluate", arguments)
    earlier, against = _earlier(options)
    if options.json and options.json.exists():
        raise ValueError(f"result file {options.json} exists: name another one with --json")
    datasets, missing = load_data(options)
    if not (datasets or options.nano_sets):
        return 1
    say(f"loading {options.model}")
    from azr_mini.cores import share_cores
    from azr_mini.models import quiet_transformers

    quiet_transformers()
    policy = _load(options)
    share_cores(policy, options.threads)
    if options.nano_sets:
        _evaluate_nano_sets(options, policy, arguments, earlier)
    if datasets:
        return run_benchmarks(options, policy, datasets, missing, against)
    return 1 if missing else 0


def _evaluate_nano_sets(
    options: opt.EvaluateOptions, policy, arguments: list[str], earlier: dict
) -> None:
    from azr_mini.environment import environment
    from azr_mini.evaluate.heldout import TITLES
    from azr_mini.report import gains_table, scores_table
    from azr_mini.sandbox import Executor

    with Executor(unsafe=options.unsafe) as executor:
        began = time.perf_counter()
        settings = {"forced": options.forced, "seed": options.seed}
        settings["max_new_tokens"] = options.max_new_tokens or 256
        how = (options.limit, options.samples or 4, options.temperature)
        found = {
            name: both_ways(policy, executor, *how, name=name, **settings)
            for name in options.nano_sets
        }
    results = {}
    for name, both in found.items():
        # the held-out set stands without a name: files of before there was another are like that
        record = results if name == "heldout" else results.setdefault(name, {})
        for kind, scores in zip(KINDS, both, strict=True):
            how = f"temperature {options.temperature:g}" if kind == "sampled" else kind
            say(scores_table(f"{options.model}, {TITLES[name]}, {how}", scores))
            record[kind] = scores.to_json()
            if name in earlier:
                title = f"{TITLES[name]}, against {options.against}, {how}"
                say(gains_table(title, earlier[name][kind], record[kind]))
    if options.json:
        command = " ".join([PROGRAM, "evaluate", *arguments])
        seconds = round(time.perf_counter() - began, 1)
        record = {"command": command, "seconds": seconds, **environment(policy), **results}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record) + "\n", encoding="utf-8")
        say(str(options.json))


def _earlier(options: opt.EvaluateOptions) -> tuple[dict, object]:
    """What to compare with: results on sets of nano tasks, and a summary of benchmarks or None."""
    path = options.against
    if path is None:
        return {}, None
    if options.nano_sets and not (options.benchmark_names and path.is_dir()):
        return _earlier_results(path, options.nano_sets), None
    from azr_mini.evaluate.suite import read_summary

    return {}, read_summary(path)


def _earlier_results(path: Path, names: list[str]) -> dict[str, dict]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        sets = {name: record if name == "heldout" else record[name] for name in names}
        return {name: {kind: found[kind] for kind in KINDS} for name, found in sets.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = type(error).__name__
        raise ValueError(f"{path} is not a result of evaluate --json ({reason})") from error


def _load(options: opt.EvaluateOptions):
    from azr_mini.adapters import is_adapter
    from azr_mini.policy import load_policy
    from azr_mini.runs import Run, is_run

    needs_adapter = options.quantize or options.sampler == "vllm"
    name, dialect = options.model, "auto"
    rank = 1 if needs_adapter and not is_adapter(name) else None
    if is_run(name):
        run = Run.open(name)
        checkpoint, dialect = run.last_checkpoint, run.record["config"].get("dialect", "auto")
        if checkpoint is None:
            raise ValueError(f"run {name} has no checkpoint yet: train it for some steps first")
        if checkpoint.note:
            say(checkpoint.note)
        name = str(checkpoint.folder)
    policy = load_policy(name, options.quantize, rank, options.dtype, options.device)
    policy.speak(dialect)  # as in training
    return policy


def both_ways(
    policy, executor, limit: int | None, samples: int = 4, temperature: float = 1.0,
    name: str = "heldout", **settings
):  # fmt: skip
    """The scores on a set of nano tasks at the temperature, and the greedy ones."""
    from azr_mini.evaluate.heldout import TITLES, evaluate, first_of_each_type, load_heldout_tasks
    from azr_mini.progress import duration
    from azr_mini.sampler import Sampler

    tasks = first_of_each_type(load_heldout_tasks(name=name), limit)
    found = []
    for kind, count, heat in zip(KINDS, (samples, 1), (temperature, 0.0), strict=True):
        what = f"{TITLES[name]} accuracy, {kind}, {len(tasks)} tasks x {count}"
        say(what)
        began = time.perf_counter()
        scores = evaluate(
            policy, Sampler(policy), executor, tasks, samples=count, temperature=heat,
            track=_bar(what), **settings,
        )  # fmt: skip
        by_type = "  ".join(f"{t.value} {scores.accuracy(t).estimate:.1%}" for t in scores.attempts)
        say(f"  {by_type}  ({duration(time.perf_counter() - began)})")
        found.append(scores)
    return found


def _bar(what: str) -> Callable:
    if not CONSOLE.is_terminal:
        return iter
    return lambda batches: progress.track(batches, what, console=CONSOLE, transient=True)
