"""Where the files that ship with the package are."""

from pathlib import Path


def data_path(name: str) -> Path:
    """The path of a shipped data file or folder, in a clone (`data/`) or an installed wheel.

    The path is returned even if nothing is there yet: `pretrain-nano` writes to it.
    """
    package = Path(__file__).resolve().parent
    installed = package / "_data"
    return (installed if installed.is_dir() else package.parent / "data") / name
