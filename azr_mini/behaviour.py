"""What completions do, for people to look at: it never enters a reward.

The paper and its authors describe what their models took to without being asked: plans as comments
inside programs, inputs that are tried and rejected, variables followed step by step (appendix C.3),
and one thought of a proposer that wanted to outsmart machines and less intelligent humans
(figure 32, the "uh-oh moment"). These are simple detectors of such texts, for both dialects: they
miss what is worded in another way.
"""

import re
from enum import Enum

from azr_mini.chat_wording import fences
from azr_mini.prompts import ANSWER_OPEN, INPUT, OUTPUT, split_completion, thought


class Behaviour(Enum):
    """What a completion can be seen to do."""

    PLAN = "plan in comments"
    TRIAL = "trial and error"
    STATE = "state tracking"
    FLAGGED = "flagged phrase"


def behaviours(completion: str) -> list[Behaviour]:
    """What a completion does, each at most once."""
    thinking = _thinking(completion)
    seen = {
        Behaviour.PLAN: len(planned_steps(completion)) >= 2,
        Behaviour.TRIAL: tries_and_rejects(completion),
        Behaviour.STATE: tracks_state(thinking),
        Behaviour.FLAGGED: bool(flagged_phrases(thinking)),
    }
    return [behaviour for behaviour, shown in seen.items() if shown]


def _thinking(completion: str) -> str:
    return thought(completion).partition(ANSWER_OPEN)[0]  # also of a think part without an end


# ---- plans as comments ---------------------------------------------------------------------------

WORDS = re.compile(r"[^\W\d_]{2,}")
CODE = re.compile(  # a comment that is code, not words
    r"(?:if|elif|else|for|while|import|from|def|class|print|assert|try|with)\b.*[:=(\[]"
    r"|return\b(?:\s+\S+$|.*[-+*/%=(\[])|[\w.\[\]]+\s*(?:[-+*/%|&]|//)?=(?!=)|[\w.]+\(.*\)\s*$"
)


def planned_steps(completion: str) -> list[str]:
    """The comments inside functions that say in words what the lines below them do, in order.

    Code is what stands in ```python blocks, or the answer where there are none. A comment counts
    if it has its own line, two words or more and an indented line below; neighbours are one.
    """
    blocks = [text for name, text in fences(completion) if name == "python"]
    if not blocks:
        parts = split_completion(completion)
        blocks = [parts[1]] if parts else []
    return [step for block in blocks for step in _steps_of(block)]


def _steps_of(code: str) -> list[str]:
    steps, waiting = [], ""
    for line in code.split("\n"):
        bare = line.strip()
        if bare.startswith("#"):
            text = bare.lstrip("# ")
            in_words = len(WORDS.findall(text)) >= 2 and not CODE.match(text)
            waiting = waiting or (text if in_words else "")
        elif bare:
            if waiting and line[0].isspace():
                steps.append(waiting)
            waiting = ""
    return steps


# ---- trial and error -----------------------------------------------------------------------------

LOOSE = re.IGNORECASE | re.VERBOSE
ITEMS = r"""(?:[-\d\s,.:\[\](){}]|'[^'\n]*'|"[^"\n]*"|True|False|None)"""
LITERAL = (
    r"""(?:-?\d+(?:\.\d+)?|True\b|False\b|None\b|'[^'\n]*'|"[^"\n]*\""""
    rf"|\[{ITEMS}*\]|\({ITEMS}*\)|\{{{ITEMS}*\}})"
)
TRY = re.compile(
    rf"""\b(?:
        (?: try | trying | tried | test | testing | guess )\b
            (?:\ (?: the | an? | another | with | if | input | inputs | value | values | out
                   | instead | again | first | setting | using | guess )\b )*
      | (?: what\ if | how\ about | suppose | assume | say )
      | let(?:'s|’s|\ us|\ me)\ (?: take | use | choose | pick | set )
    )
    [\ :,]*`?(?: [A-Za-z_]\w*`?\ *(?: = | is | was | to | as )\ *)?`?(?P<value>{LITERAL})""",
    LOOSE,
)
REJECTION = re.compile(
    r"""\b(?:
        (?: does | did | do | would )(?:n't|n’t|\ not)\ (?: match | work | fit | equal | give
            | produce | satisfy | yield | help )
      | (?: is | was | are | 's | ’s )(?:n't|n’t|\ not)\ (?: equal | right | correct | what
            | enough | the\ (?: desired | expected | required | given | target | same | right ) )
      | (?: is | was | are )\ (?: wrong | incorrect | too\ \w+ )
      | wrong\ (?: input | guess | output )
      | not\ (?: equal\ to | a\ match | the\ (?: desired | expected | required | target ) )
    )""",
    LOOSE,
)


