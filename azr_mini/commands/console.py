"""What every command uses: printing, reading options. Only commands print."""

import contextlib
import io
import re

import tyro
from rich.console import Console

PROGRAM = "python -m azr_mini"
CONSOLE = Console(highlight=False)


def say(text) -> None:
    """Prints a line or a table at once, also into a pipe or a file."""
    CONSOLE.print(text, markup=False, soft_wrap=isinstance(text, str))
    CONSOLE.file.flush()


def parse(kind: type, command: str, arguments: list[str], default=None):
    """The options of a command; ValueError that says in one sentence why they cannot be read."""
    prog, complaint = f"{PROGRAM} {command}", io.StringIO()
    default = tyro.MISSING_NONPROP if default is None else default
    flat = (tyro.conf.OmitArgPrefixes,)  # --seed, not --config.seed
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(kind, prog=prog, args=arguments, default=default, config=flat)
    except SystemExit as ending:
        if not ending.code:
            raise  # --help
    sentence = _first_paragraph(complaint.getvalue())
    raise ValueError(f"{sentence} ({prog} --help lists the options)")


def _first_paragraph(boxed: str) -> str:
    """The text between title and ruler of a box that tyro drew, in colours or in plain ASCII."""
    _, *rows = [row.strip("│ ") for row in re.sub(r"\x1b\[[\d;]*m", "", boxed).splitlines()]
    is_ruler = [set(row) <= set("─-╰╯") for row in rows] + [True]
    start = is_ruler.index(False)
    text = rows[start : is_ruler.index(True, start)]
    return re.sub(r"^Error parsing \w+: ", "", " ".join(text)).rstrip(".")
