"""Recorded runs are what their records say, are read like any run, and can be made again."""

import gzip
import hashlib
import shlex
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_run import made_up_run
from pandas.testing import assert_frame_equal

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from azr_mini.__main__ import main  # noqa: E402
from azr_mini.recorded import origin, recorded, recorded_names  # noqa: E402
from azr_mini.resources import data_path  # noqa: E402
from azr_mini.runs import Run  # noqa: E402
from azr_mini.tasks import Role, TaskType  # noqa: E402
from benchmarks import record_runs  # noqa: E402
from benchmarks.record_runs import RECIPES, Recipe, config_of, record, sample  # noqa: E402

NAMES = recorded_names()
MOST_BYTES = 2_000_000


def test_there_are_recorded_runs_and_the_script_makes_each_of_them():
    assert NAMES and set(NAMES) <= set(RECIPES)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_the_recorded_one_and_the_folder_is_small(name):
    folder = data_path("recorded_runs") / name
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    sums = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    del sums["record.json"]
    assert sums == origin(name)["sha256"]
    assert sum(map(len, files.values())) <= MOST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_the_recorded_command_gives_the_recorded_configuration(name):
    run, made = recorded(name), origin(name)
    python, *module, command = (words := shlex.split(made["command"]))[:4]
    assert (python, module, command) == ("python", ["-m", "azr_mini"], "train")
    assert config_of(words[4:]) == run.config
    assert words[1:] == record_runs.train_command(name, run.config.threads)
    assert made["seed"] == run.config.seed and made["about"] == RECIPES[name].about


@pytest.mark.parametrize("name", NAMES)
def test_every_step_has_metrics_and_training_was_between_two_evaluations(name):
    run = recorded(name)
    steps = run.config.num_steps
    assert list(run.metrics.index) == list(range(steps))
    taken = run.metrics.filter(regex="^time/").sum().sum()
    assert origin(name)["seconds"] == pytest.approx(taken, abs=1)
    found = Counter((line["step"], line["temperature"]) for line in run.heldout)
    assert found == {(step, t): 1 for step in (0, steps) for t in (0.0, 1.0)}


@pytest.mark.parametrize("name", NAMES)
def test_the_sampled_rollouts_are_whole_steps(name):
    run, kept = recorded(name), origin(name)["rollout_steps"]
    assert kept[0] == 0 and kept[-1] == run.config.num_steps - 1
    config, found = run.config, Counter()
    for line in run.rollouts:
        found[line["step"], line["role"], line["type"]] += 1
    sizes = {Role.PROPOSE: config.batch_size, Role.SOLVE: config.batch_size * config.num_attempts}
    assert found == {
        (step, role.value, type.value): sizes[role]
        for step in kept
        for role in Role
        for type in TaskType
    }


def test_the_page_is_drawn_from_the_records():
    assert record_runs.PAGE.read_text(encoding="utf-8") == record_runs.page()


@pytest.mark.parametrize("family", record_runs.families())
def test_the_runs_of_a_kind_differ_in_nothing_but_the_seed(family):
    names = [f"{family}-{seed}" for seed in (0, 1, 2)]
    configs = [config_of(RECIPES[name].options) for name in names]
    configs += [recorded(name).config for name in names if name in NAMES]
    assert {replace(config, seed=0, threads=1) for config in configs} == {
        replace(configs[0], seed=0, threads=1)
    }
    assert [config.seed for config in configs[:3]] == [0, 1, 2]


def test_the_kinds_that_are_compared_differ_in_nothing_but_the_baseline():
    configs = {name: config_of(RECIPES[f"{name}-0"].options) for name in ("six", "two", "one")}
    kinds = {name: config.advantage for name, config in configs.items()}
    assert kinds == {"six": "task_relative", "two": "role", "one": "global"}
    assert len({replace(config, advantage="role") for config in configs.values()}) == 1


def test_an_adapter_trains_as_all_weights_do_but_for_how_they_are_held():
    whole, adapter = (config_of(RECIPES[f"{family}-0"].options) for family in ("live", "lora"))
    assert (adapter.quantize, adapter.lora_rank) == ("nf4", 16)
    held = {"quantize": None, "lora_rank": None, "learning_rate": whole.learning_rate}
    assert replace(adapter, **held) == whole


# ---- the reader


@pytest.fixture
def small(tmp_path):
    """A folder of recorded runs with one in it, `mine`, of a made-up run of 6 steps."""
    run = made_up_run(tmp_path / "run", num_steps=6)
    record(run, tmp_path / "recorded" / "mine", "about", "python -m azr_mini train", ["abc"])
    return tmp_path / "recorded"


