"""Where models come from: the nano base, a folder, or a name on the Hugging Face hub."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from azr_mini.resources import data_path

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
ADVICE = "use 'nano', a folder, or a Hugging Face name such as Qwen/Qwen2.5-Coder-0.5B-Instruct"


def find_model(name: str) -> str:
    """What transformers should load: a folder that exists, or a Hugging Face name."""
    if name == "nano":
        folder = data_path("nano_base")
        if not (folder / "config.json").is_file():
            raise ValueError(
                f"the nano base is missing from {folder.parent.name}/{folder.name}: restore it "
                "from the repository, or make it with `python -m azr_mini pretrain-nano`"
            )
        return str(folder)
    if name and Path(name).is_dir():
        if not any(Path(name, f).is_file() for f in ("config.json", "adapter_config.json")):
            raise ValueError(f"folder {name} holds no model: it has no config.json")
        return str(name)
    if not _HUB_NAME.fullmatch(name):
        raise ValueError(f"no model {name!r}: {ADVICE}")
    return name


def quiet_hub() -> None:
    """Keeps the hub's client from warning of each of its tries: if all fail, `why_not_loaded` says
    it once.
    """
    logging.getLogger("huggingface_hub.utils._http").setLevel(logging.ERROR)


def why_not_loaded(name: str, error: Exception) -> str:
    """One sentence for the user: why no model of that name was loaded, and what to do."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    causes = list(_causes(error))

    def caused_by(*kinds: type) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if caused_by(GatedRepoError):
        return (
            f"{name} is gated: accept its licence at https://huggingface.co/{name}, then log in "
            "with `hf auth login` or set HF_TOKEN"
        )
    if caused_by(RepositoryNotFoundError):
        return (
            f"no model {name!r} on the hub, or it is private: {ADVICE}, or log in with "
            "`hf auth login`"
        )
    if caused_by(HfHubHTTPError):
        return f"the hub did not give {name}: {_first_line(error)}; try again, or give a folder"
    if caused_by(OfflineModeIsEnabled, LocalEntryNotFoundError, ConnectionError):
        return (
            f"{name} is not on this machine and the hub cannot be reached: download it once where "
            f"there is a network (`hf download {name}`), unset HF_HUB_OFFLINE, or give a folder"
        )
    return f"no model {name!r}: {ADVICE} ({_first_line(error)})"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = set()  # an error that was raised twice may be its own context
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
