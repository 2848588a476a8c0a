"""Imports point down, and heavy libraries stay where they are needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "azr_mini"

# A module may import those above it in this list, and no other. A folder stands for its modules.
LAYERS = [
    ["tasks", "values", "resources", "memory", "licences"],
    ["programs", "hub", "model_card"],
    ["complexity", "distance"],
    ["sandbox", "trr", "baseline"],
    ["chat_wording"],
    ["prompts"],
    ["rewards", "buffer", "validate", "behaviour", "metrics"],
    ["behaviour_table"],
    ["segments"],
    ["recompute"],
    ["packing"],
    ["packed_batch", "models", "head", "loss_scale", "adapters", "templates"],
    ["policy"],
    ["joined", "key_values"],
    ["lean_linear"],
    ["lean_mlp"],
    ["lean"],
    ["decoding", "cores"],
    ["replay"],
    ["running"],
    ["sampler"],
    ["sampler_vllm"],
    ["samplers"],
    ["selfplay", "step_metrics"],
    ["config"],
    ["presets", "shapes"],
    ["held_memory"],
    ["working_memory"],
    ["estimate", "work"],
    ["step_time"],
    ["fit"],
    ["micro_batches"],
    ["learner"],
    ["train"],
    ["files", "environment"],
    ["checkpoints", "locking", "records"],
    ["runs"],
    ["recorded", "keeping", "progress", "reading"],
    ["evaluate", "health"],
    ["viz", "diagnose"],
    ["nano"],
    ["doctor", "options", "exercises"],
    ["lab"],
    ["report"],
    ["commands"],
    ["__main__"],
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
TORCH = {
    "policy", "models", "packing", "packed_batch", "decoding", "cores", "running", "sampler",
    "sampler_vllm", "samplers", "trr", "learner", "train", "runs", "nano", "head", "recompute",
    "loss_scale", "micro_batches", "joined", "lean", "lean_linear", "lean_mlp", "segments",
    "key_values", "replay",
}  # fmt: skip
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def layer(path):
    """The name under which a module stands in the list."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path, top_level_only=False):
    """The full names of the modules that a module imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    name = layer(path)
    assert name in RANK, f"give {name} its place in LAYERS"
    for module in imported(path):
        parts = module.split(".")
        if parts[0] == "azr_mini" and len(parts) > 1 and parts[1] in RANK:
            below = parts[1] == name or RANK[parts[1]] < RANK[name]
            assert below, f"{name} imports {module}, which does not stand above it in LAYERS"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_are_imported_where_they_belong(path):
    tops = {module.split(".")[0] for module in imported(path, top_level_only=True)}
    assert "torch" not in tops or layer(path) in TORCH
    assert not tops & {"transformers", "peft", "vllm", "bitsandbytes"}, "import it in the function"
    assert not tops & {"matplotlib", "ipywidgets"} or layer(path) == "viz"


LIGHT = ["tasks", "values", "programs", "prompts", "rewards", "buffer", "validate", "selfplay"]
LIGHT += [
    "step_metrics",
    "memory",
    "behaviour",
    "complexity",
    "distance",
    "metrics",
    "config",
    "presets",
    "shapes",
    "estimate",
    "fit",
    "sandbox",
    "evaluate.intervals",
    "viz.diagram",
    "viz.exams",
    "viz.groups",
]


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_load_no_heavy_library(name):
    code = (
        f"import sys, azr_mini.{name}\n"
        "print(sorted({'torch', 'transformers', 'matplotlib', 'pandas'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_package_itself_imports_nothing():
    assert list(imported(PACKAGE / "__init__.py")) == []
