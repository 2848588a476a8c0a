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

UNNAMED_ON_HUB = ("qwen", "qwen-research")
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
    fields = licence_fields(model)
    return fields.get("license_name") or fields.get("license")


def licence_fields(model: str) -> dict[str, str]:
    """What the head of a card says about the model's licence, in the words that the hub takes: a
    licence without a name of its own there is "other", with `license_name`. Empty if not known.
    """
    card = Path(model, "README.md")
    if card.is_file():
        _, _, rest = card.read_text(encoding="utf-8", errors="replace").partition("---\n")
        front, closed, _ = rest.partition("\n---")
        fields = dict(re.findall(r"^(license\w*): *['\"]?([^\s'\"]+)", front, flags=re.MULTILINE))
        if closed and fields:
            return fields
    licence = next((licence for name, licence in KNOWN if re.fullmatch(name, model)), None)
    if licence in UNNAMED_ON_HUB:
        link = f"https://huggingface.co/{model}/blob/main/LICENSE"
        return {"license": "other", "license_name": licence, "license_link": link}
    return {"license": licence} if licence else {}
