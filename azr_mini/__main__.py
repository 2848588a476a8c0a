"""The command line: `python -m azr_mini COMMAND`, also installed as `azr-mini`.

Heavy libraries are imported inside the commands, so that help and mistakes answer at once.
"""

import sys
import traceback
from pathlib import Path

from azr_mini.commands.console import PROGRAM, say
from azr_mini.commands.diagnose import diagnose
from azr_mini.commands.evaluate import evaluate
from azr_mini.commands.look import doctor, plot, show
from azr_mini.commands.pretrain import pretrain_nano
from azr_mini.commands.train import train
from azr_mini.memory import gpu_memory_ran_out
from azr_mini.presets import PRESETS
from azr_mini.sandbox import SandboxError

COMMANDS = {
    "train": (train, "self-play; prints a table before/after and the paths of the figures"),
    "evaluate": (evaluate, "scores of a model or a run on held-out tasks or benchmarks"),
    "plot": (plot, "the figures of a run as PNG files"),
    "diagnose": (diagnose, "what is wrong with a run, if anything, and what to do"),
    "show": (show, "prompts, answers and verdicts of a run as text"),
    "doctor": (doctor, "versions, device, confinement, what is missing and how to get it"),
    "pretrain-nano": (pretrain_nano, "make the nano base that data/nano_base holds"),
}

OUT_OF_MEMORY = (
    "the memory of the GPU ran out; what was saved is whole: use --quantize nf4 with --lora-rank "
    "16, lower --max-new-tokens, --max-prompt-tokens or --batch-size, or take a smaller model"
)


def main(arguments: list[str] | None = None) -> int:
    """Runs a command and returns the exit status: 2 for a mistake of the user's."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        say(__doc__.partition("\n")[0] + "\n")
        for command, (_, about) in COMMANDS.items():
            say(f"  {command:<14} {about}")
        say(f"\n{PROGRAM} COMMAND --help lists the options. Presets: {', '.join(PRESETS)}")
        return 0
    try:
        if name not in COMMANDS:
            raise ValueError(f"no command {name!r}: use {', '.join(COMMANDS)}")
        return COMMANDS[name][0](rest)
    except SandboxError as error:
        print(f"azr-mini: {error} (here: --unsafe)", file=sys.stderr)
        return 2
    except ValueError as error:
        if not _is_ours(error):
            raise
        print(f"azr-mini: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        if not gpu_memory_ran_out(error):
            raise
        print(f"azr-mini: {OUT_OF_MEMORY}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("azr-mini: stopped", file=sys.stderr)
        return 130


def _is_ours(error: Exception) -> bool:
    """Whether our code raised it, to say something to the user; else it is a bug, with a trace."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    return Path(last).is_relative_to(Path(__file__).parent)


if __name__ == "__main__":
    sys.exit(main())
