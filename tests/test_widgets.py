"""Widgets, driven as a reader drives them: what they show is what the pure functions draw."""

import re

import ipywidgets
import numpy as np
import pytest
from made_up_run import made_up_run

from azr_mini.behaviour import Behaviour, behaviours
from azr_mini.config import Config
from azr_mini.recorded import recorded
from azr_mini.runs import Run
from azr_mini.sandbox import Executor
from azr_mini.tasks import Role, Task, TaskType
from azr_mini.viz.baseline import gradient_noise
from azr_mini.viz.difficulty import reward_shape
from azr_mini.viz.picture import picture
from azr_mini.viz.samples import rollouts_of, sample_card
from azr_mini.viz.task_cards import newest_first, task_cards
from azr_mini.viz.verdict_card import verdict_card
from azr_mini.viz.widgets import (
    baseline_slider,
    buffer_browser,
    reward_shape_slider,
    sample_browser,
    verdict_box,
)

RATES = [0.0, 0.25, 0.5, 1.0]


def everything(widget):
    """A widget and all inside it, by description; the page that is shown as "page"."""
    found = {}
    if isinstance(widget, ipywidgets.HTML):
        found["page"] = widget
    elif getattr(widget, "description", ""):
        found[widget.description] = widget
    for child in getattr(widget, "children", ()):
        found |= everything(child)
    return found


def alt(page):
    """The words of the picture in a page."""
    return re.search(r'alt="([^"]*)"', page.value)[1]


def test_moving_the_baseline_slider_changes_the_figure():
    rng = np.random.default_rng(0)
    gradients, rewards = rng.normal(size=(12, 4)), rng.choice([1.0, -0.5], 12)
    data = gradients @ gradients.T, rewards
    parts = everything(baseline_slider(*data))
    slider, page = parts["baseline"], parts["page"]
    assert page.value == picture(gradient_noise, *data, 0.0).html()
    slider.value = 0.25
    assert page.value == picture(gradient_noise, *data, slider.value).html()
    assert "Baseline +0.25" in alt(page)


def test_moving_the_reward_shape_slider_changes_the_figure():
    parts = everything(reward_shape_slider(RATES, 4))
    slider, page = parts["reward shape"], parts["page"]
    assert page.value == picture(reward_shape, RATES, 4).html()
    for shape in slider.options:
        slider.value = shape
        assert page.value == picture(reward_shape, RATES, 4, shape).html() and shape in alt(page)
    (official,) = [w for name, w in parts.items() if "official" in name]
    official.value = True
    assert page.value == picture(reward_shape, RATES, 4, shape, -0.5).html()


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


def test_the_verdict_box_shows_what_python_says(executor):
    parts = everything(verdict_box(executor))
    assert parts["page"].value == ""
    parts["Run"].click()
    assert (
        parts["page"].value
        == verdict_card(executor, parts["program"].value, parts["input"].value).html
    )
    assert "[3, 2, 1]" in parts["page"].value
    parts["program"].value = "import os\ndef f(a):\n    return os.getppid()"
    parts["Run"].click()
    assert "the static check" in parts["page"].value and "import of os" in parts["page"].value
    parts["static check before running"].value = False
    parts["Run"].click()
    assert "the filter of system calls" in parts["page"].value
    assert not parts["Run"].disabled and executor.static_check


