"""The answer inside a whole completion: tags first, then fenced blocks."""

import re

from azr_mini.chat_wording import fences
from azr_mini.prompts import ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN
from azr_mini.sandbox.static_check import Refused, parse

TAGS = ((ANSWER_OPEN, ANSWER_CLOSE), ("[ANSWER]", "[/ANSWER]"))  # ours and AZR's; CruxEval's
PYTHON = ("python", "python3", "py", "")


def spoken(text: str) -> str:
    """What comes after the last thought; nothing where a thought never ends."""
    if THINK_OPEN in text and THINK_CLOSE not in text:
        return ""
    return text.rpartition(THINK_CLOSE)[2]


def last_answer(text: str) -> str | None:
    """What stands between the last answer tags after the thoughts; None where no pair is there."""
    text = spoken(text)
    for opening, closing in TAGS:
        before, closed, _ = text.rpartition(closing)
        _, opened, answer = before.rpartition(opening)
        if closed and opened:
            return answer
    return None


def last_block(answer: str, names: tuple[str, ...]) -> str | None:
    """The last fenced block of one of these names, without one the whole answer; stripped.

    None where there is no block and nothing else.
    """
    blocks = [content for name, content in fences(answer) if name in names]
    if blocks:
        return blocks[-1].strip()
    answer = answer.strip()
    quoted = re.fullmatch(r"`+([^`]+)`+", answer)
    return (quoted[1].strip() if quoted else answer) or None


def program_in(text: str) -> str | None:
    """The program of a completion: in its answer if it has one, the last Python block, else all
    of the text if that is Python. None where there is no such thing."""
    answer = last_answer(text)
    answer = spoken(text) if answer is None else answer
    blocks = [content for name, content in fences(answer) if name in PYTHON]
    if blocks:
        return blocks[-1]
    if "```" in answer:
        return None  # a block that was cut off
    try:
        return answer if parse(answer).body else None
    except Refused:
        return None