def test_a_recorded_run_has_the_numbers_of_the_run_at_six_digits(small, tmp_path):
    run, read = Run.open(tmp_path / "run"), recorded("mine", small)
    assert read.config == run.config and read.record == run.record
    assert read.heldout == run.heldout and len(read.heldout) == 2
    whole, again = run.metrics, read.metrics
    assert_frame_equal(again, whole.map(lambda value: float(f"{value:.5e}")), check_dtype=False)
    kept = origin("mine", small)["rollout_steps"]
    assert list(read.rollouts) == [line for line in run.rollouts if line["step"] in kept]


def test_recording_again_gives_the_same_bytes(small, tmp_path):
    def contents():
        return {path.name: path.read_bytes() for path in (small / "mine").iterdir()}

    before = contents()
    (small / "mine" / "left-over").write_text("of an older version")
    record(Run.open(tmp_path / "run"), small / "mine", "about", "python -m azr_mini train", ["abc"])
    assert contents() == before
    for name in before:
        if name.endswith(".gz"):  # bytes 4 to 7 of a gzip member are the time it was written
            assert before[name][4:8] == bytes(4)


@pytest.mark.parametrize("name", ["yours", "../run", "", None, ["mine"]])
def test_an_unknown_name_is_answered_with_the_known_ones(small, name):
    with pytest.raises(ValueError, match="no recorded run .*: use one of mine$"):
        recorded(name, small)


def test_a_changed_or_missing_file_is_named(small):
    for path in sorted((small / "mine").iterdir()):
        content = path.read_bytes()
        if path.name != "record.json":
            path.write_bytes(content + b" ")
            with pytest.raises(ValueError, match=f"{path.name} is not what was recorded: restore"):
                recorded("mine", small)
            path.unlink()
            with pytest.raises(ValueError, match=f"{path.name} is missing: restore"):
                recorded("mine", small)
        path.write_bytes(content)
    for torn in (b"{", b"[]", b"{}", b"\xff"):
        (small / "mine" / "record.json").write_bytes(torn)
        with pytest.raises(ValueError, match="record.json is damaged"):
            recorded("mine", small)


def test_nothing_is_ever_trained_into_a_recorded_run(small, capsys):
    before = {path.name: path.read_bytes() for path in (small / "mine").iterdir()}
    assert main(["train", "--run", str(small / "mine"), "--resume"]) == 2
    assert "is a recorded run and stays as it is" in capsys.readouterr().err
    with pytest.raises(ValueError, match="recorded run"):
        recorded("mine", small).rewind()
    assert {path.name: path.read_bytes() for path in (small / "mine").iterdir()} == before


# ---- the script


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=12), st.integers(0, 3000))
def test_the_sample_holds_the_ends_and_as_many_steps_as_fit(members, limit):
    steps, sizes = sample(members, limit), [len(gzip.compress(m, 9)) for m in members]
    assert steps == sorted(set(steps)) and set(steps) >= (
        {0, len(members) - 1} if members else set()
    )
    assert sum(sizes[step] for step in steps) <= limit or len(steps) <= 2
    assert len(steps) == len(members) or sum(sizes) > limit
    gaps = {later - earlier for earlier, later in zip(steps, steps[1:], strict=False)}
    assert not gaps or max(gaps) - min(gaps) <= 1  # evenly spread


@pytest.mark.slow
def test_a_killed_run_is_finished_by_the_next_call_and_recorded_with_its_own_numbers(
    tmp_path, monkeypatch
):
    tiny = "--num-steps 2 --batch-size 2 --num-attempts 2 --max-new-tokens 48 --heldout-tasks 2"
    monkeypatch.setattr(record_runs, "RUNS", tmp_path)
    monkeypatch.setitem(RECIPES, "tiny", Recipe("A tiny run.", tuple(tiny.split())))
    process = record_runs.start("tiny", threads=1)
    while record_runs.steps_made("tiny") < 1 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not record_runs.finished(Run.open(tmp_path / "tiny"))
    ended = []
    record_runs.train_all(["tiny"], jobs=2, done=ended.append)
    run = Run.open(tmp_path / "tiny")
    assert ended == ["tiny"] and record_runs.finished(run) and run.config.threads == 1
    record(run, tmp_path / "recorded" / "tiny", "A tiny run.", "", [])
    read = recorded("tiny", tmp_path / "recorded")
    assert list(read.rollouts) == list(run.rollouts)
    assert read.heldout == run.heldout and len(read.heldout) == 4
    assert abs(read.metrics / run.metrics - 1).max().max() < 1e-5


def test_a_run_made_with_other_options_is_not_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setattr(record_runs, "RUNS", tmp_path)
    made_up_run(tmp_path / "live-0", num_steps=1)
    with pytest.raises(ValueError, match="live-0 was made with other options: delete it"):
        record_runs.start("live-0", threads=1)
