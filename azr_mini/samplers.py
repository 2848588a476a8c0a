"""Which sampler a run gets: the one it asked for, or the torch sampler and a reason."""

import gc
import re
import warnings
from collections.abc import Callable
from importlib.util import find_spec

import torch

from azr_mini.policy import Policy
from azr_mini.sampler import Sampler
from azr_mini.sampler_vllm import EngineError, VllmSampler, import_vllm, in_one_line

VLLM = ((0, 26), (0, 33))  # from the first, below the second; docs/samplers.md says what was tried
NEEDS_PLUGIN = (0, 28)  # from this version on bitsandbytes is in a package of its own
OLDEST_GPU = (7, 5)  # compute capability: a T4


def make_sampler(
    policy: Policy, config, tell: Callable[[str], None] = warnings.warn
) -> Sampler | VllmSampler:
    """The sampler that the configuration names.

    Where vLLM cannot serve, `tell` gets one sentence that says why, and torch samples.
    """
    if config.sampler == "torch":
        return Sampler(policy, config.max_batch)
    reason = why_not_vllm(policy, config)
    if not reason:
        try:
            return VllmSampler(policy, config)
        except EngineError as error:
            reason = str(error)
        gc.collect()  # an engine that came half way holds weights
    tell(f"sampling with torch instead of vllm: {reason}")
    return Sampler(policy, config.max_batch)


def why_not_vllm(policy: Policy, config) -> str:
    """Why vLLM cannot sample for this policy here and what to do about it, or ""."""
    if policy.device.type == "cuda":
        capability = torch.cuda.get_device_capability(policy.device)
        if reason := why_not_gpu(capability, policy.device.index or 0):
            return reason
    if find_spec("vllm") is None:
        return "it is not installed (Linux x86-64: pip install 'azr-mini[gpu]')"
    try:
        vllm = import_vllm()
        version = version_of(vllm.__version__)
        if reason := why_not_version(version, config.sampler_quantize, _has_plugin()):
            return reason
        from vllm.platforms import current_platform

        known = vllm.ModelRegistry.get_supported_archs()
    except Exception as error:  # of any kind, if it was built for another torch
        return f"it is installed but cannot be imported ({in_one_line(error)})"
    if current_platform.device_type != policy.device.type:
        return (
            f"this build of it runs on {current_platform.device_type or 'no device that is here'} "
            f"and the model is on {policy.device.type}"
        )
    missing = set(policy.model.config.architectures or ()) - set(known)
    return f"it does not know the model class {missing.pop()}" if missing else ""


def why_not_gpu(capability: tuple[int, int], index: int = 0) -> str:
    """What is wrong with the GPU of this number and compute capability, or ""."""
    if index:
        return (
            f"it takes the first GPU that it sees and the model is on cuda:{index}: use "
            f"CUDA_VISIBLE_DEVICES={index} with --device cuda"
        )
    if capability >= OLDEST_GPU:
        return ""
    found, needed = (".".join(map(str, pair)) for pair in (capability, OLDEST_GPU))
    return f"this GPU has compute capability {found}, it needs {needed} or newer"


def version_of(text: str) -> tuple[int, int]:
    """The first two numbers of a version; (0, 0) if it has none."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def why_not_version(version: tuple[int, int], quantize: str | None, has_plugin: bool) -> str:
    """What is wrong with this version of vLLM, or ""."""
    oldest, limit = VLLM
    if not oldest <= version < limit:
        bounds = (version, oldest, (limit[0], limit[1] - 1))
        found, first, last = (".".join(map(str, pair)) for pair in bounds)
        return f"its version is {found}, ours goes with {first} to {last}"
    if quantize and version >= NEEDS_PLUGIN and not has_plugin:
        return "for a base in 4 bits it needs a plugin (pip install vllm-bnb-plugin)"
    return ""


def _has_plugin() -> bool:
    return find_spec("vllm_bnb_plugin") is not None
