"""Watching a run in a notebook: curves and a line of text that change in place while it trains."""

import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from azr_mini.keeping import Interrupts, keep
from azr_mini.models import quiet_transformers
from azr_mini.progress import Pace, step_line
from azr_mini.runs import Run
from azr_mini.viz.learning import reward
from azr_mini.viz.picture import picture

ALT = "Mean reward by role and task type, a curve each, over the steps so far."
DRAWING_SHARE = 0.1  # of the time that passes: more, and steps go by without a new picture


def follow(
    steps: Iterable,
    run: Run,
    state,
    *,
    num_steps: int,
    every: int = 1,
    behind: Run | Sequence[Run] = (),
) -> Iterator:
    """Yields the steps of `train(...)` and meanwhile keeps them, draws them and survives Ctrl-C.

    Each step is appended to the run; a checkpoint is saved every 10 steps and at the end. In a
    notebook the rewards are redrawn at most every `every` steps, in grey behind them other runs.
    The first interrupt ends the iteration after the step that is being made, which is saved. The
    second throws that step away, so that the checkpoint before it is the last. Either way a
    sentence says how many steps are saved and how to go on.
    """
    page = Page(run, num_steps, every, [behind] if isinstance(behind, Run) else behind)
    line = ""
    quiet_transformers()
    with Interrupts(signal.SIGINT) as interrupts:
        try:
            page.draw()
            page.say(f"step {state.step + 1} of {num_steps} is being made")
            pace = Pace()
            for step in keep(steps, run, state, interrupts):
                line = f"{step_line(step, num_steps)}  {pace.eta(num_steps - state.step)}"
                line = line.replace("  reward", "\n    reward")  # too long for under a cell
                page.say(line)
                page.draw_if_time()
                yield step
        except KeyboardInterrupt:  # the second: the step is lost, what was saved is not
            interrupts.asked = True
    if interrupts.asked and run.step < num_steps:
        page.say(f"{line}\n{how_to_go_on(run, num_steps)}")
    else:
        page.say(f"{line}\n{run.step} of {num_steps} steps are done and saved in {run.folder}")
    page.draw()


def how_to_go_on(run: Run, num_steps: int) -> str:
    """How many steps of an interrupted run are saved, and the lines that make the others."""
    return f"""stopped: {run.step} of {num_steps} steps are saved; the resume cell goes on, or else

    run = Run.open({str(run.folder)!r})
    state = run.state()
    run.rewind()  # and give train the same functions as before, if you gave it any
    for step in follow(train(run.config, state, executor), run, state, num_steps={num_steps}):
        pass
"""


class Page:
    """A figure and a text under it in the output of a notebook's cell; elsewhere nothing at all."""

    def __init__(self, run: Run, num_steps: int, every: int, behind: Sequence[Run]):
        self.run, self.num_steps, self.every, self.behind = run, num_steps, every, behind
        self._figure = self._text = None
        self._undrawn = every  # steps since the last picture
        self._cost, self._ended = 0.0, 0.0  # seconds that it took, and when it was ready

    def say(self, text: str) -> None:
        """Shows the text in place of the last one."""
        self._text = show_in_place(Text(text.strip()), self._text)

    def draw_if_time(self) -> None:
        """Counts a step and draws, unless one just did or drawing takes too much of the time."""
        self._undrawn += 1
        rested = time.perf_counter() - self._ended
        if self._undrawn >= self.every and self._cost <= DRAWING_SHARE * (rested + self._cost):
            self.draw()

    def draw(self) -> None:
        """Shows the curves of all steps so far, if there are any that were not shown."""
        if not self._undrawn or not in_notebook():
            return
        began = time.perf_counter()
        drawn = picture(reward, self.run, self.behind, self.num_steps, alt=ALT)
        is_first = self._figure is None  # which also loads fonts
        self._figure = show_in_place(drawn, self._figure)
        self._ended = time.perf_counter()
        self._cost, self._undrawn = 0.0 if is_first else self._ended - began, 0


def in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook, where outputs can change in place."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


class Text(str):
    """A text that a notebook shows as it is, without quotation marks."""

    __repr__ = str.__str__


def show_in_place(content, handle):
    """Shows something where this handle is or anew; the handle, or None outside of a notebook."""
    if not in_notebook():
        return None
    from IPython.display import display

    if handle is None:
        return display(content, display_id=True)
    handle.update(content)
    return handle
