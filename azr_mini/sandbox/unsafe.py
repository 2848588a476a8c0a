"""Running programs without confinement: a plain process for each run, no fork. For the brave."""

import json
import os
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from azr_mini.sandbox.protocol import Reply, Request
from azr_mini.sandbox.zygotes import command, environment

WARNING = (
    "unsafe=True: model-written programs run WITHOUT confinement and can read, change and send "
    "anything that you can; use a machine that holds nothing you care about"
)


class UnsafeRunner:
    """Same interface as ConfinedRunner, a new interpreter for every request."""

    def __init__(self, workers: int, config: dict, python: str):
        self._workers = workers
        self._command = command(python, "once.py", config)

    def run(self, requests: Iterable[Request], receive: Callable[[Request, Reply], None]) -> None:
        """Calls `receive` once per request, in order."""
        requests = list(requests)
        pool = ThreadPoolExecutor(self._workers)
        try:
            for request, reply in zip(requests, pool.map(self._run, requests), strict=True):
                receive(request, reply)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, request: Request) -> Reply:
        env = environment(request.seed)
        if "SYSTEMROOT" in os.environ:  # without it no Python starts on Windows
            env["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
        try:
            done = subprocess.run(
                self._command,
                input=json.dumps(request.to_json()).encode("ascii"),
                capture_output=True,
                timeout=request.wall_seconds,
                env=env,
            )
        except subprocess.TimeoutExpired:
            return Reply("wall")
        return Reply("", max(0, -done.returncode), 0.0, done.stdout.decode("utf-8", "replace"))

    def close(self) -> None:
        """Nothing outlives a run."""
