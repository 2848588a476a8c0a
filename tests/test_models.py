"""Models that are not whole, or not what they say: one sentence, and none of their code is run."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from families import family_policy
from tiny_models import byte_tokenizer, tiny_model

from azr_mini.models import choose_device
from azr_mini.policy import load_policy
from azr_mini.shapes import find_shape


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a tiny chat model that can be loaded."""
    folder = tmp_path_factory.mktemp("models") / "whole"
    family_policy("Qwen2.5-Coder-Instruct", hidden_size=64, intermediate_size=128).save(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of it to spoil."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(folder, **options):
    with pytest.raises(ValueError) as caught:
        load_policy(folder, device="cpu", **options)
    said = str(caught.value)
    assert "\n" not in said and str(folder) in said
    return said


def cut(name):
    def spoil(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return spoil


def without(*patterns):
    def spoil(folder):
        for pattern in patterns:
            for path in folder.glob(pattern):
                path.unlink()

    return spoil


def changed(**changes):
    return lambda folder: change_config(folder, **changes)


def small_vocabulary(folder):
    tiny_model("qwen2", vocab_size=64).save_pretrained(folder)


def template(text):
    return lambda folder: (folder / "chat_template.jinja").write_text(text)


QUANTIZED = {"quantization_config": {"quant_method": "awq", "bits": 4}}
THIRD = {"num_hidden_layers": 3, "layer_types": ["full_attention"] * 3}
SPOILT = {
    "cut weights": (cut("model.safetensors"), "cannot be loaded .*: get its files again, or use"),
    "no weights": (without("*.safetensors"), "no file named model.safetensors.*: get its files"),
    "a layer without weights": (changed(**THIRD), "layers.2.* missing .* as are 11 others: get"),
    "other widths": (changed(intermediate_size=256), "not what its config.json describes.* 5 othe"),
    "cut configuration": (cut("config.json"), "not a valid JSON file.*: get its files"),
    "a word for a number": (changed(hidden_size="x"), "'hidden_size'.*: get its files again"),
    "unknown kind": (changed(model_type="new9"), "type `new9`.*not recognize.*or use another"),
    "in fewer bits": (changed(**QUANTIZED), "fewer bits .awq.: name the model that.*quantize nf4"),
    "no tokenizer": (without("token*", "chat*"), "has no tokenizer: put its tokenizer.json"),
    "cut tokenizer": (cut("tokenizer.json"), "cannot be loaded .*: get its files again"),
    "another's tokenizer": (small_vocabulary, "ids up to .* the model knows 64 tokens: get"),
    "broken template": (template("{% if"), "chat template of .* does not work .*--dialect plain"),
    "refusing template": (template("{{ raise_exception('No system') }}"), "work .No system.: get"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_model_is_one_sentence_that_says_what_to_do(name, folder, capfd):
    spoil, sentence = SPOILT[name]
    load_policy(folder, device="cpu")  # a path is a name, too
    spoil(folder)
    capfd.readouterr()
    said = refusal(folder)
    assert re.search(sentence, said), said
    assert capfd.readouterr() == ("", "")


def test_a_models_own_code_is_never_run_and_nobody_is_asked(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *question: pytest.fail("it asked"))
    ran = tmp_path / "ran"
    code = {"AutoConfig": "theirs.Theirs", "AutoModelForCausalLM": "theirs.Theirs"}
    change_config(folder, model_type="theirs", auto_map=code)
    (folder / "theirs.py").write_text(f"open({str(ran)!r}, 'w')")
    assert "contains custom code" in refusal(folder)
    with pytest.raises(ValueError, match="contains custom code"):
        find_shape(str(folder))
    assert not ran.exists()


def test_a_run_is_no_model_and_says_where_its_model_is(folder):
    (folder / "metrics.jsonl").write_text("")
    assert refusal(folder).endswith(f"is a run: name the model it saved, {folder}/checkpoint")


def test_a_model_that_takes_no_adapter_is_named_by_its_kind(tmp_path):
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=384, hidden_size=32, num_hidden_layers=1)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="kind mamba takes no adapter of rank 4: use one"):
        load_policy(tmp_path, lora_rank=4, device="cpu")


def test_devices_that_are_not_there_are_named(monkeypatch):
    with pytest.raises(ValueError, match="no device 'tpu': use cpu or cuda"):
        choose_device("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda") == "cuda" and choose_device("cuda:1") == "cuda:1"
    with pytest.raises(ValueError, match="cuda:2 but there are 2 GPUs: use cuda or cuda:0"):
        choose_device("cuda:2")


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("CUDA error: out of memory")],
)
def test_a_model_for_which_a_gpu_has_no_room_is_not_called_damaged(folder, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(torch.nn.Module, "to", fail)
    said = refusal(folder)
    assert "does not fit into the memory of this GPU" in said and "--quantize nf4" in said
