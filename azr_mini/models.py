"""Loads Hugging Face models: the nano base, a folder, or a name on the hub."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from azr_mini.hub import find_model, quiet_hub, why_not_loaded

# whose arithmetic we know: the logits are the head of what the body returns
ARCHITECTURES = ("llama", "qwen2", "qwen3")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(device: str | None) -> str:
    """That device, or a GPU if there is one; ValueError if it is a GPU and there is none."""
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"device is {device} but PyTorch finds no CUDA GPU: use --device cpu, or install a "
            "driver and a PyTorch made for CUDA (`azr-mini doctor` says what is here)"
        )
    return device


def choose_dtype(dtype: str, device: str, capability: tuple[int, int] | None = None) -> torch.dtype:
    """The arithmetic of that name; "auto" asks the hardware's capabilities, never a clock, so that
    it is the same in every run on one machine.

    capability: the GPU's compute capability, asked of it if None. ValueError for bfloat16 on one
    that has none.
    """
    if dtype not in ("auto", *DTYPES):
        raise ValueError(f"no dtype {dtype!r}: use auto, {', '.join(DTYPES)}")
    if device.startswith("cuda") and dtype in ("auto", "bfloat16"):
        capability = capability or torch.cuda.get_device_capability(device)
        if capability >= (8, 0):
            return torch.bfloat16
        if dtype == "bfloat16":
            found = ".".join(map(str, capability))
            raise ValueError(
                f"dtype is bfloat16 but this GPU (compute capability {found}, below 8.0) has none: "
                "use --dtype float16, or auto"
            )
        return torch.float16
    if dtype != "auto":
        return DTYPES[dtype]
    # elsewhere a CPU emulates bfloat16, slower than float32
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def load_model(
    name: str, quantize: str | None, weights: torch.dtype, compute: torch.dtype, device: str
):
    """(model, tokenizer) with weights of that type on that device; ValueError, saying what to do,
    if they cannot be loaded. `quantize="nf4"` keeps the linear layers in 4 bits and computes in
    `compute`.
    """
    from safetensors import SafetensorError
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
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"{name!r} does not fit into the memory of this GPU: use --quantize nf4 with "
            "--lora-rank 16, or a smaller model"
        ) from error
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ValueError(why_not_loaded(name, error)) from error
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
    quiet_hub()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def quiet_transformers() -> None:
    """Switches off the bars that transformers shows for each file, the hub's warnings of each try,
    and the warning of bitsandbytes on a CPU that a faster kernel could be downloaded.
    """
    import logging as python_logging

    from transformers.utils import logging

    logging.disable_progress_bar()
    quiet_hub()
    python_logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(python_logging.ERROR)
