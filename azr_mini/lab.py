"""What every notebook begins with: the loop, what is here, and an executor.

Errors that a reader can do something about are shown as one sentence, without a traceback.
"""

import os
import sys

from azr_mini.environment import hardware, software
from azr_mini.sandbox import Executor, SandboxError
from azr_mini.viz.diagram import loop_svg

SMOKE = os.environ.get("SMOKE") == "1"  # the shortest run that still executes every cell

NO_SANDBOX = (
    "{error}. In this notebook that is `executor = start({part!r}, unsafe=True)`: what the model "
    "writes then runs as if you had written it, and could read or delete your files. On a "
    "throw-away machine such as Colab that may be acceptable."
)


class Shown(Exception):
    """A sentence for the reader; nothing is wrong with the notebook."""


def start(part: str, *, unsafe: bool = False) -> Executor:
    """Shows the loop with `part` lit and what is here; returns a started executor.

    Where the sandbox does not work it says which layer is missing and what `unsafe` would mean.
    """
    show_sentences()
    _show_svg(loop_svg(part))
    try:
        executor = Executor(unsafe=unsafe)
    except SandboxError as error:
        raise Shown(NO_SANDBOX.format(error=str(error).rstrip("."), part=part)) from None
    print(describe(executor))
    return executor


def describe(executor: Executor) -> str:
    """Versions, cores, device, and whether the sandbox confines, a line each."""
    import torch

    record = software()
    versions = record["versions"]
    here = versions["azr-mini"] or "from its folder"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none needed, none used"
    layers = executor.layers()
    off = [f"{layer.name} ({layer.detail})" for layer in layers if not layer.active]
    lines = [
        f"azr-mini {here}, Python {record['python']}, torch {versions['torch']}",
        f"{hardware()['cores']} cores, GPU: {gpu}",
        f"sandbox: {len(layers) - len(off)} of {len(layers)} tests of its confinement passed"
        + "".join(f"\n  off: {what}" for what in off),
    ]
    if SMOKE:
        lines.append("SMOKE=1: everything is as short as it can be, numbers mean nothing")
    return "\n".join(lines)


def show_sentences() -> None:
    """Makes IPython print errors that are meant for the reader as one sentence."""
    if "IPython" not in sys.modules:
        return
    from IPython import get_ipython

    shell = get_ipython()
    if shell is not None:
        shell.set_custom_exc((Shown, SandboxError, ValueError), _print_sentence)


def _print_sentence(shell, kind, error, traceback, tb_offset=None):
    """Prints the message of our own errors, whose traceback `%tb` still shows; other people's keep
    theirs.
    """
    if kind is ValueError and not _is_ours(traceback):
        shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)
    else:
        sys.last_type, sys.last_value, sys.last_traceback = kind, error, traceback
        print(error, file=sys.stderr)
    return [f"{kind.__name__}: {error}"]


def _is_ours(traceback) -> bool:
    """Whether the error was raised in this package, which explains its errors."""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "azr_mini"


def _show_svg(svg: str) -> None:
    if "IPython" in sys.modules:
        from IPython.display import SVG, display

        display(SVG(svg))
