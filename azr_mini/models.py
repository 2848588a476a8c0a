"""Finds and loads Hugging Face models: the nano base, a folder, or a name on the hub."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from azr_mini.resources import data_path

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_dtype(dtype: str, device: str) -> torch.dtype:
    """The arithmetic of that name; "auto" asks the hardware's capabilities, never a clock, so that
    it is the same in every run on one machine.
    """
    if dtype != "auto":
        if dtype not in DTYPES:
            raise ValueError(f"no dtype {dtype!r}: use auto, {', '.join(DTYPES)}")
        return DTYPES[dtype]
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16
    # elsewhere a CPU emulates bfloat16, slower than float32
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def find_model(name: str) -> str:
    """What transformers should load: a folder that exists, or a Hugging Face name."""
    if name == "nano":
        folder = data_path("nano_base")
        if not (folder / "config.json").is_file():
            raise ValueError(
                f"the nano base is missing from {folder.parent.name}/{folder.name}: restore it "
                "from the repository, or make it with `python -m azr_mini pretrain-nano`"
            )
        return str(folder)
    if name and Path(name).is_dir():
        if not any(Path(name, f).is_file() for f in ("config.json", "adapter_config.json")):
            raise ValueError(f"folder {name} holds no model: it has no config.json")
        return str(name)
    if not _HUB_NAME.fullmatch(name):
        raise ValueError(f"no model {name!r}: {_ADVICE}")
    return name


_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_ADVICE = "use 'nano', a folder, or a Hugging Face name such as Qwen/Qwen2.5-Coder-0.5B-Instruct"


def load_model(
    name: str, quantize: str | None, weights: torch.dtype, compute: torch.dtype, device: str
):
    """(model, tokenizer) with weights of that type on that device; ValueError, saying what to do,
    if they cannot be loaded. `quantize="nf4"` keeps the linear layers in 4 bits and computes in
    `compute`.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    source, options = find_model(name), {"dtype": weights}
    if quantize:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute,
        )
        options["device_map"] = {"": device}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        with _no_progress_bar():
            model = AutoModelForCausalLM.from_pretrained(source, **options).to(device)
    except ImportError as error:
        raise ValueError(f"cannot load {name!r} in 4 bits: pip install bitsandbytes") from error
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise ValueError(f"no model {name!r}: {_ADVICE} ({reason})") from error
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            # else a forward in evaluation mode repacks the weights for good, and gradients taken
            # later are wrong without an error
            module.support_avx512bf16_for_cpu = False
    model.name_or_path = name  # what an adapter's folder remembers as its base
    return model, tokenizer


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """The package is quiet; transformers would show one for every model that it loads."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def quiet_transformers() -> None:
    """Switches off the bars that transformers shows for each file."""
    from transformers.utils import logging

    logging.disable_progress_bar()
