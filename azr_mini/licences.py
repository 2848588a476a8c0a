"""Under which licence a base model may be used, so that what is trained on it can say so."""

import re
from pathlib import Path

# The licence fields of the models' own cards on the hub; the first that fits counts.
KNOWN = (
    (r"nano", "mit"),
    (r"Qwen/Qwen2\.5(-Coder)?-3B.*", "qwen-research"),
    (r"Qwen/Qwen2\.5(-Math)?-72B.*", "qwen"),
    (r"Qwen/Qwen(2\.5|3)-.*", "apache-2.0"),
    (r"meta-llama/(Meta-)?Llama-3\.1-.*", "llama3.1"),
)

IN_WORDS = {
    "mit": "MIT",
    "apache-2.0": "Apache-2.0",
    "qwen": "Qwen licence",
    "qwen-research": "Qwen Research licence, not for commercial use",
    "llama3.1": "Llama 3.1 Community licence",
}


def licence_in_words(model: str) -> str:
    """What is said about the licence of a model before it is loaded."""
    licence = licence_of(model)
    return IN_WORDS.get(licence, licence) or "not known here: read the model's card"


def licence_of(model: str) -> str | None:
    """The licence of a folder's model, from its card (README.md), or of a known name; else None."""
    card = Path(model, "README.md")
    if card.is_file():
        _, _, rest = card.read_text(encoding="utf-8", errors="replace").partition("---\n")
        front, closed, _ = rest.partition("\n---")
        fields = dict(re.findall(r"^(license\w*): *['\"]?([\w.-]+)", front, flags=re.MULTILINE))
        named = fields.get("license_name") or fields.get("license")
        if closed and named:
            return named
    return next((licence for name, licence in KNOWN if re.fullmatch(name, model)), None)
