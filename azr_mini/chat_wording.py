"""The words of the chat dialect, and the fenced blocks that its answers consist of."""

FRAME = (
    "Think step by step between <think> and </think>, then write your final answer "
    "between <answer> and </answer>, and nothing after it."
)
RULES = """The program must define a function named `f` that takes at least one argument and
returns a value. It may define helper functions and classes, and may import from the standard
library's pure modules (math, itertools, collections, functools, re and the like). It must be
deterministic: no randomness, no clock, no files, no network, no printing. Arguments and results
are plain values: numbers, strings, booleans, None inside containers, lists, tuples, sets and
dictionaries."""
PROPOSE = (
    """Write a new Python program and one input for it. Someone else will see the program and
its {given} and has to find the {hidden}. Aim for a task that takes several steps of careful
reasoning to get right, that can be solved, and that differs from the examples below in what it
computes.

"""
    + RULES
    + """

{references}

{frame} The answer holds exactly two blocks: the program in a ```python block, and the arguments of
`f`, separated by commas, in an ```input block."""
)
PROPOSE_INDUCTION = """Below is a Python program. Write {n} inputs for it and a short message.
Someone else will see the message and some of the inputs with their outputs, but not the program,
and has to write a program that behaves the same on all of them. Choose inputs that together show
what the program does. The message may hint at it and may not contain code.

{program}

{frame} The answer holds {n} ```input blocks, each with the arguments of `f` separated by commas,
and then one ```message block."""
SOLVE_DEDUCTION = """What does this program return for this input?

{program}

{input}

{frame} The answer is the returned value as a Python literal in an ```output block (strings in
quotes)."""
SOLVE_ABDUCTION = """Find an input for which this program returns this output. Any input that
does is right.

{program}

{output}

{frame} The answer is the arguments of `f`, separated by commas, in an ```input block (strings in
quotes)."""
SOLVE_INDUCTION = (
    """Write a program that turns each of these inputs into its output, and that would do the
same for further inputs of the same kind.

{pairs}

A message from the author of the inputs:
{message}

"""
    + RULES
    + """

{frame} The answer is the program in a ```python block."""
)

PLAIN = """A conversation between a user and an assistant. The user poses a problem. The assistant
thinks about it step by step and then answers in exactly the form that the user asks for.

User: {prompt}

Assistant:"""


def fence(name: str, text: str) -> str:
    """The text as a fenced block of that name."""
    return f"```{name}\n{text}\n```"


def fences(text: str) -> list[tuple[str, str]]:
    """(name, content) of each fenced block, in order; an unclosed block is left out."""
    blocks, name, lines = [], None, []
    for line in text.split("\n"):
        bare = line.strip()
        if name is None and bare.startswith("```"):
            name, lines = bare[3:].strip().lower(), []
        elif name is not None and bare == "```":
            blocks.append((name, "\n".join(lines)))
            name = None
        elif name is not None:
            lines.append(line)
    return blocks
