"""Adapters: their card, their base, merging, and one sentence where they do not fit."""

import json
import shutil

import pytest
import torch
from test_policy import rows_that_share_prompts
from tiny_models import tiny_policy

from azr_mini.adapters import base_of, rank_of
from azr_mini.commands.evaluate import _load
from azr_mini.commands.train import _train_options
from azr_mini.config import Config
from azr_mini.licences import licence_of
from azr_mini.model_card import adapter_card
from azr_mini.models import choose_device, choose_dtype
from azr_mini.options import EvaluateOptions
from azr_mini.policy import load_policy, merged
from azr_mini.train import TrainState

CARD = "---\nlicense: other\nlicense_name: 'tiny-research'\nlanguage: en\n---\nlicense: no\n"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny_policy("qwen2").save(folder)
    (folder / "README.md").write_text(CARD)
    return folder


def loaded(folder, **options):
    return load_policy(str(folder), **{"dtype": "float32", "device": "cpu", **options})


def trained(folder, **options):
    """A policy whose adapter changes something."""
    policy = loaded(folder, lora_rank=4, **options)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return policy


def scores(policy):
    with torch.no_grad():
        return policy.logprobs(*rows_that_share_prompts(seed=14))[0]


def test_the_adapter_is_on_all_linear_layers_and_the_head_is_left(base):
    names = {n.split(".lora_")[0].split(".")[-1] for n, p in loaded(base, lora_rank=2)
             .model.named_parameters() if p.requires_grad}  # fmt: skip
    assert names == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    }  # fmt: skip


def test_the_card_names_base_licence_and_configuration(base, tmp_path):
    config = Config(model=str(base), lora_rank=4, max_prompt_tokens=99, heldout_path="")
    TrainState.create(config).policy.save(tmp_path)
    card = (tmp_path / "README.md").read_text()
    # the hub takes a name of its own list only, or "other"
    head = "---\nlicense: other\nlicense_name: tiny-research\nlibrary_name: peft\n"
    assert card.startswith(head)
    assert f"Base: `{base}`" in card and "binds this adapter too: tiny-research" in card
    written = json.loads(card.partition("```json\n")[2].partition("```")[0])
    assert Config(**written) == config


def test_licences_are_read_from_the_card_or_known_by_name(base, tmp_path):
    assert licence_of(str(base)) == "tiny-research"
    assert licence_of("Qwen/Qwen2.5-Coder-7B-Instruct") == "apache-2.0"
    assert licence_of("Qwen/Qwen2.5-Coder-3B-Instruct") == "qwen-research"
    assert licence_of("Qwen/Qwen3-8B") == "apache-2.0" and licence_of("nano") == "mit"
    assert licence_of("meta-llama/Llama-3.1-8B-Instruct") == "llama3.1"
    assert licence_of("someone/else") is None
    closed, front = "Qwen/Qwen2.5-Coder-3B", "license: other\nlicense_name: qwen-research\n"
    card = adapter_card(closed, 16, None)
    assert front in card and f"license_link: https://huggingface.co/{closed}/blob/main/LI" in card
    assert "license: apache-2.0\nbase_model: Qwen/" in adapter_card("Qwen/Qwen3-8B", 16, None)
    (tmp_path / "README.md").write_text("license: mit\nno front matter\n")
    assert licence_of(str(tmp_path)) is None


def test_a_local_base_is_no_name_on_the_hub(base, monkeypatch):
    monkeypatch.chdir(base.parent.parent)
    relative = str(base.relative_to(base.parent.parent))
    assert relative.count("/") == 1 and "base_model:" not in adapter_card(relative, 4, None)


def test_a_merged_policy_says_the_same_without_an_adapter(base, tmp_path):
    policy = trained(base)
    before = scores(policy)
    whole = merged(policy)
    assert not whole.has_adapter and not torch.equal(before, scores(loaded(base)))
    torch.testing.assert_close(scores(whole), before, atol=1e-4, rtol=1e-4)
    assert torch.equal(scores(policy), before) and policy.has_adapter
    whole.save(tmp_path)
    assert torch.equal(scores(loaded(tmp_path)), scores(whole))


def test_merging_into_four_bits_or_without_an_adapter_is_refused(base):
    pytest.importorskip("bitsandbytes")
    with pytest.raises(ValueError, match="is in 4 bits.*without quantize"):
        merged(trained(base, quantize="nf4"))
    with pytest.raises(ValueError, match="has no adapter to merge"):
        merged(loaded(base))


OTHERS = {
    "narrower": {"hidden_size": 128},
    "deeper": {"num_hidden_layers": 3},
    "shallower": {"num_hidden_layers": 1},
    "other heads": {"num_key_value_heads": 4},
}


