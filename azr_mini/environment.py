"""What besides the configuration decides the numbers of a run."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("azr-mini", "torch", "transformers", "peft", "bitsandbytes", "vllm", "numpy")


def environment(policy=None) -> dict:
    """What besides the configuration decides the numbers: versions, device, threads, dtype."""
    record = software()
    if policy is not None:
        import torch

        record |= {"device": policy.device.type, "threads": torch.get_num_threads()}
        record["dtype"] = dtype_name(policy)
    return record


def dtype_name(policy) -> str:
    """The arithmetic of a policy, as the configuration spells it."""
    return str(policy.dtype).removeprefix("torch.")


def software() -> dict:
    """Python, platform and versions of the packages that decide the numbers."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
    }


def hardware() -> dict:
    """Processor and number of cores of this machine."""
    cpu, listed = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if listed.exists():
        lines = listed.read_text(encoding="utf-8").splitlines()
        names = {x.partition(":")[2].strip() for x in lines if x.startswith("model name")}
        cpu = ", ".join(sorted(names)) or cpu
    return {"cpu": cpu, "cores": os.cpu_count()}
