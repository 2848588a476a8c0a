"""What is here and what is missing: versions, device, confinement, shipped files."""

import importlib.util
import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from azr_mini.environment import software
from azr_mini.resources import data_path

OPTIONAL = {
    "bitsandbytes": "4-bit models: pip install bitsandbytes",
    "vllm": "fast sampling on a GPU (Linux x86-64): pip install 'azr-mini[gpu]'",
    "ipywidgets": "the notebooks' sliders: pip install 'azr-mini[notebooks]'",
}


@dataclass(frozen=True)
class Finding:
    """One row: what was looked at, what was found, and what to do about it if that is not all."""

    name: str
    found: str
    advice: str = ""
    ok: bool = True  # False: something will not work without it


def examine() -> list[Finding]:
    """Every finding, in the order in which they are worth reading."""
    return [*_software(), *_device(), *_files(), *_sandbox()]


def _software() -> list[Finding]:
    record = software()
    found = [Finding("python", f"{record['python']} on {record['platform']}")]
    found.append(Finding("azr-mini", record["versions"]["azr-mini"] or "used from its folder"))
    for name in ("torch", "transformers", "peft", "numpy"):
        installed = record["versions"][name]
        if installed:
            found.append(Finding(name, installed))
        else:
            found.append(Finding(name, "not installed", f"pip install {name}", ok=False))
    for name, advice in OPTIONAL.items():
        try:
            found.append(Finding(name, version(name)))
        except PackageNotFoundError:
            found.append(Finding(name, "not installed, optional", advice))
    return found


def _device() -> list[Finding]:
    if importlib.util.find_spec("torch") is None:
        return []
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    kind = f"{torch.backends.cpu.get_cpu_capability()}, {'fast' if bf16 else 'no fast'} bfloat16"
    findings = [Finding("cpu", f"{cores} cores, {kind}, torch uses {torch.get_num_threads()}")]
    if not torch.cuda.is_available():
        advice = "the nano model needs none; models of 0.5B and more do"
        return [*findings, Finding("gpu", "none that torch can use", advice)]
    from azr_mini.fit import find_cards

    return [*findings, *(gpu_finding(i, card) for i, card in enumerate(find_cards()))]


def gpu_finding(index: int, card) -> Finding:
    """A GPU's name, memory and compute capability, and the preset that fits it."""
    from azr_mini.fit import largest_preset

    capability = ".".join(map(str, card.capability))
    fits = largest_preset(card.memory)
    advice = "" if fits else "too small for a preset: train nano, or see train --estimate"
    found = f"{card}, compute capability {capability}" + (f", fits --preset {fits}" if fits else "")
    return Finding(f"gpu {index}", found, advice)


def _files() -> list[Finding]:
    from azr_mini.evaluate.heldout import load_heldout_tasks
    from azr_mini.tasks import load_seed_tasks

    weights = data_path("nano_base") / "model.safetensors"
    advice = "restore data/nano_base or run: python -m azr_mini pretrain-nano"
    base = Finding("nano base", "missing", advice, ok=False)
    if weights.exists():
        base = Finding("nano base", f"{weights.stat().st_size / 1e6:.1f} MB")
    return [
        base,
        _readable("seed tasks", lambda: load_seed_tasks(data_path("seed_triples.json"))),
        _readable("held-out set", load_heldout_tasks),
    ]


def _readable(name: str, load) -> Finding:
    try:
        return Finding(name, f"{len(load())} tasks")
    except ValueError as error:
        return Finding(name, "unusable", str(error), ok=False)


def _sandbox() -> list[Finding]:
    from azr_mini.sandbox import Executor, SandboxError

    try:
        with Executor(workers=1) as executor:
            layers = executor.layers()
    except SandboxError as error:
        return [Finding("sandbox", "does not work", str(error), ok=False)]
    return [
        Finding(f"sandbox: {layer.name}", layer.detail if layer.active else f"off: {layer.detail}")
        for layer in layers
    ]
