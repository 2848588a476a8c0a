# Finds azr_mini, or installs it from a clone, an uploaded wheel or zip, or its address. No login.
import importlib.util
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

REPOSITORY = ""
here, found = Path.cwd(), importlib.util.find_spec("azr_mini")
clones = [p for p in (here, *here.parents, *here.glob("azr*mini*")) if (p / "azr_mini").is_dir()]
files = [*here.glob("azr_mini*.whl"), *here.glob("azr*mini*.zip")]
address = [f"git+{REPOSITORY}"] if REPOSITORY else []
source = next(map(str, clones + files + address), None)
if sys.version_info < (3, 11):
    sys.exit(f"azr-mini needs Python 3.11 or newer; this kernel is {sys.version.split()[0]}.")
if not found and source is None:
    sys.exit("azr_mini is not here: upload its wheel or zip into this folder, or clone it there.")
if not found and not importlib.util.find_spec("torch"):
    sys.exit("PyTorch is not installed: start the notebooks with `make lab`, which installs it.")
if not found:  # the torch that is here stays
    pip = [sys.executable, "-m", "pip", "install", "-q", source, f"torch=={version('torch')}"]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"azr_mini could not be installed from {source}: {done.stderr.strip()[-300:]}")
    importlib.invalidate_caches()
