"""Each rule finds its own disease and nothing else, in made tables and in recorded runs.

The recorded metrics and how they were made: tests/data/README.md.
"""

import functools
import gzip
import json
import math
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from azr_mini.config import Config
from azr_mini.diagnose import RULES, Watch, diagnose, history_of
from azr_mini.options import ShowOptions, TrainOptions

ROOT = Path(__file__).resolve().parents[1]
CONFIG = Config()
SMALL = Config(batch_size=8, num_attempts=4)
RECORDED = {
    "healthy-0": CONFIG,
    "healthy-1": CONFIG,
    "healthy-2": CONFIG,
    "proposer-frozen": replace(CONFIG, train_proposer=False),
    "rewards-shuffled": replace(CONFIG, shuffle_rewards=True),
    "short": CONFIG,
    "cut": replace(SMALL, max_new_tokens=12),
    "repeats": replace(SMALL, temperature=0.1, num_references=1, duplicates="paper"),
    "collapse": replace(SMALL, max_new_tokens=96, learning_rate=0.01),
}
HEALTHY = ("healthy-0", "healthy-1", "healthy-2", "proposer-frozen")


@functools.cache
def _recorded(name: str) -> pd.DataFrame:
    with gzip.open(ROOT / f"tests/data/{name}.jsonl.gz") as lines:
        return pd.DataFrame([json.loads(line) for line in lines]).set_index("step")


def recorded(name: str) -> pd.DataFrame:
    return _recorded(name).copy()


def fired(metrics: pd.DataFrame, config: Config | None = CONFIG, heldout=()) -> set:
    return {(found.rule, found.where) for found in diagnose(metrics, config, heldout)}


# ---- one disease at a time: a healthy recorded run in which some rows are changed
#
# A disease takes the table, the rows it befalls, and how strong it is in the units of its rule.


def attempts(type: str, rate: float, equal: float, malformed: float = 0.0) -> dict[str, float]:
    reward = rate - 0.5 * (1 - rate - malformed) - malformed
    return {
        f"solve_rate/{type}": rate,
        f"reward/solve/{type}": reward,
        f"frac_reward_zero_std/solve/{type}": equal,
    }


def put(table: pd.DataFrame, rows: slice, values: dict[str, float]) -> None:
    for key, value in values.items():
        column = table[key].to_numpy(float).copy()
        column[rows] = value
        table[key] = column


def times(table: pd.DataFrame, rows: slice, key: str, by: float) -> None:
    put(table, rows, {key: by * table[key].to_numpy(float)[rows]})


def against_its_start(key: str, skip: int = 0):
    def befall(table, rows, level):
        put(table, rows, {key: level * table[key].iloc[skip : skip + 5].mean()})

    return befall


def constant(key: str, of: float = 1.0):
    return lambda table, rows, level: put(table, rows, {key: of * level})


def stalled(table, rows, level):
    for name in ("size", "distinct"):
        key = f"buffer/{name}/induction"
        put(table, rows, {key: table[key].iloc[rows.start] + level * np.arange(60)[rows] / 10})


def old_programs(table, rows, level):
    size = table["buffer/size/deduction"].to_numpy(float)
    started = table["buffer/distinct/deduction"].iloc[rows.start]
    put(table, rows, {"buffer/distinct/deduction": started + level * (size - size[rows][0])[rows]})


def slow_steps(table, rows, level):
    total = table.filter(like="time/").sum(axis=1)
    first = total.iloc[1:6].median()
    put(table, rows, {"time/solve": level * first - (total - table["time/solve"]).to_numpy()[rows]})


def growing_memory(table, rows, level):
    ramp = np.arange(60)[rows] - rows.start
    warm = table["memory/rss"].iloc[10:20].median()
    held = table["memory/rss"].iloc[rows.start] + level * warm * ramp / 20
    put(table, rows, {"memory/rss": held})


def low_from_the_start(table, rows, level):
    put(table, slice(0, 60), {"entropy": 0.1})
    put(table, rows, {"entropy": level})


def gradient(table, rows, level):
    put(table, rows, {"grad_norm": level * table["grad_norm"].iloc[:5].median()})


def skipped_once(table, rows, level):
    put(table, slice(rows.start, rows.start + 1), {"update_skipped": level})


