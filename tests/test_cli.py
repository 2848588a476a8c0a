"""The command line: a mistake costs one sentence and nothing else; a small run works."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from made_up_run import made_up_run
from tiny_models import tiny_policy

from azr_mini.__main__ import COMMANDS, main
from azr_mini.resources import data_path
from azr_mini.runs import Run
from azr_mini.sandbox import SandboxError
from azr_mini.viz.figures import FIGURES

ROOT = Path(__file__).resolve().parents[1]
TINY = ["--num-steps", "2", "--batch-size", "2", "--num-attempts", "2", "--max-new-tokens", "8"]
TINY += ["--max-prompt-tokens", "256", "--heldout-tasks", "2", "--threads", "1"]
TINY += ["--dtype", "float32"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_policy().save(folder)
    return str(folder)


def refused(capsys, *arguments) -> str:
    """What a command that must end with status 2 says on stderr: one line, nothing on stdout."""
    assert main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("azr-mini: ") and said.count("\n") == 1, said
    return said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trane"], ["'trane'", "use train"]),
        (["train", "--preset", "huge"], ["'huge'", "use one of nano"]),
        (["train", "--num-attempts", "0"], ["num_attempts is 0", "give 1 or more"]),
        (["train", "--batch-size", "-3"], ["batch_size is -3", "give 1 or more"]),
        (["train", "--num-steps", "many"], ["'many'", "--num-steps"]),
        (["train", "--temperature", "nan"], ["temperature is nan", "give"]),
        (["train", "--advantage", "best"], ["'best'", "task_relative"]),
        (["train", "--advantages", "grpo"], ["--advantages", "--help"]),
        (["train", "--quantize", "nf4"], ["nf4", "lora_rank"]),
        (["train", "--sampler", "vllm"], ["sampler is vllm", "give lora_rank"]),
        (["train", "--checkpoint-every", "0"], ["checkpoint_every is 0", "give 1 or more"]),
        (["train", "--evaluate-every", "1", "--evaluate-benchmarks", "x"], ["'x'", "heldout, ood"]),
        (["train", "--resume"], ["--resume", "--run"]),
        (["train", "--resume", "--run", "nowhere"], ["nowhere is not a run folder"]),
        (["train", "--seed-path", "gone.json"], ["gone.json", "does not exist", "restore"]),
        (["train", "--model", "nobody"], ["'nobody'", "use 'nano'"]),
        (["train", "--gpu-memory", "0"], ["gpu_memory is 0", "give 1 or more"]),
        (["train", "--estimate", "--gpu-memory", "nan"], ["gpu_memory is nan", "give 1 or more"]),
        (["train", "--estimate", "--gpu-memory", "inf"], ["gpu_memory is inf", "give 1 or more"]),
        # as if there were a GPU, a large model would be downloaded and trained on the CPU
        (["train", "--preset", "gpu-16gb", "--gpu-memory", "16"], ["give --estimate as well"]),
        (
            ["train", "--estimate", "--gpu-memory", "16", "--device", "cpu"],
            ["device is cpu", "leave one of them away"],
        ),
        (["train", "--resume", "--run", "MODEL"], ["MODEL is not a run folder"]),
        (["evaluate", "nobody"], ["'nobody'", "use 'nano'"]),
        (["evaluate", "nano", "--benchmarks", "sat"], ["'sat'", "heldout"]),
        (["evaluate", "nano", "--samples", "0"], ["samples is 0", "give 1 or more"]),
        (["evaluate", "nano", "--against", "x.json"], ["x.json", "evaluate --json"]),
        (["pretrain-nano", "--out", "MODEL"], ["MODEL holds a model", "--out"]),
        (["plot", "nowhere"], ["nowhere is not a run folder"]),
        (["show", "nowhere"], ["nowhere is not a run folder"]),
        (["diagnose", "nowhere"], ["nowhere is not a run folder"]),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_value(
    capsys, tmp_path, model_folder, arguments, words
):
    arguments = [model_folder if argument == "MODEL" else argument for argument in arguments]
    words = [word.replace("MODEL", model_folder) for word in words]
    if "--seed-path" in arguments:
        arguments = [*arguments, "--model", model_folder, "--max-prompt-tokens", "256"]
    said = refused(capsys, *arguments)
    assert all(word in said for word in words), said
    assert not (tmp_path / "runs").exists()


def test_a_damaged_seed_file_is_named(capsys, tmp_path, model_folder):
    (tmp_path / "seeds.json").write_text("{")
    options = ["--model", model_folder, "--seed-path", "seeds.json", *TINY]
    assert "seeds.json is damaged" in refused(capsys, "train", *options)


def test_an_existing_run_folder_is_left_alone(capsys, tmp_path):
    run = made_up_run(tmp_path / "mine", num_steps=1)
    before = {path: path.read_bytes() for path in run.folder.iterdir()}
    said = refused(capsys, "train", "--run", "mine")
    assert "mine exists" in said and "--resume" in said
    assert {path: path.read_bytes() for path in run.folder.iterdir()} == before


def test_going_on_with_another_configuration_names_the_field(capsys, tmp_path):
    made_up_run(tmp_path / "mine", num_steps=1)
    said = refused(capsys, "train", "--run", "mine", "--resume", "--seed", "7")
    assert "seed = 0, not 7" in said


def test_without_a_sandbox_nothing_starts(capsys, tmp_path, monkeypatch, model_folder):
    def broken(*arguments, **options):
        raise SandboxError("programs cannot be confined here: use Linux")

    monkeypatch.setattr("azr_mini.sandbox.selftest.self_test", broken)
    assert main(["train", "--model", model_folder, *TINY]) == 2
    assert "cannot be confined here" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_an_error_of_a_library_keeps_its_traceback(monkeypatch):
    def fails(arguments):
        return json.loads("{")

    monkeypatch.setitem(COMMANDS, "plot", (fails, ""))
    with pytest.raises(json.JSONDecodeError):
        main(["plot"])


def test_help_needs_no_torch():
    program = (
        "import sys; from azr_mini.__main__ import main\n"
        "assert main(['--help']) == 0\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")
def test_where_vllm_cannot_sample_one_line_says_so_and_the_run_goes_on(capsys, model_folder):
    options = ["--model", model_folder, *TINY, "--heldout-tasks", "0", "--num-steps", "1"]
    assert main(["train", *options, "--sampler", "vllm", "--lora-rank", "2"]) == 0
    said = capsys.readouterr().out
    assert said.count("sampling with torch instead of vllm: it is not installed") == 1


def test_a_small_run_from_end_to_end(capsys, tmp_path, model_folder):
    assert main(["train", "--model", model_folder, *TINY]) == 0
    said = capsys.readouterr().out
    run = Run.open(tmp_path / "runs" / "nano-1")
    assert run.step == 2 and [r["step"] for r in run.heldout] == [0, 0, 2, 2]
    assert "licence: not known here" in said and said.index("licence") < said.index("step ")
    assert "step    1/2" in said and "Held-out accuracy, temperature 1" in said
    figures = sorted((run.folder / "figures").glob("*.png"))
    assert len(figures) == len(FIGURES) and all(path.name in said for path in figures)

    few = ["--limit", "2", "--max-new-tokens", "8"]
    both = ["--benchmarks", "heldout,ood"]
    assert main(["evaluate", str(run.folder), *few, *both, "--json", "score.json"]) == 0
    said = capsys.readouterr().out
    assert "pass@4" in said and "second grammar, greedy" in said
    assert main(["evaluate", model_folder, *few, "--against", "score.json"]) == 0
    said = capsys.readouterr().out
    assert "held-out, against score.json" in said and "second grammar" not in said
    assert main(["evaluate", model_folder, *few, *both, "--against", "score.json"]) == 0
    assert "second grammar, against score.json" in capsys.readouterr().out
    assert "score.json exists" in refused(capsys, "evaluate", model_folder, "--json", "score.json")

    # what the reader sees next: more steps of the same run, and a second run beside it
    longer = ["--run", str(run.folder), "--resume", "--num-steps", "3"]
    evaluating = ["--evaluate-every", "2", "--evaluate-benchmarks", "ood", "--evaluate-limit", "1"]
    said = refused(capsys, "train", *longer, "--evaluate-every", "1")
    assert "evaluate_every = 0, not 1" in said
    assert main(["train", *longer]) == 0
    assert Run.open(run.folder).step == 3
    assert "going on after 2 steps" in capsys.readouterr().out
    again = [*TINY, "--heldout-tasks", "0", *evaluating]
    assert main(["train", "--model", model_folder, *again]) == 0
    metrics = Run.open(tmp_path / "runs" / "nano-2").metrics
    assert metrics["eval/ood/accuracy"].notna().tolist() == [False, True]
    assert metrics["eval_before/ood/accuracy"].notna().tolist() == [True, False]


def test_the_memory_and_the_licence_are_printed_before_anything_is_loaded(capsys, tmp_path):
    command = ["train", "--preset", "gpu-24gb", "--estimate", "--gpu-memory"]
    assert main([*command, "24"]) == 0
    said = capsys.readouterr().out
    for words in ("sampling", "weights", "keys and values", "licence: Apache-2.0", "(a) one base"):
        assert words in said
    assert "needs about 22.8 GB of a GPU (24.0 GB)" in said
    assert re.search(r"a step takes about \d+ min on L4 if every completion is as long", said)
    assert main([*command, "16"]) == 2
    streams = capsys.readouterr()
    assert "licence: Apache-2.0" in streams.out
    assert "use --max-batch 16, or --preset gpu-16gb" in streams.err
    assert not (tmp_path / "runs").exists()


def test_an_estimate_of_time_says_on_what_it_is_based(capsys):
    assert main(["train", "--preset", "gpu-16gb", "--estimate", "--gpu-memory", "16"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if "a step takes" in x)
    assert "on T4" in line and "its data sheet and two speeds that an H200 showed" in line


def test_a_small_card_that_is_only_named_is_taken_to_need_a_mask(capsys):
    changes = ["--max-batch", "8", "--micro-batch-tokens", "16384"]
    needed = []
    for size in ("16", "16.1"):
        main(["train", "--preset", "gpu-16gb", "--estimate", "--gpu-memory", size, *changes])
        needed.append(re.search(r"needs about ([\d.]+) GB", capsys.readouterr().out)[1])
    assert float(needed[0]) > float(needed[1]) + 0.5


def test_an_estimate_without_a_card_says_the_sum_and_how_to_name_one(capsys, monkeypatch):
    monkeypatch.setattr("azr_mini.fit.find_cards", list)
    assert main(["train", "--preset", "gpu-16gb", "--estimate"]) == 0
    said = capsys.readouterr().out
    assert "Memory on a GPU" in said and "needs about 12.4 GB of a GPU: --gpu-memory" in said
    assert main(["train", "--estimate"]) == 0  # nano, which goes to a CPU
    said = capsys.readouterr().out
    assert "Memory on a CPU" in said and "of this machine's memory" in said


@pytest.mark.parametrize("device", [[], ["--device", "cuda"]])
def test_what_is_refused_for_want_of_a_gpu_was_estimated_for_a_gpu(capsys, monkeypatch, device):
    monkeypatch.setattr("azr_mini.fit.find_cards", list)
    assert main(["train", "--preset", "gpu-16gb", *device]) == 2
    streams = capsys.readouterr()
    assert "Memory on a GPU" in streams.out and "one base in 16 bits" in streams.out
    assert "torch finds no CUDA GPU" in streams.err


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_an_estimate_for_a_cpu_says_32_bits_and_whether_the_machine_has_the_memory(
    capsys, monkeypatch, device
):
    command = ["train", "--preset", "gpu-16gb", "--estimate", "--device", device]
    monkeypatch.setattr("azr_mini.fit.machine_memory", lambda: 100e9)
    assert main(command) == 0
    assert "(c) one base in 32 bits" in capsys.readouterr().out
    monkeypatch.setattr("azr_mini.fit.machine_memory", lambda: 4e9)
    assert main(command) == 2
    assert "this machine has 4.0 GB" in capsys.readouterr().err


def test_a_model_without_an_estimate_has_a_licence_all_the_same(capsys, tmp_path):
    from transformers import GPT2Config

    GPT2Config().save_pretrained(tmp_path / "gpt2")
    (tmp_path / "gpt2" / "README.md").write_text("---\nlicense: mit\n---\nGPT-2\n")
    assert main(["train", "--model", str(tmp_path / "gpt2"), "--estimate"]) == 0
    said = capsys.readouterr().out
    assert "licence: MIT" in said and "no estimate of the memory" in said


def test_the_closed_licence_of_a_base_is_named(capsys):
    model = ["--model", "Qwen/Qwen2.5-Coder-3B-Instruct"]
    assert main(["train", "--preset", "gpu-24gb", *model, "--estimate", "--gpu-memory", "24"]) == 0
    assert "not for commercial use" in capsys.readouterr().out


def test_without_a_gpu_a_large_model_is_refused_before_it_is_loaded(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("azr_mini.fit.find_cards", list)
    assert main(["train", "--preset", "gpu-16gb"]) == 2
    streams = capsys.readouterr()
    assert "licence: Apache-2.0" in streams.out
    assert "no CUDA GPU: train nano" in streams.err
    assert not (tmp_path / "runs").exists()


def test_show_filters_and_prints_text(capsys, tmp_path):
    made_up_run(tmp_path / "mine", num_steps=2)
    wanted = ["--step", "1", "--role", "solve", "--type", "abduction", "--reward", ">0"]
    assert main(["show", "mine", *wanted, "--limit", "2"]) == 0
    said = capsys.readouterr().out
    assert said.count("step 1  solve abduction: correct") == 2
    assert "f(0) -> " in said and "--- completion" in said
    assert main(["show", "mine", "--behaviour", "state"]) == 0
    assert "no rollout" in capsys.readouterr().out
    assert main(["show", str(data_path("recorded_runs/live-0")), "--behaviour", "trial"]) == 0
    said = capsys.readouterr().out
    assert said.count("\nshows trial and error") == said.count("solve abduction") == 5
    assert main(["show", "mine", "--reward", "7"]) == 0
    assert "no rollout" in capsys.readouterr().out
    assert "reward is 'high'" in refused(capsys, "show", "mine", "--reward", "high")


def test_model_text_cannot_command_the_terminal():
    from azr_mini.reading import printable

    assert printable("a\x1b[2J\x07\ud800\nb") == "a\\x1b[2J\\x07\\ud800\nb"


def test_diagnose_says_what_is_wrong_or_that_nothing_is(capsys, tmp_path):
    made_up_run(tmp_path / "mine", num_steps=12)
    assert main(["diagnose", "mine"]) == 0
    assert "no health rule fired in 12 steps\n" in capsys.readouterr().out
    lines = (tmp_path / "mine" / "metrics.jsonl").read_text().splitlines()
    sick = [json.dumps({**json.loads(line), "valid_rate/induction": 0.0}) for line in lines]
    (tmp_path / "mine" / "metrics.jsonl").write_text("\n".join(sick) + "\n")
    assert main(["diagnose", "mine"]) == 0
    said = capsys.readouterr().out
    assert "9-11" in said and "propose/induction" in said
    assert "! dead_proposer: None of the induction proposals of the last 10 steps" in said
    assert said.count("What to do:") == 1
    (tmp_path / "mine" / "metrics.jsonl").write_text("\n".join(sick[:3]) + "\n")
    assert main(["diagnose", "mine"]) == 0
    assert "no health rule fired in 3 steps, but most rules need 10" in capsys.readouterr().out


def test_training_tells_a_finding_once_and_again_at_the_end(capsys, tmp_path, model_folder):
    options = [*TINY, "--num-steps", "12", "--heldout-tasks", "0", "--run", "mine"]
    assert main(["train", "--model", model_folder, *options]) == 0
    said = capsys.readouterr().out
    dead = "! dead_proposer: None of the induction proposals"  # of a model that knows nothing
    tenth, eleventh = said.index("step   10/12"), said.index("step   11/12")
    assert tenth < said.index(dead) < eleventh
    end = said.index("Findings in 12 steps")
    assert eleventh < end and said.count(dead, 0, end) == said.count(dead, end) == 1

    # the run goes on: what was told is not told again
    longer = ["--run", "mine", "--resume", "--num-steps", "13"]
    assert main(["train", *longer]) == 0
    said = capsys.readouterr().out
    assert dead not in said[: said.index("Findings in 13 steps")]


def test_plot_draws_a_run_where_it_is_told(capsys, tmp_path):
    made_up_run(tmp_path / "mine", num_steps=3)
    assert main(["plot", "mine", "--out", "elsewhere"]) == 0
    paths = capsys.readouterr().out.split()
    assert len(paths) == len(FIGURES) and all((tmp_path / path).exists() for path in paths)


def test_doctor_names_every_layer_and_what_is_missing(capsys):
    status = main(["doctor"])
    said = capsys.readouterr().out
    assert status == ("MISSING" in said)
    names = ("python", "torch", "cpu", "held-out set", "sandbox: files")
    assert all(name in said for name in names)
