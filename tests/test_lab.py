"""A notebook begins with what is here, and errors meant for the reader are one sentence."""

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from azr_mini.exercises.answer import Checked, ask
from azr_mini.lab import SMOKE, describe
from azr_mini.sandbox import Executor


def test_an_untouched_exercise_is_not_answered():
    def check(answer):
        return Checked(answer == 1, "it is 1")

    assert ask(check, ...).passed is ask(check, None).passed is None
    assert ask(check, 1).passed and ask(check, 2).passed is False
    assert repr(ask(check, 1)) == "passed: it is 1"


def test_an_answer_that_raises_is_a_sentence():
    def check(answer):
        return Checked(answer() == 1, "")

    checked = ask(check, "no function")
    assert checked.passed is False and "TypeError" in checked.sentence

    def unfinished():
        raise NotImplementedError

    assert ask(check, unfinished).passed is None


def test_it_says_whether_programs_are_confined():
    with Executor(workers=1) as executor:
        total = len(executor.layers())
        assert f"{total} of {total} tests" in describe(executor) and total > 5
        assert ("SMOKE" in describe(executor)) is SMOKE
    with pytest.warns(RuntimeWarning), Executor(workers=1, unsafe=True) as executor:
        text = describe(executor)
        assert "0 of 1 tests" in text and "off: confinement" in text


def run_cells(*sources):
    """What cells print, and whether the last of them stopped the notebook."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    try:
        NotebookClient(notebook, kernel_name="python3").execute()
    except CellExecutionError:
        stopped = True
    else:
        stopped = False
    text = "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))
    return text, stopped


@pytest.mark.slow
def test_what_a_reader_can_mend_is_a_sentence_without_traceback():
    start = "from azr_mini.lab import show_sentences\nshow_sentences()"
    text, stopped = run_cells(start, "from azr_mini.config import Config\nConfig(num_steps=-1)")
    assert stopped and text.startswith("num_steps is -1: give 0 or more")
    assert "Traceback" not in text
    text, stopped = run_cells(start, "int('x')")
    assert stopped
    wrong = "from azr_mini.config import Config\nConfig(num_steps=-1)"
    again = f"get_ipython().run_cell({wrong!r})\nimport sys, traceback\n"
    text, stopped = run_cells(
        start, again + "traceback.print_tb(sys.last_traceback, file=sys.stdout)"
    )
    assert "config.py" in text  # which is what `%tb` shows


@pytest.mark.slow
def test_without_a_sandbox_it_says_which_layer_is_missing_and_what_unsafe_means():
    broken = "from azr_mini import lab\nfrom functools import partial\n"
    broken += "lab.Executor = partial(lab.Executor, _skip=('seccomp',))\n"
    text, stopped = run_cells(broken + "lab.start('validate')")
    assert stopped and "Traceback" not in text
    for word in ("open a socket", "unsafe=True", "delete your files"):
        assert word in text
