"""How an attack is written down."""

import textwrap
from dataclasses import dataclass


def program(body: str, *, before: str = "", parameters: str = "a") -> str:
    """The text of `def f(a)` with the given body."""
    body = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return f"{textwrap.dedent(before)}\ndef f({parameters}):\n{body}\n"


@dataclass(frozen=True)
class Attack:
    """One hostile program, the verdicts that are right, and where its harm would show.

    `body` is that of `def f(a)`, behind `before`; with `text` the program is that text as it is.
    @words@ in a program are filled in by `harm.World`. `right` holds statuses, without the static
    check; with it, a program that the check refuses must be refused. When "ok" is right, `value` is
    the only output that may come with it (None: whatever is honest, the harm is looked for
    elsewhere). `harm` names functions of `harm.py`.
    """

    name: str
    body: str = ""
    right: str = "unsafe"
    harm: str = ""
    before: str = ""
    inputs: tuple[str, ...] = ("1",)
    value: str | None = None
    text: str | None = None

    @property
    def program(self) -> str:
        """The whole program."""
        return program(self.body, before=self.before) if self.text is None else self.text

    @property
    def verdicts(self) -> set[str]:
        """The statuses that are right without the static check."""
        return set(self.right.split())

    @property
    def looks(self) -> list[str]:
        """The names of the harm checks."""
        return self.harm.split()
