"""Evaluating while training: the numbers belong to their step, and training does not notice."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from made_up_run import made_up_run
from safetensors.torch import load_file
from test_heldout import NoExecutor, ScriptedSampler, SpellingPolicy
from test_resume import TINY, VARYING, assert_same_run, every_rollout_pulls
from tiny_models import tiny_policy

from azr_mini.config import Config
from azr_mini.evaluate.answering import Runners
from azr_mini.evaluate.benchmarks import BENCHMARKS
from azr_mini.evaluate.dataset import load
from azr_mini.evaluate.during import (
    benchmark_evaluation,
    evaluation_of,
    nano_evaluation,
    together,
    with_evaluations,
)
from azr_mini.evaluate.heldout import first_of_each_type, load_heldout_tasks
from azr_mini.keeping import Interrupts, keep
from azr_mini.runs import Run
from azr_mini.samplers import make_sampler
from azr_mini.sandbox import Executor
from azr_mini.tasks import TaskType
from azr_mini.train import train
from azr_mini.viz.evaluations import evaluation_table
from azr_mini.viz.figures import draw
from azr_mini.viz.style import COLOURS


@dataclass(frozen=True)
class MadeStep:
    step: int
    metrics: dict


def made_steps(state, num_steps):
    while state.step < num_steps:
        state.step += 1
        yield MadeStep(state.step - 1, {"reward": 1.0})


def evaluated(start, num_steps, every):
    """By step, the evaluation metrics of made-up steps; the policy's accuracy is its step."""
    state = SimpleNamespace(step=start, policy="policy")

    def evaluation(policy, sampler):
        assert (policy, sampler) == ("policy", "sampler")
        return {"heldout/accuracy": float(state.step)}

    steps = made_steps(state, num_steps)
    found = list(with_evaluations(steps, state, "sampler", evaluation, every))
    assert all(step.metrics["reward"] == 1 for step in found)
    return {
        step.step: {k: v for k, v in step.metrics.items() if k.startswith("eval")} for step in found
    }


def test_every_so_many_steps_are_evaluated_and_once_before_the_first():
    key = "heldout/accuracy"
    expected = {0: {f"eval_before/{key}": 0}, 1: {f"eval/{key}": 2}, 2: {}, 3: {f"eval/{key}": 4}}
    assert evaluated(0, 4, every=2) == expected
    assert evaluated(0, 1, every=1) == {0: {f"eval_before/{key}": 0, f"eval/{key}": 1}}


def test_a_run_that_goes_on_is_evaluated_at_the_same_steps():
    whole = evaluated(0, 7, every=3)
    assert {step: whole[step] for step in (4, 5, 6)} == evaluated(4, 7, every=3)


def likelihood(policy, sampler):
    """A number that depends on every weight and on sampling, from seeds of its own."""
    prompts = [policy.encode("<solve>"), policy.encode("def f(a):")]
    rows = sampler.generate(prompts, seeds=[5, 6], num_completions=2, max_new_tokens=6)
    return {"made up/accuracy": sum(sum(c.logprobs) for row in rows for c in row)}


def go_on(folder, executor, evaluation, stop_after=None):
    """Trains the run in a folder from its last checkpoint on, as the command does."""
    run = Run.open(folder)
    config, state = run.config, run.state()
    run.rewind()
    sampler = make_sampler(state.policy, config)
    steps = train(config, state, executor, advantages=every_rollout_pulls, sampler=sampler)
    if evaluation:
        steps = with_evaluations(steps, state, sampler, evaluation, config.evaluate_every)
    with Interrupts() as interrupts:
        for step in keep(steps, run, state, interrupts, checkpoint_every=3):
            if step.step + 1 == stop_after:
                break
    return run


