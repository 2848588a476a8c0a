"""The part of the command `evaluate` that runs the paper's benchmarks."""

from pathlib import Path

from azr_mini import options as opt
from azr_mini.commands.console import say
from azr_mini.progress import Pace

LONGEST_PROMPT = 6144  # tokens, where vLLM must know it; that of the official evaluation


def load_data(options: opt.EvaluateOptions) -> tuple[list, dict[str, str]]:
    """The data of each benchmark, and for those that have none a sentence that says why.

    ValueError if a file that was named with --data is not one.
    """
    from azr_mini.evaluate.benchmarks import BENCHMARKS
    from azr_mini.evaluate.dataset import load

    files = {name: Path(file) for name, _, file in (d.partition("=") for d in options.data)}
    datasets, missing = [], {}
    for name in options.benchmark_names:
        try:
            datasets.append(load(BENCHMARKS[name], options.limit, files.get(name)))
        except ValueError as error:
            if name in files:
                raise
            missing[name] = str(error)
            say(f"left out: {error}")
    return datasets, missing


def run_benchmarks(
    options: opt.EvaluateOptions, policy, datasets: list, missing: dict[str, str], against
) -> int:
    """Scores the policy, shows and writes the tables; status 1 if a benchmark had no data."""
    from azr_mini.evaluate.answering import Runners
    from azr_mini.evaluate.styles import style_for
    from azr_mini.evaluate.suite import open_folder, write_summary
    from azr_mini.evaluate.tables import warnings
    from azr_mini.locking import lock
    from azr_mini.report import benchmarks_table

    sampler = _sampler(options, policy, datasets)
    settings, folder = _settings(options, policy, sampler), options.out or _default_folder(options)
    results = open_folder(folder, settings, datasets)
    claim = lock(folder, "--out")
    say(f"results: {folder}")
    try:
        with Runners(options.threads, options.unsafe) as runners:
            for dataset in datasets:
                if note := style_for(settings.style, dataset.benchmark)[1]:
                    say(note)
                result = _run_one(policy, sampler, runners, dataset, settings, folder)
                results[dataset.benchmark.name] = result
                evaluated = write_summary(folder, settings, policy, results, missing)
    except KeyboardInterrupt:
        say(f"stopped; what was finished is kept, and the same command with --out {folder} goes on")
        raise
    del claim
    say(benchmarks_table(f"{options.model}, {options.prompt}, percent", evaluated))
    for sentence in warnings(against, evaluated) if against else []:
        say(f"! {sentence}")
    _write_tables(folder, [against, evaluated] if against else [evaluated])
    if missing:
        say(f"without data: {', '.join(missing)}; see above for why")
    return 1 if missing else 0


def _run_one(policy, sampler, runners, dataset, settings, folder):
    from azr_mini.evaluate.suite import read_result, run_benchmark

    title, total = dataset.benchmark.title, len(dataset.rows)
    stand_in = ", a stand-in: no score of it" if dataset.is_stand_in else ""
    say(f"{title}: {total} rows x {settings.samples}{stand_in}")
    pace, batch = None, 1
    for done in run_benchmark(policy, sampler, runners, dataset, settings, folder):
        if pace is None:
            pace, batch = Pace(), max(1, settings.batch // settings.samples)
            if done:
                say(f"  {done} of {total} rows were there")
        else:
            say(f"  {done}/{total}  {pace.eta(-(-(total - done) // batch))}".rstrip())
    result = read_result(folder, dataset, settings)
    score, reasons = result.score, ", ".join(f"{n} {why}" for why, n in result.reasons.items())
    say(f"  {score.estimate:.1f} % [{score.low:.1f}, {score.high:.1f}]  ({reasons})")
    if set(result.reasons) <= {"format", "prompt"}:
        say(
            f"  no completion holds an answer to {title}: the model may need another --prompt or "
            "more --max-new-tokens"
        )
    return result


def _settings(options: opt.EvaluateOptions, policy, sampler):
    from azr_mini.environment import dtype_name
    from azr_mini.evaluate.answering import Settings, fingerprint

    is_greedy = options.samples is None
    return Settings(
        model=options.model,
        weights=fingerprint(policy),
        style=options.prompt,
        samples=1 if is_greedy else options.samples,
        temperature=0.0 if is_greedy else options.temperature,
        top_p=1.0 if is_greedy else options.top_p,
        max_new_tokens=options.max_new_tokens,
        limit=options.limit,
        seed=options.seed,
        sampler="vllm" if sampler.differs else "torch",  # which may not be the one asked for
        device=policy.device.type,
        dtype=dtype_name(policy),
    )


def _sampler(options: opt.EvaluateOptions, policy, datasets: list):
    """The sampler that was asked for; the torch one, with a reason, where vLLM cannot serve."""
    from azr_mini.samplers import make_sampler

    return make_sampler(policy, sampler_config(options, policy, datasets), tell=say)


def sampler_config(options: opt.EvaluateOptions, policy, datasets: list):
    """The configuration of a sampler for these benchmarks; it holds the base as the policy does."""
    from azr_mini.config import Config

    longest = max(dataset.benchmark.max_new_tokens for dataset in datasets)
    return Config(
        model=options.model,
        lora_rank=1 if policy.has_adapter else None,
        quantize=options.quantize,
        sampler=options.sampler,
        sampler_quantize=options.quantize,
        max_batch=options.max_batch,
        max_prompt_tokens=LONGEST_PROMPT,
        max_new_tokens=options.max_new_tokens or longest,
    )


def _default_folder(options: opt.EvaluateOptions) -> Path:
    name = options.model.strip("/").replace("/", "-")
    return Path("evaluations") / f"{name}-{options.prompt}"


def _write_tables(folder: Path, evaluated: list) -> None:
    from azr_mini.evaluate.tables import latex, markdown
    from azr_mini.files import write_whole

    for name, make in (("table.md", markdown), ("table.tex", latex)):
        write_whole(folder / name, make(evaluated))
        say(str(folder / name))