def memory_ran_out(table, rows, level):
    table["micro_batch_tokens"] = np.nan
    put(table, rows, {"micro_batch_tokens": CONFIG.micro_batch_tokens / level})


def capped_weights(table, rows, level):
    table["importance_capped"] = 0.0  # the recorded runs sampled with the learner's own weights
    put(table, rows, {"importance_capped": level})


LENGTH = "completion_length/solve/induction"
AT_ONCE = ("skipped_updates", "memory_ran_out")  # one step is enough for them
DISEASES = {
    "dead_proposer": ("propose/induction", constant("valid_rate/induction")),
    "malformed_proposals": ("propose/abduction", constant("rejected/abduction/parse")),
    "duplicates": ("propose/deduction", constant("duplicate_rate/deduction")),
    "equal_proposals": ("propose/deduction", constant("frac_reward_zero_std/propose/deduction")),
    "nothing_to_learn": ("", constant("learnable_frac")),
    "proposer_at_its_best": ("propose/abduction", constant("reward/propose/abduction", 7 / 8)),
    "buffer_stalled": ("propose/induction", stalled),
    "old_programs": ("propose/deduction", old_programs),
    "unsolved_tasks": (
        "solve/induction",
        lambda table, rows, level: put(table, rows, attempts("induction", 0.1, 0.1 + level)),
    ),
    "too_easy_tasks": (
        "solve/deduction",
        lambda table, rows, level: put(table, rows, attempts("deduction", 0.85, 0.15 + level)),
    ),
    "equal_attempts": (
        "solve/induction",
        lambda table, rows, level: put(table, rows, attempts("induction", 0.5, level)),
    ),
    "malformed_answers": (
        "solve/abduction",
        lambda table, rows, level: put(table, rows, attempts("abduction", 0.3, 0.5, level)),
    ),
    "jumped_solve_rate": (
        "solve/induction",
        lambda table, rows, level: put(table, rows, attempts("induction", level, 0.4)),
    ),
    "truncation": ("solve/induction", constant(f"{LENGTH}/truncated")),
    "near_limit": ("solve/induction", constant(f"{LENGTH}/p90", 256)),
    "length_explosion": ("solve/induction", against_its_start(f"{LENGTH}/mean")),
    "entropy_collapse": ("", against_its_start("entropy")),
    "low_entropy": ("", low_from_the_start),
    "entropy_explosion": ("", against_its_start("entropy")),
    "kl_runaway": ("", constant("kl")),
    "gradient_explosion": ("", gradient),
    "skipped_updates": ("", skipped_once),
    "sampler_gap": ("", constant("logp_gap")),
    "importance_capped": ("", capped_weights),
    "memory_growth": ("rss", growing_memory),
    "step_time": ("", slow_steps),
    "memory_ran_out": ("", memory_ran_out),
}
LONG = slice(30, 60)
ONE = slice(40, 41)


def with_disease(name: str, strength: float, rows: slice = LONG) -> pd.DataFrame:
    """The healthy run with a disease at `strength` times (or, from above, over) the threshold."""
    rule = next(rule for rule in RULES if rule.name == name)
    if rule.threshold == 0:  # only nothing at all is too little
        level = 0.0 if strength > 1 else 5.0
    else:
        level = rule.threshold / strength if rule.below else rule.threshold * strength
    table = recorded("proposer-frozen")
    DISEASES[name][1](table, rows, level)
    return table


def test_every_rule_has_its_disease():
    assert {rule.name for rule in RULES} == {*DISEASES, "memory_doubled", "sampler_gap_float32"}


def test_the_healthy_table_is_silent():
    assert fired(recorded("proposer-frozen")) == set()


@pytest.mark.parametrize("name", DISEASES)
def test_a_disease_is_found_where_it_is_and_nothing_else(name):
    assert fired(with_disease(name, 1.03)) == {(name, DISEASES[name][0])}


@pytest.mark.parametrize("name", DISEASES)
def test_just_short_of_the_threshold_is_silent(name):
    assert fired(with_disease(name, 0.97)) == set()


@pytest.mark.parametrize("name", DISEASES)
def test_one_odd_step_is_silent(name):
    expected = {(name, "")} if name in AT_ONCE else set()
    assert fired(with_disease(name, 1.03, ONE)) == expected


