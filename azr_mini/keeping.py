"""Keeps what a training run does: every step is appended, checkpoints are saved, Ctrl-C waits."""

import os
import signal
import threading
from collections.abc import Iterator


class Interrupts:
    """While it lasts, the first of these signals is only noted; the second raises.

    Python delivers signals to the main thread alone: in any other nothing is noted or changed.
    """

    def __init__(self, *numbers: int):
        self.numbers = numbers or (signal.SIGINT, signal.SIGTERM)
        self.asked = False

    def __enter__(self) -> "Interrupts":
        in_main = threading.current_thread() is threading.main_thread()
        numbers = self.numbers if in_main else ()
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, frame) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        # not print: it may have been interrupted in the middle of itself
        os.write(2, b"\nfinishing this step and saving; once more throws the step away\n")


def keep(steps, run, state, interrupts: Interrupts, *, checkpoint_every: int = 10) -> Iterator:
    """Yields the steps of `train` after appending each to the run, and saves checkpoints.

    One is saved every `checkpoint_every` steps, after the last, after the step in which an
    interrupt was noted, which is the last one yielded, and where the caller breaks off. While
    updates are thrown away the first of these waits, so that weights that may be spoilt do not
    replace both checkpoints that a run keeps.
    """
    saved, due = True, False
    for step in steps:
        run.append(step)
        due = due or state.step % checkpoint_every == 0
        saved = due and not state.skipped_in_a_row
        if saved:
            run.checkpoint(state)
            due = False
        leave = True
        try:
            yield step
            leave = interrupts.asked
        finally:  # between two steps everything is whole, also where the caller breaks off
            if leave and not saved:
                run.checkpoint(state)
        if leave:
            return
    if not saved:
        run.checkpoint(state)
