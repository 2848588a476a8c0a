"""The known shapes are those of the real models; others come from a configuration."""

import json

import pytest
import torch
from tiny_models import byte_tokenizer, tiny_model

from azr_mini.licences import licence_in_words
from azr_mini.shapes import KNOWN, LLAMA31_8B, QWEN3, QWEN25, find_shape, shape_of

# billions of parameters, all and without embeddings, as the model cards say them
OFFICIAL = {
    "Qwen/Qwen2.5-0.5B": (0.49, 0.36),
    "Qwen/Qwen2.5-1.5B": (1.54, 1.31),
    "Qwen/Qwen2.5-3B": (3.09, 2.77),
    "Qwen/Qwen2.5-7B": (7.61, 6.53),
    "Qwen/Qwen2.5-14B": (14.7, 13.1),
    "Qwen/Qwen3-0.6B": (0.6, 0.44),
    "Qwen/Qwen3-1.7B": (1.7, 1.4),
    "Qwen/Qwen3-4B": (4.0, 3.6),
    "Qwen/Qwen3-8B": (8.2, 6.95),
    "Qwen/Qwen3-14B": (14.8, 13.2),
    "meta-llama/Llama-3.1-8B": (8.03, 6.98),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_parameters_are_as_many_as_the_model_card_says(name):
    shape, (billions, without_embeddings) = KNOWN[name], OFFICIAL[name]
    assert shape.parameters / 1e9 == pytest.approx(billions, rel=0.013)
    inner = shape.parameters - shape.embedding_parameters
    assert inner / 1e9 == pytest.approx(without_embeddings, rel=0.013)


@pytest.mark.parametrize("shape", [*QWEN25.values(), *QWEN3.values(), LLAMA31_8B])
def test_parameters_are_those_that_transformers_makes(shape):
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(shape.architecture, **shape.settings)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert model.num_parameters() == shape.parameters
    linear = [m for m in model.model.layers[0].modules() if isinstance(m, torch.nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [*shape.matrices]


def test_coder_and_instruct_models_have_the_shape_of_their_base():
    for size, shape in QWEN25.items():
        for family in ("Qwen2.5", "Qwen2.5-Coder"):
            for kind in ("", "-Instruct"):
                assert KNOWN[f"Qwen/{family}-{size}{kind}"] == shape


def test_only_the_3b_of_qwen_has_no_open_licence():
    closed = {name for name in KNOWN if "not for commercial use" in licence_in_words(name)}
    assert closed == {name for name in KNOWN if "Qwen2.5" in name and "-3B" in name}
    assert licence_in_words("Qwen/Qwen2.5-72B-Instruct") == "Qwen licence"
    assert "Community" in licence_in_words("meta-llama/Llama-3.1-8B")
    assert {licence_in_words(name) for name in KNOWN if "Qwen3" in name} == {"Apache-2.0"}


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_the_shape_of_a_folder_is_that_of_its_model(tmp_path, architecture):
    model = tiny_model(architecture)
    model.save_pretrained(tmp_path)
    shape = find_shape(str(tmp_path))
    assert shape == shape_of(model.config)
    assert shape.parameters == model.num_parameters()
    assert licence_in_words(str(tmp_path)).startswith("not known")
    (tmp_path / "README.md").write_text("---\nlicense: other\nlicense_name: mine\n---\nA model\n")
    assert licence_in_words(str(tmp_path)) == "mine"


def test_an_adapter_has_the_shape_of_its_base(tmp_path):
    settings = {"base_model_name_or_path": "Qwen/Qwen3-4B", "peft_type": "LORA"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    assert find_shape(str(tmp_path)) == QWEN3["4B"]


def test_other_kinds_of_models_have_no_estimate(tmp_path):
    from transformers import GPT2Config

    GPT2Config().save_pretrained(tmp_path)
    assert find_shape(str(tmp_path)) is None


def test_a_model_that_cannot_be_read_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "config.json").write_text("{")
    for name in ("nobody/nothing", str(tmp_path)):
        with pytest.raises(ValueError, match="cannot be loaded|cannot be reached") as caught:
            find_shape(name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    byte_tokenizer().save_pretrained(tmp_path / "empty")
    with pytest.raises(ValueError, match="holds no model"):
        find_shape(str(tmp_path / "empty"))