@pytest.mark.parametrize("name", DISEASES)
def test_a_few_steps_are_silent(name):
    few = with_disease(name, 1.03, slice(0, 60)).iloc[:4]
    expected = {(name, "")} if name in AT_ONCE else set()
    assert fired(few) == expected


@pytest.mark.parametrize("name", DISEASES)
def test_a_disease_survives_missing_numbers(name):
    table = with_disease(name, 1.3 if name == "step_time" else 1.05)
    for column in table:  # every fourth number is missing, of some columns as None
        values = [None if row % 4 == 3 else v for row, v in enumerate(table[column])]
        table[column] = pd.Series(values, index=table.index, dtype=object)
    if name not in ("buffer_stalled", "old_programs", "skipped_updates"):
        assert (name, DISEASES[name][0]) in fired(table)
    assert {rule for rule, _ in fired(table)} <= {name}


def test_the_finding_says_when_where_and_what_was_seen():
    table = recorded("proposer-frozen")
    put(table, slice(0, 60), {"valid_rate/induction": 0.9})
    put(table, slice(30, 50), {"valid_rate/induction": 0.0})
    (found,) = diagnose(table, CONFIG)
    # 9 of 10 steps without a valid one leave less than a tenth of them
    assert (found.rule, found.step, found.where) == ("dead_proposer", 38, "propose/induction")
    assert found.last_step == 50 and found.threshold == 0.1 and 0.09 <= found.value <= 0.1
    assert found.sentence == "9% of the induction proposals of the last 10 steps were valid."
    assert found.advice.startswith("What to do: ")
    put(table, slice(0, 60), {"valid_rate/induction": 0.0})
    assert diagnose(table)[0].sentence == (
        "None of the induction proposals of the last 10 steps were valid."
    )


def test_a_skipped_update_is_forgotten_after_ten_steps():
    (found,) = diagnose(with_disease("skipped_updates", 1.0), CONFIG)
    assert (found.step, found.last_step, found.value) == (30, 39, 1)


def test_a_slow_leak_is_found_at_twice_the_level():
    held = 1e9 * (1 + 0.008 * np.arange(180))
    table = pd.DataFrame({"memory/vram": held})
    level = np.median(held[10:20])
    (found,) = diagnose(table)
    assert (found.rule, found.where) == ("memory_doubled", "vram")
    assert held[found.step - 3] < 2 * level <= held[found.step - 2]  # the median of five steps


def test_in_float32_sampler_and_learner_must_agree():
    table = recorded("proposer-frozen")
    put(table, LONG, {"logp_gap": 0.002})
    assert fired(table) == set()
    assert fired(table, replace(CONFIG, dtype="float32")) == {("sampler_gap_float32", "")}
    nf4 = replace(CONFIG, dtype="float32", quantize="nf4", lora_rank=8)
    assert fired(table, nf4) == set()


def test_a_jump_that_held_out_accuracy_follows_is_learning():
    table = with_disease("jumped_solve_rate", 1.03)

    def scored(accuracy, temperature=1.0):
        types = {"induction": {"accuracy": accuracy}}
        return {"temperature": temperature, "forced": None, "types": types}

    same, better = [scored(0.4), scored(0.45)], [scored(0.4), scored(0.8)]
    assert fired(table, heldout=same) == {("jumped_solve_rate", "solve/induction")}
    assert fired(table, heldout=better) == set()
    greedy = [scored(0.4), scored(0.4, 0.0), scored(0.42), scored(0.9, 0.0)]
    assert fired(table, heldout=greedy) == {("jumped_solve_rate", "solve/induction")}


def test_one_attempt_a_task_is_never_called_equal():
    table = with_disease("equal_attempts", 1.03)
    put(table, slice(0, 60), {"frac_reward_zero_std/solve/induction": 1.0})
    assert fired(table, replace(CONFIG, solve_batch="fresh")) == set()


def test_without_the_format_reward_no_answer_counts_as_malformed():
    table = recorded("proposer-frozen")
    for type in TYPES:
        table[f"reward/solve/{type}"] = table[f"solve_rate/{type}"]
    put(table, LONG, {"solve_rate/abduction": 0.0, "reward/solve/abduction": 0.0})
    assert "malformed_answers" not in {rule for rule, _ in fired(table)}


