"""The card of a trained adapter: its base and that base's licence, how it was trained."""

import json
from pathlib import Path

from azr_mini.licences import licence_fields, licence_of

UNKNOWN_LICENCE = "unknown: ask whoever gave you the base"


def adapter_card(base: str, rank: int, training: dict | None) -> str:
    """The README.md of an adapter's folder. training: the fields of the run's configuration."""
    licence = licence_of(base)
    front = ["library_name: peft", "pipeline_tag: text-generation", "tags: [lora, azr-mini]"]
    if "/" in base and not base.startswith((".", "/")) and not Path(base).is_dir():
        front.insert(0, f"base_model: {base}")
    front = [f"{name}: {value}" for name, value in licence_fields(base).items()] + front
    return "\n".join(
        [
            "---",
            *front,
            "---",
            "",
            "# LoRA adapter, trained by self-play",
            "",
            f"- Base: `{base}`",
            f"- Licence of the base, which binds this adapter too: {licence or UNKNOWN_LICENCE}",
            f"- Rank {rank}, on all linear layers but the head",
            "",
            "Trained by azr-mini: the model proposes tasks of Python reasoning, a Python executor",
            "checks them, the same model solves them (Absolute Zero, arXiv 2505.03335). No human",
            "tasks were used.",
            "",
            "```python",
            "from azr_mini.policy import load_policy",
            "",
            'policy = load_policy("THIS FOLDER")  # or peft.AutoPeftModelForCausalLM',
            "```",
            "",
            "## How it was trained",
            "",
            *_training(training),
        ]
    )


def _training(training: dict | None) -> list[str]:
    if training is None:
        return ["It was not trained by a run of azr-mini.", ""]
    return ["```json", json.dumps(training, indent=2), "```", ""]