@pytest.mark.parametrize("text", ["", "\x00", "def f(", "\ud800", "def f(a):\n    return '</pre>'"])
def test_no_text_in_the_verdict_box_raises(executor, text):
    parts = everything(verdict_box(executor))
    parts["program"].value = parts["input"].value = text
    parts["Run"].click()
    assert "✗" in parts["page"].value
    parts["input"].value = "1"
    parts["Run"].click()
    parts["page"].value.encode("utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made_up_run(tmp_path_factory.mktemp("runs") / "run", num_steps=3)


def text_of(page):
    return re.sub(r"<[^>]*>", "", page.value)


def test_the_sample_browser_filters_and_steps_through(run):
    parts = everything(sample_browser(run))
    page, number = parts["page"], parts["number"]
    everyone = rollouts_of(run, 2)
    assert [parts[name].label for name in ("role", "type", "reward")] == ["both", "all", "any"]
    assert f"1 of {len(everyone)} rollouts" in page.value
    parts["step"].value, parts["role"].value = 0, Role.PROPOSE
    parts["type"].value = TaskType.ABDUCTION
    cards = [sample_card(run, 0, Role.PROPOSE, TaskType.ABDUCTION, number=n).html for n in range(6)]
    assert number.max == 4 and page.value.endswith(cards[1])
    parts["next"].click()
    parts["next"].click()
    assert page.value.endswith(cards[3])
    parts["previous"].click()
    assert page.value.endswith(cards[2]) and number.value == 2
    number.value = number.max
    parts["next"].click()
    assert number.value == 4 and "4 of 4" in page.value and len(set(cards)) == 5
    parts["step"].value = 1
    assert number.value == 1 and "step 1" in page.value
    parts["role"].value, parts["reward"].value = Role.SOLVE, "below 0"
    wrong = [r for r in rollouts_of(run, 1) if r["type"] == "abduction" and r["reward"] < 0]
    assert number.max == len(wrong) > 2 and "reward <b>-0.500</b>" in page.value


def test_the_sample_browser_finds_what_shows_a_behaviour():
    run = recorded("live-0")
    parts = everything(sample_browser(run))
    parts["step"].value, parts["shows"].value = 0, Behaviour.TRIAL
    found = sample_card(run, 0, number=1, behaviour=Behaviour.TRIAL)
    shown = [r for r in rollouts_of(run, 0) if Behaviour.TRIAL in behaviours(r["completion"])]
    assert parts["page"].value.endswith(found.html) and "shows <b>trial and error" in found.html
    assert parts["number"].max == len(shown) > 0
    parts["shows"].value = Behaviour.FLAGGED
    assert "0 of 0" in parts["page"].value


def test_the_sample_browser_says_that_nothing_is_like_that(run):
    parts = everything(sample_browser(run))
    parts["role"].value, parts["reward"].value = Role.SOLVE, "0"
    assert "0 of 0" in parts["page"].value and "no rollout" in parts["page"].value


def test_tokens_are_shaded_unless_the_reader_does_not_want_it(run):
    parts = everything(sample_browser(run))
    assert 'title="probability' in parts["page"].value
    parts["shade tokens by probability"].value = False
    assert 'title="probability' not in parts["page"].value


def test_a_run_of_a_model_that_is_not_here_is_shown_without_shades(run):
    record = {**run.record, "config": {**run.record["config"], "model": "somebody/some-model"}}
    parts = everything(sample_browser(Run(run.folder, record)))
    assert parts["shade tokens by probability"].disabled
    assert "tokenizer is not on this disk" in parts["page"].value


def test_a_run_without_rollouts_is_said_to_have_none(tmp_path):
    run = Run.create(tmp_path / "run", Config())
    assert "no rollouts" in everything(sample_browser(run))["page"].value


def test_the_buffer_browser_pages_and_filters():
    tasks = [
        Task(type, f"def f(a):\n    return a + {number}", ("1",), (str(number + 1),))
        for type in (TaskType.DEDUCTION, TaskType.ABDUCTION)
        for number in range(5)
    ]
    ordered = newest_first(tasks)
    parts = everything(buffer_browser(tasks, per_page=4))
    page, place = parts["page"], parts["page number"]
    assert page.value == task_cards(ordered[:4], None, "page 1 of 3: 10 of 10 tasks").html
    parts["next"].click()
    assert page.value == task_cards(ordered[4:8], None, "page 2 of 3: 10 of 10 tasks").html
    parts["type"].value = TaskType.ABDUCTION
    assert place.value == 1 and "page 1 of 2: 5 of 10 tasks" in page.value
    assert "abduction" in page.value and "deduction" not in page.value
    parts["program contains"].value = "a + 3"
    assert "page 1 of 1: 1 of 10 tasks" in page.value and "return a + 3" in page.value
    parts["program contains"].value = "<b>"
    assert "0 of 10 tasks" in page.value


def test_an_empty_buffer_is_shown_as_empty():
    assert "0 of 0 tasks" in everything(buffer_browser([]))["page"].value


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: baseline_slider(np.eye(3), np.zeros(4)), "give .N, N. dot products and N rewards"),
        (lambda: baseline_slider(np.eye(1), np.zeros(1)), "for at least 2 samples"),
        (lambda: baseline_slider(np.zeros((3, 3)), np.zeros(3)), "all gradients are zero"),
        (lambda: baseline_slider(np.full((2, 2), np.nan), np.zeros(2)), "is not finite: leave"),
        (lambda: reward_shape_slider([2.0], 8), "a solve rate is 2.0: give shares from 0 to 1"),
        (lambda: reward_shape_slider([float("nan")], 8), "a solve rate is nan"),
        (lambda: reward_shape_slider([0.5], 0), "num_attempts is 0: give 1 or more"),
        (lambda: sample_browser("runs/nano-0"), "str is no run: give Run.open"),
        (lambda: buffer_browser([1, 2]), "int is no task: give run.buffer"),
        (lambda: verdict_box(None), "NoneType is no executor"),
    ],
)
def test_a_wrong_argument_is_a_sentence_that_says_what_to_give(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