def test_answers_that_are_cut_are_not_called_malformed_nor_unsolved():
    table = recorded("proposer-frozen")
    put(table, LONG, attempts("induction", 0.0, 1.0, malformed=1.0))
    put(table, LONG, {f"{LENGTH}/truncated": 1.0, f"{LENGTH}/p90": 256})
    assert fired(table) == {("truncation", "solve/induction")}


def test_a_full_buffer_does_not_stall():
    table = with_disease("buffer_stalled", 1.03)
    cap = int(table["buffer/size/induction"].iloc[-1])
    assert fired(table, replace(CONFIG, buffer_cap=cap)) == set()


def test_a_table_of_other_keys_has_no_findings():
    assert diagnose(pd.DataFrame()) == []
    assert diagnose(pd.DataFrame({"loss": [0.1] * 40, "note": ["text"] * 40})) == []


# ---- recorded runs

INDUCTION = "solve/induction"
TYPES = ("deduction", "abduction", "induction")
FINDINGS = {  # rule, place, first step
    # in induction the proposer learns to ask what is never solved; the README says so too
    "healthy-0": {("unsolved_tasks", INDUCTION, 44)},
    "healthy-1": {("unsolved_tasks", INDUCTION, 40)},
    "healthy-2": {("unsolved_tasks", INDUCTION, 29)},
    "proposer-frozen": set(),
    "short": set(),
    # noise as reward makes the policy forget the format, of induction first
    "rewards-shuffled": {
        ("malformed_proposals", "propose/induction", 14),
        ("unsolved_tasks", INDUCTION, 15),
        ("dead_proposer", "propose/induction", 26),
        ("kl_runaway", "", 28),
        ("buffer_stalled", "propose/induction", 33),
        ("truncation", "propose/induction", 33),
        ("length_explosion", "propose/induction", 34),
    },
    # at 12 tokens nearly every proposal is cut, so tasks are the few that fit: trivial ones
    "cut": {
        ("truncation", "propose/deduction", 9),
        ("truncation", "propose/abduction", 9),
        ("truncation", "propose/induction", 9),
        ("truncation", "solve/induction", 9),
        ("dead_proposer", "propose/deduction", 9),
        ("dead_proposer", "propose/induction", 9),
        ("dead_proposer", "propose/abduction", 11),
        ("unsolved_tasks", "solve/deduction", 9),
        ("buffer_stalled", "propose/induction", 10),
        ("too_easy_tasks", "solve/abduction", 11),
        ("too_easy_tasks", "solve/deduction", 12),
        ("nothing_to_learn", "", 11),
        ("jumped_solve_rate", "solve/deduction", 14),
    },
    # at temperature 0.1 proposals repeat what they are shown, and attempts hardly differ
    "repeats": {
        ("duplicates", "propose/deduction", 15),
        ("duplicates", "propose/abduction", 17),
        ("equal_proposals", "propose/abduction", 9),
        ("equal_attempts", "solve/deduction", 9),
        ("too_easy_tasks", "solve/abduction", 9),
        ("unsolved_tasks", "solve/induction", 9),
        ("nothing_to_learn", "", 9),
    },
    # a learning rate of 0.01 destroys the policy in two steps
    "collapse": {
        ("kl_runaway", "", 4),
        ("entropy_collapse", "", 7),
        *(("dead_proposer", f"propose/{type}", 9) for type in TYPES),
        *(("buffer_stalled", f"propose/{type}", 10) for type in TYPES),
        *(("truncation", f"{role}/{type}", 9) for role in ("propose", "solve") for type in TYPES),
        ("malformed_proposals", "propose/deduction", 9),
        ("malformed_proposals", "propose/abduction", 9),
        ("malformed_answers", "solve/induction", 9),
        ("malformed_answers", "solve/deduction", 10),
        ("unsolved_tasks", "solve/abduction", 16),
    },
}


