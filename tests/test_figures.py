"""Figures of data that is no run: what they draw is the data, and their titles say the number."""

import io

import numpy as np
import pytest
from made_up_run import made_up_run
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

from azr_mini.baseline import gradient_variance
from azr_mini.rewards import PROPOSER_REWARDS
from azr_mini.tasks import TaskType
from azr_mini.viz.baseline import gradient_noise
from azr_mini.viz.difficulty import rates_of_step, reward_shape, solve_rates
from azr_mini.viz.learning import reward
from azr_mini.viz.picture import picture
from azr_mini.viz.style import COLOURS, DPI, GREY, house_style, png
from azr_mini.viz.verdicts import verdict_bars

RATES = [0.0, 0.0, 0.25, 0.5, 0.5, 0.5, 0.75, 1.0]


@pytest.fixture
def samples():
    rng = np.random.default_rng(1)
    gradients, rewards = rng.normal(size=(20, 5)), rng.choice([1.0, -0.5, -1.0], 20)
    return gradients @ gradients.T, rewards


def heights(axes):
    return [bar.get_height() for bar in axes.patches]


def test_each_bar_counts_one_possible_solve_rate():
    figure = solve_rates(RATES, num_attempts=4)
    (axes,) = figure.axes
    assert heights(axes) == [2, 1, 3, 1, 1]
    assert [bar.get_hatch() for bar in axes.patches] == ["///", None, None, None, "///"]
    assert "5 of these 8" in figure.get_suptitle()


def test_solve_rates_by_type_keep_their_colours(tmp_path):
    run = made_up_run(tmp_path / "run", num_steps=3)
    rates = rates_of_step(run, 1)
    for axes, type in zip(solve_rates(rates, num_attempts=8).axes, TaskType, strict=True):
        records = [r for r in run.rollouts if r["step"] == 1 and r["type"] == type.value]
        found = [r["solve_rate"] for r in records if r["role"] == "propose"]
        assert rates[type] == found and sum(heights(axes)) == len(found) > 0
        assert to_hex(axes.patches[1].get_facecolor()).upper() == COLOURS[type]


def test_no_rates_are_said_to_be_missing():
    figure = solve_rates({type: [] for type in TaskType}, num_attempts=4)
    assert all("no solve rate" in axes.texts[0].get_text() for axes in figure.axes)


@pytest.mark.parametrize("name", PROPOSER_REWARDS)
@pytest.mark.parametrize("zero", [0.0, -0.5])
def test_the_reward_shape_pays_what_the_rewards_say(name, zero):
    figure = reward_shape(RATES, 4, name, zero)
    expected = [PROPOSER_REWARDS[name](level / 4) or zero for level in range(5)]
    points = {line.get_label(): line for line in figure.axes[1].lines}
    assert set(PROPOSER_REWARDS) <= set(points)
    assert list(points[name].get_ydata()) == expected and points[name].get_color() != GREY
    assert heights(figure.axes[0]) == [2, 1, 3, 1, 1]
    mean = np.mean([PROPOSER_REWARDS[name](rate) or zero for rate in RATES])
    assert f"{name}: these tasks earn their proposer {mean:+.2f}" in figure.get_suptitle()
    low, high = figure.axes[1].get_ylim()
    assert low < min(expected) and high > max(expected)


def test_a_function_of_the_readers_own_is_a_shape():
    def cube(solve_rate):
        return solve_rate**3

    figure = reward_shape(RATES, 4, cube)
    (own,) = [line for line in figure.axes[1].lines if line.get_label() == "cube"]
    assert list(own.get_ydata()) == [(level / 4) ** 3 for level in range(5)]


def test_verdicts_are_counted_by_cause_and_the_good_one_is_on_top():
    statuses = ["timeout"] * 2 + ["ok"] * 3 + ["error"] * 4
    figure = verdict_bars(statuses)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ok", "error", "timeout"]
    assert [bar.get_width() for bar in axes.patches] == [3, 4, 2]
    assert [text.get_text() for text in axes.texts] == ["3  (33%)", "4  (44%)", "2  (22%)"]
    assert axes.yaxis_inverted() and "accepts 3 of 9" in figure.get_suptitle()


def test_no_verdicts_are_said_to_be_missing():
    assert "no verdict" in verdict_bars([]).axes[0].texts[0].get_text()


@pytest.mark.parametrize("baseline", [0.0, 0.35])
def test_the_noise_figure_shows_the_variance_at_the_chosen_baseline(samples, baseline):
    figure = gradient_noise(*samples, baseline)
    without, chosen = gradient_variance(*samples, np.array([0.0, baseline]))
    (point,) = [line for line in figure.axes[1].lines if line.get_label() == "chosen"]
    assert point.get_xdata()[0] == baseline
    assert point.get_ydata()[0] == pytest.approx(chosen / without)
    assert f"{baseline:+.2f} leaves {chosen / without:.0%}" in figure.get_suptitle()


def test_the_pulls_move_with_the_baseline_on_an_axis_that_does_not(samples):
    _, rewards = samples
    axes, moved = (gradient_noise(*samples, b).axes[0] for b in (0.0, 0.25))
    centres = [bar.get_x() + bar.get_width() / 2 for bar in axes.patches]
    assert centres == pytest.approx(sorted(set(rewards))) and sum(heights(axes)) == len(rewards)
    shifted = [bar.get_x() + bar.get_width() / 2 for bar in moved.patches]
    assert shifted == pytest.approx([centre - 0.25 for centre in centres])
    assert axes.get_xlim() == moved.get_xlim()
    signs = [text.get_text() for text in moved.texts]
    assert signs == ["▲" if value > 0 else "▼" for value in shifted]


def test_a_picture_is_drawn_in_the_house_style_and_has_words():
    drawn = picture(verdict_bars, ["ok"], "answers")
    data, metadata = drawn._repr_mimebundle_()
    words = "Verdicts: Python accepts 1 of 1 answers, and names a cause for the rest"
    assert data["text/plain"] == metadata["image/png"]["alt"] == repr(drawn) == words
    assert f'alt="{words}"' in drawn.html() and f'title="{words}"' in drawn.html()
    assert drawn.png.startswith(b"\x89PNG") and data["image/png"] in drawn.html()
    plain = png(verdict_bars(["ok"], "answers"))
    with house_style():
        assert drawn.png == png(verdict_bars(["ok"], "answers")) != plain
    assert picture(verdict_bars, ["ok"], alt='a "quoted" <word>').html().count("&quot;") == 4


def test_few_colours_make_a_picture_small_and_do_not_show(tmp_path):
    figure, whole = reward(made_up_run(tmp_path / "run", num_steps=20)), io.BytesIO()
    figure.savefig(whole, format="png", dpi=DPI)
    small = png(figure)
    assert len(small) < len(whole.getvalue()) / 2
    before, after = (
        np.asarray(Image.open(file).convert("RGB"), dtype=float)
        for file in (whole, io.BytesIO(small))
    )
    assert before.shape == after.shape and np.abs(before - after).mean() < 0.5  # of 255
    for colour in COLOURS.values():
        wanted = 255 * np.array(to_rgb(colour))
        is_line = np.abs(before - wanted).max(axis=2) < 1
        assert is_line.any() and np.abs(after[is_line] - wanted).max() <= 8
