"""Every figure is drawn from a run folder alone, also from a short or poor one."""

import math

import matplotlib.image
import pytest
from made_up_run import MadeUpStep, made_up_run

from azr_mini.behaviour_table import behaviour_table
from azr_mini.config import Config
from azr_mini.metrics import step_tables, task_table
from azr_mini.recorded import recorded
from azr_mini.runs import Run
from azr_mini.tasks import Role, Task, TaskType
from azr_mini.viz.figures import FIGURES, draw, write_figures
from azr_mini.viz.questions import MEANS, complexity_and_diversity
from azr_mini.viz.style import COLOURS, LINES

PROGRAMS = ["def f(a):\n    return a", "def f(a):\n    b = sum(a)\n    return b * 3 if b else 1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made_up_run(tmp_path_factory.mktemp("runs") / "run", num_steps=12)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_what_to_see_and_names_its_axes(name, run):
    figure = draw(name, run)
    assert len(figure.get_suptitle()) > 30
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert all(axes.get_title() for axes in panels)
    assert any("step" in axes.get_xlabel() for axes in panels)
    assert all(axes.lines or axes.collections for axes in panels)


def test_figures_are_written_as_png(run):
    paths = write_figures(run)
    assert {path.stem for path in paths} == set(FIGURES)
    for path in paths:
        height, width, _ = matplotlib.image.imread(path).shape
        assert path.parent == run.folder / "figures" and 300 < height < 1300 and 600 < width < 1300


@pytest.mark.parametrize("name", FIGURES)
def test_an_empty_run_says_what_is_missing(name, tmp_path):
    assert draw(name, Run.create(tmp_path / "run", Config()))


@pytest.mark.parametrize("name", FIGURES)
def test_one_step_without_a_valid_proposal_is_drawn(name, tmp_path):
    run = Run.create(tmp_path / "run", Config())
    run.append(MadeUpStep(0, {"valid_rate/deduction": 0.0, "entropy": float("nan")}, []))
    assert draw(name, run)


def test_the_reward_figure_shows_the_recorded_numbers(run):
    figure = draw("reward", run)
    groups = [(role, type) for role in Role for type in TaskType]
    for axes, (role, type) in zip(figure.axes, groups, strict=True):
        raw = axes.lines[0]
        assert list(raw.get_ydata()) == list(run.metrics[f"reward/{role.value}/{type.value}"])
        assert raw.get_color() == COLOURS[type] and raw.get_linestyle() == LINES[role]


def test_the_behaviour_figure_shows_the_shares_of_the_table():
    run = recorded("live-0")
    table = behaviour_table(run.rollouts, by_step=True)
    axes = {axes.get_title(): axes for axes in draw("behaviour", run).figure.axes}
    groups = [(role, type) for role in Role for type in TaskType]
    for title, column in (("state tracking", "state_tracking"), ("trial and error",) * 2):
        raw = axes[title].lines[::2]
        for line, (role, type) in zip(raw, groups, strict=True):
            rows = table.xs((role.value, type.value), level=("role", "type"))
            assert list(line.get_ydata()) == list(rows[column.replace(" ", "_")])
            assert line.get_color() == COLOURS[type] and line.get_linestyle() == LINES[role]


def test_rejections_and_valid_proposals_fill_the_whole_height(run):
    figure = draw("valid_rate", run)
    for axes in figure.axes:
        top = axes.collections[-1].get_paths()[0].vertices[:, 1].max()
        assert top == pytest.approx(1.0, abs=0.02)


def test_the_longest_responses_fit_their_panels(tmp_path):
    run = Run.create(tmp_path / "run", Config())
    lengths = {
        f"completion_length/{role.value}/{type.value}/{name}": 10.0 * (1 + 3 * place)
        for role in Role
        for place, type in enumerate(TaskType)
        for name in ("mean", "p50", "p90")
    }
    for step in range(3):
        run.append(MadeUpStep(step, lengths, []))
    for axes in draw("completion_length", run).axes[:6]:
        assert axes.lines and all(
            0 <= y <= axes.get_ylim()[1] for line in axes.lines for y in line.get_ydata()
        )


def test_the_questions_figure_shows_the_means_of_each_steps_tasks(tmp_path):
    tasks = [Task(TaskType.ABDUCTION, p, ("1",), ("1",)) for p in PROGRAMS]
    tables = [task_table(tasks[:1], [PROGRAMS[1:]]), task_table([]), task_table(tasks)]
    panels = {axes.get_title(): axes for axes in complexity_and_diversity(tables).axes}
    for name, label in MEANS.items():
        lines = panels[label].lines  # a faint one and its running mean
        assert {line.get_color() for line in lines} <= {COLOURS[TaskType.ABDUCTION]}
        if name in ("answer_diversity", "ast_distance"):
            continue  # one of the two steps has none
        first, gap, last = lines[0].get_ydata()
        assert first == tables[0][name].mean() and last == tables[2][name].mean()
        assert math.isnan(gap)
    assert panels["distance to the references shown"].lines[0].get_ydata()[0] > 0


def test_a_type_without_tasks_has_no_line_in_the_questions_figure(run):
    tables = [table.query("type != 'deduction'") for table in step_tables(run.rollouts)]
    for axes in complexity_and_diversity(tables).axes:
        assert axes.lines
        assert all(line.get_color() != COLOURS[TaskType.DEDUCTION] for line in axes.lines)