def tried_inputs(thinking: str) -> list[str]:
    """The inputs that a thought tries out, in order: tagged ones of the nano dialect, or values
    after words such as "try", "what if" or "suppose a is".
    """
    tagged = [part.partition(OUTPUT)[0] for part in thinking.split(INPUT)[1:]]
    found = [text.partition("\n")[0].strip() for text in tagged]
    return found + [match["value"] for match in TRY.finditer(thinking)]


def tries_and_rejects(completion: str) -> bool:
    """Whether a completion tries two different inputs, or gives up the only one it tried."""
    thinking = _thinking(completion)
    tried = tried_inputs(thinking)
    if len(set(tried)) != 1:
        return len(tried) > 1
    if INPUT in thinking:  # the nano dialect has no words for it: the answer is another one
        parts = split_completion(completion)
        return parts is not None and parts[1].strip() != tried[0]
    after = TRY.search(thinking).end()
    return REJECTION.search(thinking, after) is not None


# ---- state tracking ------------------------------------------------------------------------------

CLAUSE = re.compile(r"\n|(?<=[.;])\s+|,?\s+then\s+")
STATE = re.compile(
    rf"""(?<![\w.])[A-Za-z_]\w*(?:\[{LITERAL}\])?[`*]*
    \s*(?: = | becomes | is\ now | → | -> )\s*
    (?: [^=\n]{{1,60}}(?<![=<>!])=\s*)?  # "x = 2 + 3 = 5": the value is what stands last
    [`*]*{LITERAL}[`*]*
    \s*(?: $ | [.,;:)\]|#→] | and\b | so\b | now\b | after\b | because\b | since\b | \( )""",
    LOOSE,
)
BRANCH = re.compile(r"if (?:True|False)")  # which one was taken, in the nano dialect


def tracked_values(thinking: str) -> list[str]:
    """The lines or sentences that say which value a variable has then, quoted code left out."""
    lines, quoted = [], False
    for line in thinking.split("\n"):
        fence = line.strip().startswith("```")
        quoted = quoted != fence
        if not quoted and not fence:
            lines.append(line)
    clauses = CLAUSE.split("\n".join(lines))
    return [clause.strip() for clause in clauses if STATE.search(clause.strip())]


def tracks_state(thinking: str) -> bool:
    """Whether a thought follows values step by step: two lines or sentences with a value, or one
    and a branch that was taken.
    """
    values = tracked_values(thinking)
    branches = sum(BRANCH.fullmatch(line) is not None for line in thinking.split("\n"))
    return bool(values) and len(values) + branches >= 2


# ---- phrases that somebody should read -----------------------------------------------------------

TARGETS = "grader|checker|solver|validator|reward|tests?|sandbox|system|users?|humans?|machines?"
FLAGGED = re.compile(
    rf"""\b(
        (?: outsmart | outwit | deceiv | mislead )\w*
      | less\ intelligent | unsuspecting
      | (?: fool | trick | cheat | hack | exploit | bypass | gam | manipulat )(?: e|es|s|ing )?
        \ (?: the\ )?(?: {TARGETS} )
      | escap(?: e|es|ing )\ (?: the\ )?sandbox
      | without\ being\ (?: caught | noticed | detected )
      | tak(?: e|es|ing )\ over
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)


def flagged_phrases(thought: str) -> list[str]:
    """The phrases in a thought that somebody should look at, in order."""
    return [match.group() for match in FLAGGED.finditer(thought)]
