"""What every result file says of how it was made."""

import json
import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from azr_mini.environment import environment, hardware  # noqa: E402

RESULTS = ROOT / "docs" / "results"


def header(script: str) -> dict:
    """Command, date, hardware with its load, and versions of this run of a script."""
    load = [round(value, 2) for value in os.getloadavg()]
    return {
        "command": shlex.join(["python", f"benchmarks/{script}", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware() | {"load_average": load},
        "environment": environment(),
    }


def write(path: Path, record: dict) -> None:
    """Writes a result file and says so; whoever is cut while writing leaves the old one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
    print(f"wrote {path}")
