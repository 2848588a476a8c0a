"""One request in one process, for `unsafe=True`: limits where the platform has them, no walls.

Started by file path like the zygote. Reads a request on stdin and writes the answer to stdout.
"""

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def load(name: str, path: Path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def limit(cpu_seconds: float, memory_bytes: int) -> None:
    """Bounds CPU time and memory where the platform can."""
    if hasattr(signal, "setitimer"):
        confine = load("azr_confine", HERE / "confine.py")
        confine.limit_memory(memory_bytes)
        confine.limit_cpu(cpu_seconds)


def main(config: dict) -> None:
    os.environ.update(config["environment"])
    sys.path += config["folders"]
    values = load("azr_values", HERE / config["values"])
    program = load("azr_program", HERE / config["program"])
    request = json.loads(sys.stdin.buffer.read())
    result = os.dup(1)
    sys.stdin = sys.stdout = sys.stderr = None  # print in a program does nothing
    limit(request["cpu"], config["memory_bytes"])
    for payload in program.run_programs(request["programs"], request["reverse"], values.canonical):
        while payload:
            payload = payload[os.write(result, payload) :]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