@pytest.mark.parametrize("name", OTHERS)
def test_an_adapter_of_a_base_of_other_shapes_is_refused(name, base, tmp_path):
    trained(base).save(tmp_path / "adapter")
    tiny_policy("qwen2", **OTHERS[name]).save(tmp_path / "other")
    path = tmp_path / "adapter" / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "base_model_name_or_path": str(tmp_path / "other")}))
    with pytest.raises(ValueError, match="does not fit .*other, which its adapter_config") as e:
        loaded(tmp_path / "adapter")
    assert "\n" not in str(e.value)


def test_a_base_that_moved_is_asked_for_by_its_place(base, tmp_path):
    shutil.copytree(base, tmp_path / "base")
    policy = trained(tmp_path / "base")
    policy.save(tmp_path / "adapter")
    assert base_of(tmp_path / "adapter") == str(tmp_path / "base")
    (tmp_path / "base").rename(tmp_path / "moved")
    expected = f"expects its base at {tmp_path / 'base'}: put it back there"
    with pytest.raises(ValueError, match=expected) as e:
        loaded(tmp_path / "adapter")
    assert "\n" not in str(e.value)
    (tmp_path / "base").symlink_to(tmp_path / "moved")
    assert torch.equal(scores(loaded(tmp_path / "adapter")), scores(policy))


ODD = {
    "no base": ({"base_model_name_or_path": None}, "names no base_model_name_or_path: add it"),
    "itself": ({"base_model_name_or_path": "SELF"}, "is an adapter too, .*: merge that one"),
    "another kind": ({"peft_type": "IA3"}, "is of the kind IA3: use one of the kind LORA"),
    "no rank": ({"r": None}, "names no rank r: restore it"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_adapter_that_describes_itself_wrongly_is_one_sentence(name, base, tmp_path):
    changes, sentence = ODD[name]
    trained(base).save(tmp_path)
    path = tmp_path / "adapter_config.json"
    changes = {key: str(tmp_path) if value == "SELF" else value for key, value in changes.items()}
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=sentence) as caught:
        loaded(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_adapter_of_another_rank_is_refused_and_its_own_is_taken_up(base, tmp_path):
    pytest.importorskip("bitsandbytes")
    trained(base).save(tmp_path)
    assert rank_of(tmp_path) == 4 and rank_of(base) is None
    with pytest.raises(ValueError, match="has rank 4 and not 16: give lora_rank 4"):
        loaded(tmp_path, lora_rank=16)
    assert loaded(tmp_path, lora_rank=4).has_adapter
    asked = EvaluateOptions(str(tmp_path), quantize="nf4", dtype="float32", device="cpu")
    assert _load(asked).model.peft_config["default"].r == 4
    assert _train_options(["--model", str(tmp_path)])[0].config.lora_rank == 4
    assert _train_options(["--model", str(base)])[0].config.lora_rank is None


def test_peft_itself_reads_an_adapter_and_gives_the_same_log_probabilities(base, tmp_path):
    from peft import AutoPeftModelForCausalLM

    policy = trained(base)
    policy.save(tmp_path)
    model = AutoPeftModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    prompts, completions = rows_that_share_prompts(seed=14)
    found = scores(policy)
    for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        ids = torch.tensor([[*prompt, *completion]])
        with torch.no_grad():
            logprobs = model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        expected = logprobs[range(len(completion)), list(completion)]
        torch.testing.assert_close(found[row, : len(completion)], expected, atol=1e-5, rtol=1e-4)


def test_damaged_adapters_are_named(base, tmp_path):
    trained(base).save(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match="cannot be read .*restore it"):
        loaded(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{")
    with pytest.raises(ValueError, match="adapter_config.json is damaged .*restore it"):
        loaded(tmp_path)


def test_bfloat16_is_refused_where_there_is_none():
    with pytest.raises(ValueError, match=r"capability 7.5, below 8.0\) has none: use --dtype fl"):
        choose_dtype("bfloat16", "cuda", capability=(7, 5))
    assert choose_dtype("auto", "cuda", capability=(7, 5)) is torch.float16
    assert choose_dtype("auto", "cuda", capability=(8, 9)) is torch.bfloat16
    assert choose_dtype("bfloat16", "cuda", capability=(8, 0)) is torch.bfloat16
    assert choose_dtype("float32", "cuda", capability=(7, 5)) is torch.float32


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there_is_one_sentence(base):
    assert choose_device(None) == "cpu"
    with pytest.raises(ValueError, match="PyTorch finds no CUDA GPU: use --device cpu"):
        load_policy(str(base), device="cuda")
