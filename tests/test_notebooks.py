"""The notebooks restate the package exactly, hold the outputs of one run, and run."""

import ast
import difflib
import json
import os
import re
import statistics
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from benchmarks.run_notebooks import execute, minutes
from tests.notebook_source import (
    NOTEBOOKS,
    ROOT,
    SOLUTIONS,
    code_cells,
    definitions,
    modules_of,
    normal_form,
    python_of,
    read,
    text_of,
)

ALL = NOTEBOOKS + SOLUTIONS
TITLES = {
    "00": "Absolute zero in five minutes",
    "01": "The interpreter as teacher",
    "02": "One triple, three exams",
    "03": "Learning from a number",
    "04": "What is a good question?",
    "05": "Closing the loop: TRR++",
    "07": "A real model on one GPU",
    "08": "Did it learn, or just sharpen?",
}
MAX_BYTES, MEDIAN_LINES, MAX_LINES = 1_000_000, 15, 45
SETUP = (ROOT / "notebooks" / "setup_cell.py").read_text(encoding="utf-8")


def name(path):
    return str(path.relative_to(ROOT / "notebooks"))


def seconds(path):
    """What the recorded run of a notebook took."""
    record = ROOT / "docs" / "results" / "notebooks.json"
    return json.loads(record.read_text(encoding="utf-8"))[name(path)]["seconds"]


each = pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
each_and_solutions = pytest.mark.parametrize("path", ALL, ids=name)


def test_every_notebook_has_its_solutions():
    assert [path.name[:2] for path in NOTEBOOKS] == sorted(TITLES)
    assert [path.name[:2] for path in SOLUTIONS] == sorted(TITLES)


# ---- one truth ----------------------------------------------------------------------------------


@each
def test_what_a_notebook_restates_is_the_package(path):
    notebook, package = read(path), {}
    for module in modules_of(notebook):
        tree = ast.parse((ROOT / "azr_mini" / module).read_text(encoding="utf-8"))
        package |= definitions(tree)
    compared = 0
    for cell in code_cells(notebook):
        for defined, node in definitions(ast.parse(python_of(cell.source))).items():
            if defined in package and not defined.endswith("_draft"):
                ours, theirs = normal_form(package[defined]), normal_form(node)
                diff = difflib.unified_diff(
                    ours.splitlines(), theirs.splitlines(), "package", name(path)
                )
                assert ours == theirs, f"{defined} has drifted:\n" + "\n".join(diff)
                compared += 1
    assert compared or path.name.startswith("00"), "it restates nothing of its modules"


def test_a_changed_function_is_noticed():
    first = ast.parse("def f(a):\n    '''One.'''\n    return a + 1").body[0]
    second = ast.parse("def f(a):\n    '''Two.'''\n    return a + 1  # why").body[0]
    third = ast.parse("def f(a):\n    return a - 1").body[0]
    assert normal_form(first) == normal_form(second) != normal_form(third)


def test_a_class_is_compared_method_by_method():
    first = "class A:\n    x = 1\n    def f(self):\n        return 1"
    whole = first + "\n    def g(self):\n        return 2"
    second = "class A(A):\n    def g(self):\n        return 3"
    package, begun, more = (definitions(ast.parse(text)) for text in (whole, first, second))
    assert list(package) == ["A.f", "A.g", "A"] and list(more) == ["A.g"]
    assert all(normal_form(begun[key]) == normal_form(package[key]) for key in ("A", "A.f"))
    assert normal_form(more["A.g"]) != normal_form(package["A.g"])
    drifted = definitions(ast.parse(first.replace("x = 1", "x = 2")))["A"]
    assert normal_form(drifted) != normal_form(package["A"])


