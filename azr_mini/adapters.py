"""LoRA adapters in PEFT format: a new one, a saved one that is checked against its base, a card."""

import json
import re
import warnings
from pathlib import Path

from azr_mini.model_card import adapter_card

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def is_adapter(folder: Path | str) -> bool:
    """Whether a folder holds an adapter and not a whole model."""
    return Path(folder, CONFIG).is_file()


def base_of(folder: Path | str) -> str:
    """The name or folder of the model that the adapter in a folder was trained on."""
    base = _field(folder, "base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ValueError(f"{Path(folder, CONFIG)} names no base_model_name_or_path: add it there")
    if is_adapter(base):
        raise ValueError(
            f"the base of the adapter in {folder} is an adapter too, {base}: merge that one into "
            "its own base, save it, and name this in adapter_config.json"
        )
    return base


def rank_of(folder: Path | str) -> int | None:
    """The rank of the adapter in a folder; None if the folder holds none."""
    if not is_adapter(folder):
        return None
    rank = _field(folder, "r")
    if type(rank) is not int:
        raise ValueError(f"{Path(folder, CONFIG)} names no rank r: restore it from a copy")
    return rank


def _field(folder: Path | str, name: str):
    try:
        config = json.loads(Path(folder, CONFIG).read_text(encoding="utf-8"))
        kind, value = config["peft_type"], config[name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{Path(folder, CONFIG)} is damaged ({type(error).__name__}): restore it from a copy"
        ) from error
    if kind != "LORA":
        raise ValueError(f"the adapter in {folder} is of the kind {kind}: use one of the kind LORA")
    return value


def add_adapter(model, rank: int):
    """The model with a new adapter of that rank on all linear layers but the head; it alone trains.

    Its weights are random in one factor and 0 in the other, so that it changes nothing yet.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)


def load_adapter(model, folder: Path | str, base: str):
    """The model, which is `base`, with the adapter of a folder, ready to go on training.

    ValueError, saying what to do, if the adapter was made for a model of other shapes.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    other = (
        f"the adapter in {folder} does not fit {base}, which its {CONFIG} names as its base: "
        "put back the model that it was trained on"
    )
    try:
        saved = load_file(Path(folder, WEIGHTS))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing weights are an error here, below
            model = PeftModel.from_pretrained(model, folder, is_trainable=True)
    except (OSError, SafetensorError) as error:
        reason = type(error).__name__
        raise ValueError(
            f"the adapter in {folder} cannot be read ({reason}): restore it"
        ) from error
    except (RuntimeError, ValueError) as error:  # other widths, other names of layers
        raise ValueError(other) from error
    expected = get_peft_model_state_dict(model, save_embedding_layers=False)
    layers = {int(number) for name in saved for number in re.findall(r"\.layers\.(\d+)\.", name)}
    fewer = max(layers, default=0) + 1 < model.config.num_hidden_layers
    some = model.peft_config["default"].layers_to_transform is not None
    if saved.keys() != expected.keys() or (layers and fewer and not some):
        raise ValueError(other)
    return model


def save_adapter(model, folder: Path | str, training: dict | None) -> None:
    """Writes the adapter in PEFT format with its card. training: the run's configuration."""
    # else peft asks the hub, at every checkpoint, whether the base's embeddings were resized
    model.save_pretrained(folder, save_embedding_layers=False)
    config = model.peft_config["default"]
    card = adapter_card(config.base_model_name_or_path, config.r, training)
    Path(folder, "README.md").write_text(card, encoding="utf-8")  # instead of peft's empty one
