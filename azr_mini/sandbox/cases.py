"""A job's way from text to verdict: checked, run several times, judged by comparing text."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

from azr_mini.sandbox.protocol import Reply, Request
from azr_mini.sandbox.static_check import Refused, Traits, check_length, check_program
from azr_mini.values import canonical_arguments, canonical_value_text

MAX_DETAIL = 200
OWN_WORDS = {"ok", "syntax", "error", "memory", "output"}  # what a process may say of itself
SIGNAL_NAMES = {number.value: number.name for number in signal.Signals}
OUT_OF_TIME = ("timeout", "out of CPU time")
ENDS = {
    "wall": ("timeout", "no answer in time although it used little CPU"),
    "flood": ("output", "wrote more than it may"),
    "memory": ("memory", "used more memory than it may"),
    "died": ("crash", "took the sandbox process with it, twice"),
}
SIGNALS = {
    "SIGSYS": ("unsafe", "forbidden system call"),
    "SIGPROF": OUT_OF_TIME,
    "SIGXCPU": OUT_OF_TIME,
}


@dataclass(frozen=True)
class Job:
    """A program and the argument texts, one per call of f. There is no place for an answer."""

    program: str
    inputs: Sequence[str]

    def __post_init__(self):
        assert not isinstance(self.inputs, str), self.inputs[:50]  # one text is not a list of texts


@dataclass(frozen=True)
class Result:
    """What became of a job. Outputs are canonical texts, None where that input failed.

    `status` is "ok" or the first failing input's reason: syntax, input, unsafe, timeout, memory,
    nondeterministic, error, output, crash. `detail` has at most 200 characters.
    """

    status: str
    outputs: list[str | None]
    detail: str = ""


Outcome = tuple[str, str]  # of one call: ("ok", canonical text) or (why not, detail)
Run = list[Outcome]  # of one process: one outcome per literal input; one at least if it failed


@dataclass(eq=False)
class Case:
    """A job on its way through the runs."""

    program: str
    inputs: list[str | None]  # canonical texts, None where the text is not literal arguments
    refusals: list[str]  # why not, for each None
    refused: Outcome | None = None
    traits: Traits = Traits()
    runs: dict[int, Run] = field(default_factory=dict)  # hash seed -> what happened
    cpu: float = 0.0  # seconds its first run took

    @property
    def runnable(self) -> tuple[str, list[str]]:
        """What a confined process gets to see."""
        return self.program, [text for text in self.inputs if text is not None]

    @property
    def most_outcomes(self) -> int:
        """How many outcomes one run can have: one at least, when the program itself fails."""
        return max(1, len(self.inputs) - len(self.refusals))


def open_case(job: Job, static_check: bool) -> Case:
    """The case of a job, refused at once where its text is not worth a process."""
    inputs, refusals = [], []
    for text in job.inputs:
        try:
            inputs.append(canonical_arguments(text))
        except ValueError as error:
            inputs.append(None)
            refusals.append(str(error))
    case = Case(job.program, inputs, refusals)
    try:
        check_length(job.program)
        if static_check:
            case.traits = check_program(job.program)
    except Refused as refusal:
        case.refused = (refusal.status, str(refusal))
    if inputs and len(refusals) == len(inputs):
        case.refused = case.refused or ("input", refusals[0])
    return case


def read_reply(request: Request, reply: Reply) -> list[Run]:
    """What happened to each case of a request. The payload is hostile text and only parsed."""
    failed = failure_of(reply, request.cpu_seconds)
    if failed:
        return [everywhere(case, failed) for case in request.cases]
    try:
        blocks = _blocks(reply.payload, sum(case.most_outcomes + 1 for case in request.cases))
        return [_read_run(case, block) for case, block in zip(request.cases, blocks, strict=True)]
    except ValueError:
        return [everywhere(case, ("error", "ended without an answer")) for case in request.cases]


def _blocks(payload: str, most_lines: int) -> list[list[str]]:
    """The lines for each program; ValueError unless the payload is complete."""
    if not payload.endswith("\n"):
        raise ValueError("cut off")
    # Counted first: to split and parse four million lines costs seconds and 300 MB.
    if payload.count("\n") > most_lines:
        raise ValueError("too many lines")
    blocks: list[list[str]] = [[]]
    for line in payload.split("\n")[:-1]:
        if line:
            blocks[-1].append(line)
        else:
            blocks.append([])
    if blocks.pop():
        raise ValueError("cut off")
    return blocks


def failure_of(reply: Reply, cpu_seconds: float) -> Outcome | None:
    """Why the process failed as a whole, or None when it may have answered."""
    if reply.end:
        return ENDS[reply.end]
    if not reply.signal:
        return None
    name = SIGNAL_NAMES.get(reply.signal, f"signal {reply.signal}")
    if name == "SIGKILL":  # ours, after the answer, or the kernel's at the hard CPU limit
        return OUT_OF_TIME if reply.cpu >= cpu_seconds else None
    return SIGNALS.get(name, ("crash", f"ended by {name}"))


def everywhere(case: Case, outcome: Outcome) -> Run:
    """The run of a process that failed as a whole."""
    return [outcome] * case.most_outcomes


def _read_run(case: Case, lines: list[str]) -> Run:
    run = [_read_outcome(line) for line in lines]
    if len(run) == 1 and run[0][0] != "ok":
        return everywhere(case, run[0])
    if len(run) != len(case.runnable[1]):
        raise ValueError(f"{len(run)} outcomes")
    return run


def _read_outcome(line: str) -> Outcome:
    status, _, text = line.partition(" ")
    if status not in OWN_WORDS:
        raise ValueError(f"unknown status {status[:20]}")
    if status != "ok":
        return status, text[:MAX_DETAIL]
    try:
        canonical = canonical_value_text(text)
    except ValueError as error:
        return "output", str(error)[:MAX_DETAIL]
    return ("ok", canonical) if canonical != "None" else ("output", "None")


def agree(a: Run, b: Run) -> bool:
    """Whether two runs say the same, the wording of failures aside."""
    return len(a) == len(b) and all(map(_same, a, b))


def _same(a: Outcome, b: Outcome) -> bool:
    return a[0] == b[0] and (a[0] != "ok" or a[1] == b[1])


def judge(case: Case) -> Result:
    """The verdict: what all runs agree on, input by input."""
    if case.refused:
        return Result(case.refused[0], [None] * len(case.inputs), printable(case.refused[1]))
    verdicts = iter([_verdict(outcomes) for outcomes in zip(*case.runs.values(), strict=True)])
    refusals = iter(case.refusals)
    per_input = [
        ("input", next(refusals)) if text is None else next(verdicts) for text in case.inputs
    ]
    per_input += verdicts  # without inputs, a failure of the program itself
    status, detail = next((v for v in per_input if v[0] != "ok"), ("ok", ""))
    outputs = [text if status == "ok" else None for status, text in per_input]
    return Result(status, outputs[: len(case.inputs)], printable(detail))


def printable(text: str) -> str:
    """One bounded line that any file or terminal takes: ASCII without control characters."""
    line = " ".join(text[:MAX_DETAIL].split())
    shown = (c if c.isascii() and c.isprintable() else ascii(c)[1:-1] for c in line)
    return "".join(shown)[:MAX_DETAIL]


def _verdict(outcomes: tuple[Outcome, ...]) -> Outcome:
    for outcome in outcomes:
        if outcome[0] == "timeout":
            return outcome
    if all(_same(outcome, outcomes[0]) for outcome in outcomes):
        return outcomes[0]
    return "nondeterministic", "two runs disagree"
