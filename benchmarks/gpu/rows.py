"""The rows of the check, in order of importance, and how each runs in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.gpu.build import Sizes
from benchmarks.gpu.gradients import gradients
from benchmarks.gpu.limits import GB, within
from benchmarks.gpu.nano import nano_loop
from benchmarks.gpu.paper_batch import paper_batch
from benchmarks.gpu.shapes import step_of_shape
from benchmarks.gpu.trl_row import against_trl
from benchmarks.gpu.vllm_row import vllm_on_gpu

MARK = "RECORD "  # what a row has found so far, as a line of its output
SCRIPT = Path(__file__).resolve().parents[1] / "gpu_check.py"
LEAST = 20.0  # seconds without which no row is begun


@dataclass(frozen=True)
class Row:
    """A part of the check; it yields what it found, piece by piece."""

    measure: Callable[[Sizes], Iterator[dict]]
    limit: float  # seconds


ROWS: dict[str, Row] = {
    **{f"shape-{s}": Row(partial(step_of_shape, s), 240) for s in ("1.5B", "7B", "3B", "0.5B")},
    "shape-14B": Row(partial(step_of_shape, "14B"), 360),
    "gradients": Row(gradients, 120),
    "limit-7B": Row(partial(within, "7B", 14 * GB), 120),
    "limit-14B": Row(partial(within, "14B", 22 * GB), 180),
    "trl": Row(against_trl, 240),
    "paper-batch": Row(paper_batch, 420),
    "nano": Row(nano_loop, 180),
    "vllm": Row(vllm_on_gpu, 300),
}


@dataclass(frozen=True)
class Outcome:
    """What a row found, and why it ended before its end ("" if it did not)."""

    found: dict
    reason: str


def found_by(name: str, sizes: Sizes) -> Iterator[dict]:
    """All that a row has found, after each of its pieces."""
    found: dict = {}
    for piece in ROWS[name].measure(sizes):
        found |= piece
        yield found


def in_its_own_process(
    command: Sequence[str], limit: float, stop: Callable[[], bool] = lambda: False
) -> Outcome:
    """What the newest record in the output of a command says; the command, and what it started, end
    after `limit` seconds at the latest, or soon after `stop` says so.
    """
    output, errors = (tempfile.TemporaryFile("w+", errors="replace") for _ in range(2))
    with output, errors:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=errors,
            start_new_session=True,
            env={"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", **os.environ},
        )
        try:
            reason = _why_cut(process, limit, stop)
        finally:
            with suppress(ProcessLookupError):  # also what a command that is over has left behind
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        errors.seek(0)
        said = [line.strip() for line in errors if line.strip()]
        records = [line for line in output if line.startswith(MARK) and line.endswith("\n")]
    if not reason and process.returncode:
        reason = said[-1][:300] if said else f"it ended with status {process.returncode}"
    found = json.loads(records[-1].removeprefix(MARK)) if records else {}
    if not (found or reason):
        reason = "it found nothing"
    return Outcome(found, reason)


def _why_cut(process: subprocess.Popen, limit: float, stop: Callable[[], bool]) -> str:
    """Waits for a process; why it must not go on, "" once it is over."""
    end = time.monotonic() + limit
    while process.poll() is None:
        if stop():
            return "it was interrupted"
        if time.monotonic() > end:
            return f"its {limit:.0f} seconds were up"
        time.sleep(0.02)
    return ""


def command_of(name: str, tiny: bool, device: str, new: int) -> list[str]:
    """The command of one row's process."""
    words = [
        sys.executable,
        str(SCRIPT),
        "--row",
        name,
        "--device",
        device,
        "--new-tokens",
        str(new),
    ]
    return words + (["--tiny"] if tiny else [])


def card_here() -> dict | None:
    """The GPU, asked by another process: this one would hold memory of it as long as it lives."""
    return in_its_own_process([sys.executable, str(SCRIPT), "--card"], 180).found.get("card")


def measured(
    names: Sequence[str],
    run: Callable[[str, float], Outcome],
    minutes: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[str, Outcome | None]]:
    """The outcome of each row in order; None for those that time was too short to begin.

    run: takes a row's name and the seconds that it may use.
    """
    end = None if minutes is None else clock() + 60 * minutes
    for name in names:
        limit = ROWS[name].limit
        if end is not None:
            limit = min(limit, end - clock())
        yield name, run(name, limit) if limit >= LEAST else None