def read(folder):
    """The metrics of each step that may not vary, without its evaluation; and its evaluation."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    rows = [{k: v for k, v in row.items() if not k.startswith(VARYING)} for row in rows]
    plain = [{k: v for k, v in row.items() if not k.startswith("eval")} for row in rows]
    return plain, [{k: v for k, v in row.items() if k.startswith("eval")} for row in rows]


def test_evaluating_changes_no_bit_and_a_resumed_run_has_the_same_lines(tmp_path):
    tiny_policy().save(tmp_path / "model")
    config = Config(model=str(tmp_path / "model"), evaluate_every=2, **{**TINY, "num_steps": 6})
    plain, whole, killed = (tmp_path / name for name in ("plain", "whole", "killed"))
    for folder in (plain, whole, killed):
        Run.create(folder, config)
    with Executor(workers=1) as executor:
        go_on(plain, executor, None)
        go_on(whole, executor, likelihood)
        go_on(killed, executor, likelihood, stop_after=5)
        (killed / "checkpoint" / "state.json").unlink()  # back to step 3, so that 4 comes twice
        go_on(killed, executor, likelihood)
    assert_same_run(whole, killed)  # evaluations as well
    found = [item for row in read(whole)[1] for item in row.items()]
    assert [key for key, _ in found] == ["eval_before/made up/accuracy"] + [
        "eval/made up/accuracy"
    ] * 3
    assert len({value for _, value in found}) == 4  # each of another policy
    assert read(plain)[0] == read(whole)[0] and not any(read(plain)[1])
    same = [load_file(folder / "checkpoint" / "model.safetensors") for folder in (plain, whole)]
    assert all(torch.equal(same[0][name], same[1][name]) for name in same[0])
    names = ("rollouts.jsonl.gz", "buffer.jsonl")
    assert all((plain / name).read_bytes() == (whole / name).read_bytes() for name in names)


def test_the_nano_sets_are_answered_greedily_and_scored_by_type():
    tasks = first_of_each_type(load_heldout_tasks(name="ood"), 3)
    gold = {(t.type.value, t.program, t.inputs[0]): t.outputs[0] for t in tasks}

    def script(prompt):
        head, _, rest = prompt.partition("<program>")
        program, _, given = rest.partition("<input>")
        kind = head.partition("<solve><")[2].rstrip(">")
        return [f"<answer>{gold.get((kind, program, given), 'x = (')}</answer>"]

    class Sampler(ScriptedSampler):
        def generate(self, prompt_ids, *, temperature, num_completions, **settings):
            assert temperature == 0 and num_completions == 1
            return super().generate(prompt_ids, num_completions=1, **settings)

    found = nano_evaluation("ood", NoExecutor(), 3, 50)(SpellingPolicy(), Sampler(script))
    assert found["accuracy"] == pytest.approx(1 / 3) and 0 <= found["low"] <= found["high"] <= 1
    assert [found[f"accuracy/{type.value}"] for type in TaskType] == [1, 0, 0]


def test_several_evaluations_keep_their_names():
    both = together(
        {"a": lambda *_: {"accuracy": 0.1}, "b": lambda *_: {"accuracy": 0.2, "low": 0}}
    )
    assert both("policy", "sampler") == {"a/accuracy": 0.1, "b/accuracy": 0.2, "b/low": 0}


def test_an_unknown_benchmark_is_refused_before_training():
    config = Config(evaluate_every=1, evaluate_benchmarks="heldout,sat")
    with pytest.raises(ValueError, match="'sat'.*heldout, ood"):
        evaluation_of(config, NoExecutor(), Runners())


def test_the_benchmarks_of_the_paper_are_evaluated_through_their_own_graders(evals_folder):
    """A policy that says the outputs of the first rows of CruxEval by heart, and nothing else."""
    dataset = load(BENCHMARKS["cruxeval_o"], 4, evals_folder / BENCHMARKS["cruxeval_o"].file)
    replies = [f"<think>so</think><answer>{row['output']}</answer>" for row in dataset.rows[:3]]

    class Policy(SpellingPolicy):
        max_positions = 10**6

        def encode(self, prompt, add_special_tokens=True, verbose=False):
            return super().encode(prompt)

    class Sampler(ScriptedSampler):
        def generate(self, prompt_ids, *, temperature, top_p, **settings):
            assert temperature == 0 and settings["max_new_tokens"] == 9
            return super().generate(prompt_ids, **settings)

    written = iter([*replies, "no answer"])
    config = Config(max_new_tokens=9)
    with Runners(1) as runners:
        evaluation = benchmark_evaluation(dataset, runners, config)
        found = evaluation(Policy(), Sampler(lambda prompt: [next(written)]))
    assert found["accuracy"] == 0.75 and found["low"] < 0.75 < found["high"]


def test_a_benchmark_without_data_is_refused_before_training(monkeypatch, tmp_path):
    monkeypatch.setenv("AZR_DATA", str(tmp_path))
    folder = tmp_path / "evals" / "cruxeval"
    folder.mkdir(parents=True)
    (folder / "cruxeval.jsonl.gz").write_bytes(b"not gzip")
    config = Config(evaluate_every=1, evaluate_benchmarks="cruxeval_i")
    with pytest.raises(ValueError, match="cruxeval.jsonl.gz"):
        evaluation_of(config, NoExecutor(), Runners())


def test_the_figure_of_evaluations_begins_before_the_first_step(tmp_path):
    run = made_up_run(tmp_path / "run", num_steps=7)
    table = evaluation_table(run.metrics)
    assert list(table.index) == [0, 3, 6]
    figure = draw("evaluations", run)
    assert [axes.get_title() for axes in figure.axes] == ["held-out", "second grammar"]
    for axes, name in zip(figure.axes, ("heldout", "ood"), strict=True):
        *by_type, mean = axes.lines
        assert list(mean.get_xdata()) == [0, 3, 6]
        assert list(mean.get_ydata()) == list(table[f"{name}/accuracy"])
        for line, type in zip(by_type, TaskType, strict=True):
            assert list(line.get_ydata()) == list(table[f"{name}/accuracy/{type.value}"])
            assert line.get_color() == COLOURS[type]
        assert len(axes.collections) == 1  # the interval
