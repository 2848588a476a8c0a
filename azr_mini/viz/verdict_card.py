"""What Python says about one program, as a card: the verdict, and which layer answered."""

from azr_mini.prompts import Proposal
from azr_mini.sandbox import Executor, Job, Result
from azr_mini.sandbox.static_check import Refused, check_program
from azr_mini.tasks import Task, TaskType
from azr_mini.validate import validate
from azr_mini.viz.cards import Card, box, line, safe, said
from azr_mini.viz.style import DOWN_COLOUR, UP_COLOUR

FILTER = ("open a socket", "start a process", "write elsewhere", "executable memory", "wait")
MEANINGS = {  # status: (who answered, what that means, rows of `Executor.layers()` behind it)
    "ok": ("all layers", "every interpreter gave the same plain value", ()),
    "input": ("the reader of inputs", "the input is not a list of literal arguments", ()),
    "syntax": ("Python's parser", "this is no program with a top-level def f", ()),
    "unsafe": ("the filter of system calls", "the process was killed at a forbidden one", FILTER),
    "timeout": ("the clock", "the run was stopped: it takes too long", ("cpu", "burn CPU")),
    "memory": ("the memory limit", "it asked for more than it may have", ("memory", "take memory")),
    "nondeterministic": ("the comparison of interpreters", "the same run gave two results", ()),
    "output": ("the encoder of values", "the result is not a plain value that can be sent", ()),
    "error": ("Python itself", "the program raised an exception, or ended without a result", ()),
    "crash": ("the process boundary", "the process died, the trainer did not notice", ()),
}
STATIC = ("the static check", "it was refused by its text and never ran", ())
DENIED = ("the filter of system calls", "looking up a file was answered with no", ("open a file",))


def run_alone(
    executor: Executor, program: str, inputs: str, static_check: bool = True
) -> tuple[Result, str]:
    """What the executor says about f(inputs), and the validator: "valid" or a rejection's name.

    static_check: whether the program's text is checked before it runs. Without, the confinement has
    to hold alone.
    """
    before = executor.static_check
    executor.static_check = static_check
    try:
        (result,) = executor.run([Job(program, [inputs])])
        (checked,) = validate([Proposal(TaskType.DEDUCTION, program, (inputs,))], executor)
    finally:
        executor.static_check = before
    return result, "valid" if isinstance(checked, Task) else checked.name


def who_answered(program: str, result: Result, static_check: bool) -> tuple[str, str, tuple]:
    """Which layer gave the verdict, what that means, and the rows of `layers()` behind it."""
    if static_check and result.status in ("syntax", "unsafe"):
        try:
            check_program(program)
        except Refused:
            return STATIC
    if result.status == "error" and result.detail.startswith("PermissionError"):
        return DENIED
    return MEANINGS[result.status]


def verdict_card(executor: Executor, program: str, inputs: str, static_check: bool = True) -> Card:
    """Runs f(inputs), confined: status, output, the layer that answered, and all layers."""
    result, proposal = run_alone(executor, program, inputs, static_check)
    who, meaning, rows = who_answered(program, result, static_check)
    good = result.status == "ok"
    (output,) = result.outputs
    sign, colour = ("✓", UP_COLOUR) if good else ("✗", DOWN_COLOUR)
    fate = "a valid task" if proposal == "valid" else f"rejected as {safe(proposal)}"
    layers = [
        f'<span title="{safe(layer.detail)}" style="white-space: nowrap;">'
        f"{'✓' if layer.active else '✗'} {safe(layer.name)}"
        f"{' <b>◀ answered</b>' if layer.name in rows else ''}</span>"
        for layer in executor.layers()
    ]
    parts = [
        line(f"<b>{sign} {safe(result.status)}</b> &nbsp; answered by <b>{who}</b>: {meaning}"),
        said("output by Python", output) if output is not None else "",
        said("detail", result.detail) if result.detail else "",
        line(f"As a proposal: <b>{fate}</b>. Static check: {'on' if static_check else 'off'}."),
        line(f"<small>Layers, tested when the executor started: {' · '.join(layers)}</small>"),
    ]
    text = f"{sign} {result.status}, answered by {who}: {meaning}"
    text += f"\noutput: {output}" if output is not None else ""
    text += f"\ndetail: {result.detail}" if result.detail else ""
    text += f"\nas a proposal: {fate}; static check {'on' if static_check else 'off'}"
    return Card(box(*parts, style=f"border: 3px solid {colour};"), text)
