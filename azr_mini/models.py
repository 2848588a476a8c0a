"""Loads Hugging Face models: the nano base, a folder, or a name on the hub."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from azr_mini.hub import find_model, first_sentence, load_config, quiet_hub, why_not_loaded
from azr_mini.memory import gpu_memory_ran_out

# whose arithmetic we know: the logits are the head of what the body returns
ARCHITECTURES = ("llama", "qwen2", "qwen3")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(device: str | None) -> str:
    """That device, or a GPU if there is one; ValueError if it is a GPU and there is none."""
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.partition(":")[0] not in ("cpu", "cuda", "mps"):
        raise ValueError(f"no device {device!r}: use cpu or cuda")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"device is {device} but PyTorch finds no CUDA GPU: use --device cpu, or install a "
            "driver and a PyTorch made for CUDA (`azr-mini doctor` says what is here)"
        )
    number, count = device.partition(":")[2], torch.cuda.device_count()
    if device.startswith("cuda") and number and not (number.isdigit() and int(number) < count):
        raise ValueError(f"device is {device} but there are {count} GPUs: use cuda or cuda:0")
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
    _require_plain_weights(name, load_config(name))
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        with _quiet():
            model, found = AutoModelForCausalLM.from_pretrained(
                source,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # a refusal of our own, below
                **options,
            )
            model = model.to(device)
    except ImportError as error:
        advice = "pip install bitsandbytes" if quantize else first_sentence(error)
        raise ValueError(
            f"cannot load {name!r}{' in 4 bits' * bool(quantize)}: {advice}"
        ) from error
    except Exception as error:  # whatever a stranger's files do to the libraries that read them
        if gpu_memory_ran_out(error):
            raise ValueError(
                f"{name!r} does not fit into the memory of this GPU: use --quantize nf4 with "
                "--lora-rank 16, or a smaller model"
            ) from error
        raise ValueError(why_not_loaded(name, error)) from error
    _require_whole(name, model, tokenizer, found)
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            # else a forward in evaluation mode repacks the weights for good, and gradients taken
            # later are wrong without an error
            module.support_avx512bf16_for_cpu = False
    model.name_or_path = name  # what an adapter's folder remembers as its base
    return model, tokenizer


def _require_plain_weights(name: str, config) -> None:
    """ValueError if the weights are stored quantized: what trains beside them was not tried."""
    stored = getattr(config, "quantization_config", None)
    if stored:
        kind = stored["quant_method"] if isinstance(stored, dict) else stored.quant_method
        raise ValueError(
            f"the weights of {name} are stored in fewer bits ({kind}): name the model that they "
            "were made from, and use --quantize nf4 to hold it in 4 bits"
        )


def _require_whole(name: str, model, tokenizer, found: dict) -> None:
    """ValueError if weights are missing, which would be random, or the tokenizer is not the
    model's. found: what transformers says of the weights.
    """
    lacking = [*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])]
    if lacking:
        raise ValueError(
            f"the weights of {name} are not what its config.json describes: {min(lacking)} is "
            f"missing or of another shape, as are {len(lacking) - 1} others: get its files again"
        )
    if not tokenizer.encode("x", add_special_tokens=False):  # made up by transformers
        raise ValueError(
            f"{name} has no tokenizer: put its tokenizer.json and tokenizer_config.json into the "
            "folder"
        )
    rows, ids = model.get_input_embeddings().num_embeddings, tokenizer.get_vocab().values()
    if max(ids) >= rows:
        raise ValueError(
            f"the tokenizer of {name} has ids up to {max(ids)} but the model knows {rows} tokens: "
            "get the model and its tokenizer from the same place"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """The package is quiet; transformers would show a bar for every model that it loads, and a
    table of the weights that it misses.
    """
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    quiet_hub()
    try:
        yield
    finally:
        logging.set_verbosity(level)
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
