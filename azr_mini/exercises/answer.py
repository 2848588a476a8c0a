"""What an exercise of a notebook says about an answer."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Checked:
    """Whether an answer is right (None: not answered yet) and one sentence for its author."""

    passed: bool | None
    sentence: str

    def __repr__(self) -> str:
        word = {True: "passed", False: "not yet", None: "not answered"}[self.passed]
        return f"{word}: {self.sentence}"


def ask(check: Callable[[object], Checked], answer: object) -> Checked:
    """What `check` says about an answer; an answer that is missing, or that raises, is a sentence.

    None and ... are the answers of an exercise that nobody has touched.
    """
    if answer is None or answer is ...:
        return Checked(None, "replace the ... above and run the cell again")
    try:
        return check(answer)
    except NotImplementedError:
        return Checked(None, "write the body of the function and run the cell again")
    except Exception as error:  # the border: whatever a reader wrote, the notebook goes on
        reason = f"{type(error).__name__}: {error}"[:200]
        return Checked(False, f"your answer raised {reason}")
