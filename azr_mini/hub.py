"""Where models come from: the nano base, a folder, or a name on the Hugging Face hub."""

import errno
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from azr_mini.resources import data_path

_HUB_NAME = re.compile(r"\w[\w.-]*/[\w.-]+")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ENOTDIR)
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
        if Path(name, "metrics.jsonl").is_file():
            raise ValueError(f"folder {name} is a run: name the model it saved, {name}/checkpoint")
        return str(name)
    if not _HUB_NAME.fullmatch(name):
        raise ValueError(f"no model {name!r}: {ADVICE}")
    return name


def quiet_hub() -> None:
    """Keeps the hub's client from warning of each of its tries: if all fail, `why_not_loaded` says
    it once.
    """
    logging.getLogger("huggingface_hub.utils._http").setLevel(logging.ERROR)


def load_config(name: str):
    """The transformers configuration of a model; ValueError, saying what to do, if none is found.

    A model's own code is never run, and nobody is asked whether it may.
    """
    from transformers import AutoConfig

    source = find_model(name)
    quiet_hub()
    try:
        return AutoConfig.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # whatever a stranger's file does to the library that reads it
        raise ValueError(why_not_loaded(name, error)) from error


def why_not_loaded(name: str, error: Exception) -> str:
    """One sentence for the user: why no model of that name was loaded, and what to do."""
    causes, reason = list(_causes(error)), first_sentence(error)
    if Path(name).is_dir():
        return (
            f"the model in {name} cannot be loaded ({reason}): get its files again, or use another "
            "model"
        )
    if said := _why_not_given(name, causes, reason):
        return said
    disk = next((c for c in causes if isinstance(c, OSError) and c.errno in _DISK), None)
    if disk is not None:
        return (
            f"{name} cannot be kept on this machine ({disk.strerror}): make room, or let HF_HOME "
            "name a folder elsewhere that may be written"
        )
    return f"{name} cannot be loaded ({reason}): {ADVICE}"


def _why_not_given(name: str, causes: list[BaseException], reason: str) -> str | None:
    """What the hub or the way to it refused; None if it was neither."""
    import httpx
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    def found(*kinds: type) -> BaseException | None:
        return next((cause for cause in causes if isinstance(cause, kinds)), None)

    if found(GatedRepoError):
        return (
            f"{name} is gated: accept its licence at https://huggingface.co/{name}, then log in "
            "with `hf auth login` or set HF_TOKEN"
        )
    if found(RepositoryNotFoundError):
        return (
            f"no model {name!r} on the hub, or it is private: {ADVICE}, or log in with "
            "`hf auth login`"
        )
    if refusal := found(HfHubHTTPError):
        status = refusal.response.status_code
        if status in (401, 403):
            return (
                f"the hub refuses the token of this machine ({status} for {name}): log in again "
                "with `hf auth login`, or unset HF_TOKEN"
            )
        return f"the hub did not give {name} ({status}, {reason}): try again, or give a folder"
    if found(OfflineModeIsEnabled, LocalEntryNotFoundError, ConnectionError):
        return (
            f"{name} is not on this machine and the hub cannot be reached: download it once where "
            f"there is a network (`hf download {name}`), unset HF_HUB_OFFLINE, or give a folder"
        )
    if found(httpx.TransportError):
        return f"the download of {name} broke off: try again (files that are whole are kept)"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = set()  # an error that was raised twice may be its own context
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def first_sentence(error: Exception) -> str:
    """What an error says, up to its first full stop or line; its kind if it says nothing."""
    text = re.split(r"\.\s|\n", str(error).strip())[0]
    return text[:200].rstrip(".:") or type(error).__name__
