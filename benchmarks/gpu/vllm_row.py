"""Row: vLLM on the GPU, by benchmarks/vllm_check.py, which says what is compared."""

import importlib.util
from collections.abc import Iterator

from benchmarks.gpu.build import Sizes

MODEL = "nano in bfloat16"


def vllm_on_gpu(sizes: Sizes) -> Iterator[dict]:
    """Its tokens, gaps and adapter swaps, and its memory asleep; what is missing without vLLM."""
    if importlib.util.find_spec("vllm") is None:
        yield {"missing": "vllm is not installed"}
        return
    from benchmarks.vllm_check import check

    yield check(MODEL, sizes.device)
