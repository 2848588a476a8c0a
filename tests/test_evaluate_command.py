"""`evaluate` on benchmarks: what it writes, what it leaves out, and one sentence for a mistake."""

import json
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
import torch
from invented import invented_file
from tiny_models import tiny_policy

from azr_mini.__main__ import main
from azr_mini.commands.benchmarks import sampler_config
from azr_mini.commands.evaluate import _load
from azr_mini.evaluate.benchmarks import BENCHMARKS, GROUPS
from azr_mini.options import EvaluateOptions
from azr_mini.prompts import Dialect
from azr_mini.sampler import Sampler

NAMES = list(BENCHMARKS)


@pytest.fixture(autouse=True)
def an_empty_machine_without_a_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AZR_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of two tiny models."""
    folders = []
    for seed in range(2):
        folders.append(str(tmp_path_factory.mktemp("model")))
        tiny_policy(seed=seed, max_position_embeddings=2048).save(folders[-1])
    return folders


def stand_ins(folder, names, rows=4) -> list[str]:
    """The option that gives each benchmark invented rows."""
    return ["--data", *(f"{n}={invented_file(folder / f'{n}.jsonl', n, rows)}" for n in names)]


def evaluate(model, names, *options) -> int:
    few = ["--max-new-tokens", "32", "--threads", "1", "--dtype", "float32"]
    return main(["evaluate", model, "--benchmarks", names, *few, *map(str, options)])


def samples(folder, names) -> dict[str, bytes]:
    return {name: (folder / f"{name}.jsonl").read_bytes() for name in names}


def refused(capsys, *arguments) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("azr-mini: ") and said.count("\n") == 1, said
    return said


def test_four_samples_of_every_benchmark_from_end_to_end(capsys, tmp_path, models):
    given = stand_ins(tmp_path, NAMES)
    assert evaluate(models[0], "all", *given, "--out", "base") == 0
    said = capsys.readouterr().out
    assert all(f"{BENCHMARKS[name].title}: 4 rows x 1, a stand-in" in said for name in NAMES)
    folder = tmp_path / "base"
    summary = json.loads((folder / "summary.json").read_text())
    assert list(summary["results"]) == NAMES and summary["settings"]["temperature"] == 0
    for name, content in samples(folder, NAMES).items():
        assert len(content.splitlines()) == 4 == summary["results"][name]["rows"]
        assert 0 <= summary["results"][name]["pass_at"]["1"]["estimate"] <= 100
    table = (folder / "table.md").read_text()
    assert "AZR (Qwen2.5-7B), paper" in table and "4 stand-in rows; not its score" in table
    assert "\\begin{tabular}" in (folder / "table.tex").read_text()

    # the same again asks nothing; another model beside it, asked in another way, is warned about
    before = samples(folder, NAMES)
    assert evaluate(models[0], "all", *given, "--out", "base") == 0
    assert "4 of 4 rows were there" in capsys.readouterr().out
    assert samples(folder, NAMES) == before
    options = ["--out", "trained", "--prompt", "instruct", "--against", "base"]
    assert evaluate(models[1], "all", *given, *options) == 0
    said = capsys.readouterr().out
    assert "! " in said and "differ in prompts: azr against instruct" in said
    assert "Warning: " in (tmp_path / "trained" / "table.md").read_text()


def test_an_interrupted_run_keeps_its_samples_and_goes_on(capsys, tmp_path, models, monkeypatch):
    names, whole = "aime24,aime25", ["--out", "whole", "--samples", "3"]
    given = stand_ins(tmp_path, names.split(","), rows=100)
    assert evaluate(models[0], names, *given, *whole) == 0
    generate, calls = Sampler.generate, []

    def interrupted(self, *arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return generate(self, *arguments, **options)

    monkeypatch.setattr(Sampler, "generate", interrupted)
    again = ["--out", "cut", "--samples", "3"]
    assert evaluate(models[0], names, *given, *again) == 130
    assert "the same command with --out cut goes on" in capsys.readouterr().out
    assert len((tmp_path / "cut" / "aime24.jsonl").read_bytes().splitlines()) == 255
    assert evaluate(models[0], names, *given, *again) == 0
    assert "85 of 100 rows were there" in capsys.readouterr().out
    folders = [samples(tmp_path / name, names.split(",")) for name in ("whole", "cut")]
    assert folders[0] == folders[1]


def test_a_benchmark_without_data_is_left_out_and_the_others_go_on(capsys, tmp_path, models):
    given = stand_ins(tmp_path, ["aime24"])
    assert evaluate(models[0], "aime24,aime25,lcb_execution", *given, "--out", "here") == 1
    said = capsys.readouterr().out
    for title in ("AIME'25", "LiveCodeBench-Execution"):
        lines = [line for line in said.splitlines() if f"no data for {title}" in line]
        assert len(lines) == 1 and lines[0].startswith("left out: ")
    assert "without data: lcb_execution, aime25" in said
    summary = json.loads((tmp_path / "here" / "summary.json").read_text())
    assert list(summary["results"]) == ["aime24"]
    assert set(summary["missing"]) == {"aime25", "lcb_execution"}
    assert evaluate(models[0], "aime25", "--out", "nothing") == 1
    assert not (tmp_path / "nothing").exists()


def test_a_model_that_gives_no_answers_is_said_to(capsys, tmp_path, models):
    given = stand_ins(tmp_path, ["aime24"])
    assert evaluate(models[0], "aime24", *given) == 0
    assert "no completion holds an answer to AIME'24" in capsys.readouterr().out
    (folder,) = (tmp_path / "evaluations").iterdir()
    assert folder.name.endswith("-azr")


def test_mistakes_are_one_sentence(capsys, tmp_path, models):
    start = ["evaluate", models[0], "--benchmarks"]
    given = stand_ins(tmp_path, ["aime24"])
    said = refused(capsys, *start, "aime24,gsm8k")
    assert (
        "no benchmark 'gsm8k': use heldout, ood, in-distribution, code, math, all, cruxeval_i"
        in said
    )
    assert "data is 'aime24'" in refused(capsys, *start, "aime24", "--data", "aime24")
    assert "data is 'x=y'" in refused(capsys, *start, "aime24", "--data", "x=y")
    said = refused(capsys, *start, "aime24", "--data", "aime24=gone.jsonl")
    assert "gone.jsonl cannot be read (FileNotFoundError" in said
    (tmp_path / "bad.jsonl").write_text('{"problem": "?"}\n')
    said = refused(capsys, *start, "aime24", "--data", "aime24=bad.jsonl")
    assert "bad.jsonl is not AIME'24: row 1 lacks 'answer'" in said
    assert "top_p is 0" in refused(capsys, *start, "aime24", "--top-p", "0")
    assert "'best'" in refused(capsys, *start, "aime24", *given, "--prompt", "best")
    said = refused(capsys, *start, "aime24", *given, "--against", tmp_path)
    assert "summary.json is not what evaluate --out writes" in said
    assert evaluate(models[0], "aime24", *given, "--out", "here") == 0
    capsys.readouterr()
    said = refused(capsys, *start, "aime24", *given, "--out", "here", "--limit", "2")
    assert "here holds results with max_new_tokens = 32, not None" in said
    (tmp_path / "file").write_text("")
    said = refused(capsys, *start, "aime24", *given, "--out", "file")
    assert "file cannot be made" in said


def test_names_and_groups_are_asked_once_each_in_the_order_of_the_tables():
    def names(text):
        return EvaluateOptions("nano", benchmarks=text).benchmark_names

    assert names("all") == list(BENCHMARKS) and len(names("all")) == 12
    assert names("math500,code,cruxeval_o,math500") == ["cruxeval_o", *GROUPS["code"], "math500"]
    assert names("in-distribution") == ["cruxeval_i", "cruxeval_o", "lcb_execution"]
    assert names("heldout") == [] and EvaluateOptions("nano").nano_sets == ["heldout"]


@pytest.mark.slow
def test_a_run_is_spoken_to_as_it_was_trained(tmp_path, models):
    settings = ["--dialect", "plain", "--num-steps", "1", "--batch-size", "1", "--heldout-tasks"]
    settings += ["0", "--num-attempts", "1", "--max-new-tokens", "4", "--max-prompt-tokens", "1500"]
    assert main(["train", "--model", models[0], "--run", "run", *settings, "--threads", "1"]) == 0
    assert _load(EvaluateOptions(models[0])).dialect is Dialect.NANO
    assert _load(EvaluateOptions("run")).dialect is Dialect.CHAT


def test_the_sampler_holds_the_base_as_it_was_asked_for(models):
    """Else vLLM would answer with the base in 16 bits where 4 are measured."""
    policy = _load(EvaluateOptions(models[0], sampler="vllm", dtype="float32"))
    datasets = [SimpleNamespace(benchmark=BENCHMARKS["math500"])]
    for quantize in (None, "nf4"):
        options = EvaluateOptions(models[0], sampler="vllm", quantize=quantize)
        config = sampler_config(options, policy, datasets)
        assert config.sampler_quantize == config.quantize == quantize
        assert config.sampler == "vllm" and config.lora_rank == 1


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")
def test_results_name_the_sampler_that_wrote_them(capsys, tmp_path, models):
    given = stand_ins(tmp_path, ["math500"], rows=1)
    assert evaluate(models[0], "math500", *given, "--out", "out", "--sampler", "vllm") == 0
    assert "torch instead of vllm: it is not installed" in capsys.readouterr().out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["settings"]["sampler"] == "torch"


@pytest.mark.slow
def test_a_run_of_all_weights_gets_an_untrained_adapter_where_one_is_needed(tmp_path, models):
    settings = ["--num-steps", "1", "--batch-size", "1", "--num-attempts", "1", "--threads", "1"]
    settings += ["--heldout-tasks", "0", "--max-new-tokens", "4", "--max-prompt-tokens", "1500"]
    assert main(["train", "--model", models[0], "--run", "run", *settings]) == 0
    trained, adapted = (
        _load(EvaluateOptions("run", sampler=sampler, dtype="float32"))
        for sampler in ("torch", "vllm")
    )
    assert not trained.has_adapter and adapted.has_adapter
    prompts, completions = [[20, 30, 40]], [(50, 60, 70)]
    assert torch.equal(
        trained.logprobs(prompts, completions)[0], adapted.logprobs(prompts, completions)[0]
    )