@pytest.mark.parametrize("name", FINDINGS)
def test_a_recorded_run_has_these_findings(name):
    found = diagnose(recorded(name), RECORDED[name])
    assert {(f.rule, f.where, f.step) for f in found} == FINDINGS[name]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_how_near_healthy_runs_come_is_what_they_measured(rule):
    nearest = []
    for name in HEALTHY:
        for values in rule.measure(history_of(recorded(name), RECORDED[name])).values():
            nearest += [v for v in values if math.isfinite(v)]
    value = None if not nearest else min(nearest) if rule.below else max(nearest)
    assert rule.healthy == (None if value is None else pytest.approx(value, rel=0.05, abs=1e-9))


def test_the_recorded_runs_are_those_of_the_published_table():
    rows = json.loads((ROOT / "docs/results/learning.json").read_text())["rows"]
    names = {"healthy-0": "seed0", "healthy-1": "seed1", "healthy-2": "seed2"}
    names |= {"proposer-frozen": "proposer frozen", "rewards-shuffled": "rewards shuffled"}
    for name, row in names.items():
        seconds = recorded(name).filter(like="time/").to_numpy().sum()
        assert round(seconds) == rows[row]["training_seconds"]


# ---- step by step


def told(metrics: pd.DataFrame, watch: Watch) -> list:
    """What a watch says, step by step, of rows with their missing numbers left out."""
    found = []
    for step, row in zip(metrics.index, metrics.to_dict("records"), strict=True):
        found += [(step, f) for f in watch.see(step, row)]
    return found


@pytest.mark.parametrize("name", RECORDED)
def test_a_watch_tells_each_finding_once_when_it_first_fires(name):
    metrics, config = recorded(name), RECORDED[name]
    seen = told(metrics, Watch(config))
    assert all(step == found.step == found.last_step for step, found in seen)
    assert [replace(found, last_step=0) for _, found in seen] == [
        replace(found, last_step=0) for found in diagnose(metrics, config)
    ]


def test_a_watch_of_a_long_run_keeps_few_steps():
    table = pd.concat([recorded("proposer-frozen")] * 2, ignore_index=True)
    table["memory/rss"] = 1e9 * (1 + 0.013 * np.arange(120))
    watch = Watch(CONFIG)
    found = {(f.rule, f.where, step) for step, f in told(table, watch)}
    assert found == {(f.rule, f.where, f.step) for f in diagnose(table, CONFIG)}
    assert {("memory_growth", "rss"), ("memory_doubled", "rss")} <= {f[:2] for f in found}
    assert len(watch._rows) == 50


def test_a_slow_rise_is_no_jump_where_a_watch_dropped_steps():
    rates = np.concatenate([np.linspace(0.3, 0.99, 100), np.full(60, 0.99)])
    table = pd.DataFrame(attempts("induction", rates, 0.2))
    assert told(table, Watch(CONFIG)) == [] and diagnose(table, CONFIG) == []


def test_a_watch_of_a_run_that_goes_on_tells_only_what_is_new():
    metrics, config = recorded("rewards-shuffled"), RECORDED["rewards-shuffled"]
    whole = told(metrics, Watch(config))
    rest = told(metrics.iloc[30:], Watch(config, metrics.iloc[:30]))
    assert rest == [(step, found) for step, found in whole if step >= 30] and rest


def test_infinite_numbers_are_missing_as_in_the_files():
    watch = Watch(CONFIG)
    table = recorded("proposer-frozen")
    put(table, LONG, {"grad_norm": np.inf, "kl": np.inf})
    assert told(table, watch) == [] and diagnose(table, CONFIG) == []


# ---- texts


def test_every_option_and_figure_that_advice_names_exists():
    from azr_mini.viz.figures import FIGURES

    options = {f.name for kind in (TrainOptions, ShowOptions, Config) for f in fields(kind)}
    for rule in RULES:
        named = re.findall(r"--([a-z][a-z-]+)", rule.advice + rule.sentence)
        known = {name.removeprefix("no-").replace("-", "_") for name in named}
        assert known <= options, rule.name
        assert set(re.findall(r"figure (\w+)", rule.advice)) <= set(FIGURES)


def test_texts_are_sentences_with_their_numbers():
    for name in DISEASES:
        for found in diagnose(with_disease(name, 1.03), CONFIG):
            assert not found.sentence[0].islower() and found.sentence.endswith(".")
            assert "{" not in found.sentence + found.advice and found.advice.endswith(".")
