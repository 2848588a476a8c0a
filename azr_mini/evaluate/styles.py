"""How a benchmark's question is put to a model: three styles of prompts.

`azr` is the frame of the official evaluation, plain text for every model; a nano policy is asked in
its own dialect. `official` is each benchmark's own prompt. `instruct` is a plain instruction in the
model's chat template. Structure and information are those of the originals, the words are ours.
"""

from dataclasses import dataclass

from azr_mini.chat_wording import FRAME, fence
from azr_mini.evaluate.benchmarks import Benchmark, Kind
from azr_mini.evaluate.exec_io import gold_arguments
from azr_mini.prompts import THINK_OPEN, Dialect, solve_prompt
from azr_mini.tasks import Task, TaskType
from azr_mini.templates import in_plain_text, in_template

STYLES = ("azr", "official", "instruct")
AZR = """The following is a dialogue. A user sets a task, and an assistant works on it: it first
writes down its reasoning between <think> and </think> and then its result between <answer> and
</answer>, in the form <think> reasoning </think> <answer> result </answer>.

User: {question}
Assistant:"""
BOXED = "Reason step by step and put the final answer in \\boxed{}."
SELF_CONTAINED = """Write a Python program that solves the problem below and needs nothing else, in
one fenced block.

{problem}"""
PREFILLED = "This program solves the problem and runs as it stands:\n```python\n"
OUTPUT = """A Python program is followed by an assertion about one call, whose right side is
missing. Complete the assertion with what the call returns: a literal, without any expression or
call in it. Follow the run of the program step by step first; then write the completed assertion
between [ANSWER] and [/ANSWER], as the example shows.

[PYTHON]
def f(words, gap):
    longest = 0
    for word in words:
        longest = max(longest, len(word))
    return [word + gap * (longest - len(word)) for word in words]
assert f(['to', 'walk'], '.') == ??
[/PYTHON]
[THOUGHT]
The words have 2 and 4 letters, so longest ends as 4. The first word gets 4 - 2 = 2 gaps and becomes
'to..', the second gets 0 and stays 'walk'.
[/THOUGHT]
[ANSWER]
assert f(['to', 'walk'], '.') == ['to..', 'walk']
[/ANSWER]

[PYTHON]
{code}
assert {call} == ??
[/PYTHON]
[THOUGHT]
"""
INPUT = """A Python program is followed by an assertion about one call of `f`, whose arguments are
missing. Complete it with arguments for which it holds; there may be many, and one choice is enough.
Reason step by step first; then write the completed assertion between [ANSWER] and [/ANSWER], as the
example shows.

[PYTHON]
def f(numbers, limit):
    kept = []
    for number in numbers:
        if number > limit:
            kept.append(number - limit)
    return kept
assert f(??) == [5, 1]
[/PYTHON]
[THOUGHT]
Each kept number loses the limit. With limit 2 the kept numbers are 7 and 3, in this order, and any
number up to 2 is left out.
[/THOUGHT]
[ANSWER]
assert f([7, 3], 2) == [5, 1]
[/ANSWER]

[PYTHON]
{code}
assert f(??) == {output}
[/PYTHON]
[THOUGHT]
"""


@dataclass(frozen=True)
class Prompt:
    """All that a model reads. opening: its end that belongs to the reply; stop: ends a reply."""

    text: str
    ids: list[int]
    opening: str = ""
    stop: str = ""

    def reply(self, completion: str) -> str:
        """The whole reply: what the prompt opened, what was written, nothing behind the stop."""
        if self.stop:
            before, found, _ = completion.partition(self.stop)
            completion = before + found
        return self.opening + completion


def style_for(style: str, benchmark: Benchmark) -> tuple[str, str]:
    """The style a benchmark is asked in, and a sentence if it is not the one wanted."""
    if style == "official" and benchmark.kind in (Kind.CONTEST, Kind.MATH):
        return "azr", f"{benchmark.title} has no prompt style of its own here: asked in style azr"
    return style, ""


def make_prompt(style: str, benchmark: Benchmark, row: dict, question: str, policy) -> Prompt:
    """The prompt for a row in a style that `style_for` gave. question: the adapter's."""
    match style:
        case "azr" if policy.dialect is Dialect.NANO:
            return _plain(policy, _nano(benchmark, row) or question)
        case "azr":
            opening = "" if benchmark.kind is Kind.MATH else THINK_OPEN
            text = AZR.format(question=question) + (opening and f" {opening}")
            return _plain(policy, text, opening)
        case "official" if benchmark.kind is Kind.TEST_PROGRAM:
            asked = SELF_CONTAINED.format(problem=fence("", row["prompt"].strip()))
            return _spoken(policy, asked, PREFILLED, stop="\n```")
        case "official":
            return _plain(policy, _assertion(benchmark, row), stop="[/ANSWER]")
        case "instruct" if benchmark.kind in (Kind.INPUT, Kind.OUTPUT):
            return _spoken(policy, f"{question}\n\n{FRAME}")
        case "instruct" if benchmark.kind is Kind.MATH:
            return _spoken(policy, f"{question}\n\n{BOXED}")
        case "instruct":
            return _spoken(policy, question)
    raise ValueError(f"no prompt style {style!r}: use {', '.join(STYLES)}")


def _plain(policy, text: str, opening: str = "", stop: str = "") -> Prompt:
    return _prompt(policy, text, opening, stop)


def _spoken(policy, asked: str, opening: str = "", stop: str = "") -> Prompt:
    """Inside the chat template of a model that was trained on it; `Policy.encode` does the same."""
    if policy.in_template:
        text = in_template(policy.tokenizer, asked) + opening
        return _prompt(policy, text, opening, stop, add_special_tokens=False)
    text = asked if policy.dialect is Dialect.NANO else in_plain_text(asked)
    return _plain(policy, f"{text} {opening}" if opening else text, opening, stop)


def _prompt(policy, text: str, opening: str, stop: str, add_special_tokens: bool = True) -> Prompt:
    # not verbose: whoever asks sees to prompts that are too long
    ids = policy.tokenizer.encode(text, add_special_tokens=add_special_tokens, verbose=False)
    return Prompt(text, ids, opening, stop)


def _assertion(benchmark: Benchmark, row: dict) -> str:
    if benchmark.kind is Kind.INPUT:
        return INPUT.format(code=row["code"], output=row["output"])
    call = row["input"] if "function_name" in row else f"f({row['input']})"
    return OUTPUT.format(code=row["code"], call=call)


def _nano(benchmark: Benchmark, row: dict) -> str | None:
    """The row as a task of self-play; None for a benchmark that nano has no task type for."""
    types = {Kind.OUTPUT: TaskType.DEDUCTION, Kind.INPUT: TaskType.ABDUCTION}
    if benchmark.kind not in types:
        return None
    arguments, output = (gold_arguments(row),), (row["output"],)
    task = Task(types[benchmark.kind], row["code"], arguments, output)
    return solve_prompt(task, Dialect.NANO)