@each_and_solutions
def test_the_first_code_cell_is_the_setup_cell(path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    repository = project["tool"]["azr-mini"]["repository"]
    expected = SETUP.replace('REPOSITORY = ""', f'REPOSITORY = "{repository}"')
    assert code_cells(read(path))[0].source.startswith(expected.rstrip())


# ---- form ---------------------------------------------------------------------------------------


@each
def test_the_header_says_what_a_reader_wants_to_know(path):
    first, second, *_ = read(path).cells
    number = path.name[:2]
    assert first.source.startswith(f"# {number} · {TITLES[number]}\n")
    for word in ("**Promise:**", "**Time on CPU:**", "**Before it:**", "**Modules:**"):
        assert word in first.source
    assert re.search(r"[\u4e00-\u9fff]{40,}", re.sub(r"[^\u4e00-\u9fff]", "", second.source))


@each
def test_the_rhythm_holds(path):
    text = text_of(read(path))
    assert text.count("**What you should see.**") >= 2
    assert text.count("**If you see") >= 1
    assert 2 <= len(re.findall(r"^### Exercise \d", text, flags=re.MULTILINE)) <= 4
    assert text.count("<summary>Hint</summary>") >= 2
    assert "## Recap" in text


@each_and_solutions
def test_cells_are_short(path):
    lengths = [len(cell.source.splitlines()) for cell in code_cells(read(path))[1:]]
    assert statistics.median(lengths) <= MEDIAN_LINES and max(lengths) <= MAX_LINES


@each
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\((?!https?:|#|data:)([^)#]+)", text_of(read(path)))
    assert links and all((path.parent / link).exists() for link in links), links


# ---- stored outputs -----------------------------------------------------------------------------


@each_and_solutions
def test_outputs_come_from_one_clean_run(path):
    notebook = read(path)
    cells = [cell for cell in code_cells(notebook) if cell.source.strip()]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert "error" not in kinds
    assert "widgets" not in notebook.metadata
    assert path.stat().st_size <= MAX_BYTES
    outputs = json.dumps([cell.outputs for cell in cells])
    assert not re.search(r"/(home|root|tmp|work|usr|Users)/\w", outputs), "an absolute path"
    assert "widget-view" not in outputs


@each
def test_the_header_says_the_measured_time(path):
    assert f"**Time on CPU:** {minutes(seconds(path))} on two cores" in read(path).cells[0].source


def test_all_notebooks_together_take_half_an_hour():
    assert sum(seconds(path) for path in NOTEBOOKS) <= 30 * 60
    assert seconds(NOTEBOOKS[0]) <= 5 * 60


# ---- running ------------------------------------------------------------------------------------


@pytest.mark.slow
@each_and_solutions
def test_it_runs_from_top_to_bottom(path):
    notebook, _ = execute(path, smoke=True)
    assert not [
        o for cell in code_cells(notebook) for o in cell.outputs if o.output_type == "error"
    ]


@pytest.fixture
def bare(tmp_path_factory):
    """An interpreter with everything that is installed here but this package, as on Colab."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (folder / "packages").mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "azr_mini" not in entry.name:
            (folder / "packages" / entry.name).symlink_to(entry)
    environment = {**os.environ, "PYTHONPATH": str(folder / "packages"), "PIP_NO_INDEX": "1"}

    def run(cell, cwd):
        code = cell + "\nimport azr_mini.tasks\nprint(azr_mini.__file__)"
        words = [folder / "venv" / "bin" / "python", "-c", code]
        return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)

    return run


@pytest.mark.slow
def test_the_setup_cell_installs_an_uploaded_wheel(bare, tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    done = bare(SETUP, tmp_path)
    assert "site-packages/azr_mini" in done.stdout, done.stderr
    assert "already" not in done.stderr


def test_the_setup_cell_says_what_to_do(bare, tmp_path):
    done = bare(SETUP, tmp_path)
    assert done.returncode and "upload" in done.stderr and "Traceback" not in done.stderr
    done = bare(SETUP.replace("(3, 11)", "(3, 99)"), tmp_path)
    assert "needs Python" in done.stderr and "Traceback" not in done.stderr
