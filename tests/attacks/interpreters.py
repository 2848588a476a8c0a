"""The interpreters of this machine that can run programs."""

import glob
import os
import shutil
import subprocess
import sys

VERSIONS = ["3.11", "3.12", "3.13"]


def find(version: str) -> str | None:
    """The path of a CPython of this version that runs; None where there is none."""
    if version.split(".") == [str(number) for number in sys.version_info[:2]]:
        return sys.executable
    # What is on PATH may be a script that only looks for the real one, in vain or not.
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    candidates = [shutil.which(f"python{version}")]
    candidates += sorted(glob.glob(f"{glob.escape(pyenv)}/versions/{version}.*/bin/python"))
    for candidate in filter(None, candidates):
        code = "import sys; print(sys.executable, *sys.version_info[:2], sys.implementation.name)"
        done = subprocess.run([candidate, "-c", code], capture_output=True, text=True)
        found = done.stdout.rsplit(maxsplit=3)
        if done.returncode == 0 and found[1:] == [*version.split("."), "cpython"]:
            return found[0]
    return None
