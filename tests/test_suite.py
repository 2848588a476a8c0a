"""Benchmarks end to end: every sample has its line, and whatever stops a run costs no line."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from invented import invented, invented_dataset
from tiny_models import tiny_policy

from azr_mini.evaluate.answering import Runners, Settings, answer, fingerprint
from azr_mini.evaluate.benchmarks import BENCHMARKS
from azr_mini.evaluate.suite import (
    open_folder,
    read_result,
    read_summary,
    run_benchmark,
    samples_file,
    write_summary,
)
from azr_mini.prompts import Dialect
from azr_mini.sampler import Completion, Sampler

NAMES = list(BENCHMARKS)
SETTINGS = Settings("tiny", samples=2, temperature=1.0, max_new_tokens=8, batch=4)
FIELDS = {
    "benchmark", "id", "sample", "style", "prompt_sha256", "completion", "answer", "score",
    "reason", "tokens", "truncated",
}  # fmt: skip


@pytest.fixture(scope="module")
def runners():
    with Runners() as opened:
        yield opened


@pytest.fixture(scope="module")
def policy():
    return tiny_policy(max_position_embeddings=4096)


class SpellingPolicy:
    """A policy, its own tokenizer, whose tokens are characters."""

    dialect, in_template, max_positions = Dialect.CHAT, False, 10_000

    @property
    def tokenizer(self):
        return self

    def encode(self, prompt, add_special_tokens=True, verbose=True):
        return [ord(character) for character in prompt]

    def decode(self, ids):
        return "".join(map(chr, ids))


class ScriptedSampler:
    """Answers the prompt of each row with the texts that `script` gives for its number."""

    def __init__(self, script):
        self.script, self.asked, self.seeds = script, [], []

    def generate(self, prompt_ids, *, seeds, num_completions, **settings):
        rows = []
        for ids in prompt_ids:
            texts = self.script(len(self.asked))
            assert len(texts) == num_completions
            rows.append([Completion(tuple(map(ord, text)), (), False) for text in texts])
            self.asked.append("".join(map(chr, ids)))
        self.seeds += seeds
        return rows


def finish(policy, sampler, runners, dataset, settings, folder):
    folder.mkdir(exist_ok=True)
    return list(run_benchmark(policy, sampler, runners, dataset, settings, folder))


@pytest.mark.parametrize("name", NAMES)
def test_a_random_model_gets_a_line_for_each_sample(name, policy, runners, tmp_path):
    dataset, settings = invented_dataset(name), replace(SETTINGS, samples=4, max_new_tokens=32)
    done = finish(policy, Sampler(policy), runners, dataset, settings, tmp_path)
    assert done == [0, 1, 2, 3, 4]
    lines = samples_file(tmp_path, dataset.benchmark).read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == 16 and all(set(record) == FIELDS for record in records)
    assert all(record["score"] in (0, 1) and record["tokens"] <= 32 for record in records)
    result = read_result(tmp_path, dataset, settings)
    assert 0 <= result.score.low <= result.score.estimate <= result.score.high <= 100
    assert sum(result.reasons.values()) == 16 and set(result.pass_at) == {1, 2, 4}
    assert result.why_not_whole == "4 stand-in rows"


@pytest.mark.parametrize("name", NAMES)
def test_right_replies_score_100_and_wrong_ones_0(name, runners):
    dataset = invented_dataset(name)

    def script(number):
        row = invented(name, number)
        answers = (row.right, row.wrong, "")
        return [f" so.</think>\n<answer>\n{answer}\n</answer>" for answer in answers]

    settings, sampler = replace(SETTINGS, samples=3), ScriptedSampler(script)
    args = (SpellingPolicy(), sampler, runners, dataset.benchmark, dataset.rows, settings)
    records = answer(*args)
    assert [record["score"] for record in records] == [1, 0, 0] * 4
    assert [record["reason"] for record in records[::3]] == ["correct"] * 4
    assert [record["reason"] for record in records[2::3]] == ["format"] * 4
    assert [(record["id"], record["sample"]) for record in records[2:4]] == [
        (records[0]["id"], 2),
        (records[3]["id"], 0),
    ]
    assert len(set(sampler.seeds)) == len(set(sampler.asked)) == 4


def test_the_tag_that_a_prompt_opens_belongs_to_the_reply(runners):
    dataset = invented_dataset("cruxeval_o", rows=1)
    closing = " so</think>" + "<answer>2</answer>"
    asked = ScriptedSampler(lambda number: [closing, "```python\nx"])
    benchmark, settings = dataset.benchmark, replace(SETTINGS, style="official")
    records = answer(SpellingPolicy(), asked, runners, benchmark, dataset.rows, SETTINGS)
    assert asked.asked[0].endswith("\nAssistant: <think>")
    assert records[0]["completion"] == closing and records[0]["score"] == 1
    cut = " I see.\n[/THOUGHT]\n[ANSWER]\nassert f(0, 2) == 2\n[/ANSWER]\n[ANSWER]3[/ANSWER]"
    asked = ScriptedSampler(lambda number: [cut, cut])
    records = answer(SpellingPolicy(), asked, runners, benchmark, dataset.rows, settings)
    assert records[0]["score"] == 1 and records[0]["completion"] == cut


def test_an_open_block_of_code_belongs_to_the_reply(runners):
    dataset = invented_dataset("humaneval_plus", rows=1)
    program = invented("humaneval_plus", 0).right.removeprefix("```python\n")
    asked = ScriptedSampler(lambda number: [program, program.removesuffix("\n```")])
    benchmark, settings = dataset.benchmark, replace(SETTINGS, style="official")
    records = answer(SpellingPolicy(), asked, runners, benchmark, dataset.rows, settings)
    assert [record["reason"] for record in records] == ["correct", "format"]


def test_a_killed_run_goes_on_to_the_same_bytes(policy, runners, tmp_path):
    dataset = invented_dataset("aime24", rows=5)
    sampler, whole = Sampler(policy), tmp_path / "whole"
    finish(policy, sampler, runners, dataset, SETTINGS, whole)
    expected = samples_file(whole, dataset.benchmark).read_bytes()
    assert expected.count(b"\n") == 10
    for cut in range(0, len(expected) + 1, 97):
        folder = tmp_path / str(cut)
        folder.mkdir()
        path = samples_file(folder, dataset.benchmark)
        path.write_bytes(expected[:cut])  # what a kill may leave, at any byte
        done = finish(policy, sampler, runners, dataset, SETTINGS, folder)
        assert path.read_bytes() == expected
        assert done[0] == (5 if cut == len(expected) else expected[:cut].count(b"\n") // 4 * 2)


def test_finished_samples_are_never_asked_again(policy, runners, tmp_path):
    dataset = invented_dataset("aime24", rows=4)
    finish(policy, Sampler(policy), runners, dataset, SETTINGS, tmp_path)
    unasked = ScriptedSampler(lambda number: pytest.fail("asked again"))
    assert finish(policy, unasked, runners, dataset, SETTINGS, tmp_path) == [4]


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_what_it_finished(tmp_path, policy, runners):
    program = """
import os, signal, sys
from pathlib import Path
from test_suite import *
policy = tiny_policy(max_position_embeddings=4096)
with Runners() as runners:
    dataset = invented_dataset("aime24", rows=5)
    folder, sampler = Path(sys.argv[1]), Sampler(policy)
    for done in run_benchmark(policy, sampler, runners, dataset, SETTINGS, folder):
        if done == 4:
            os.kill(os.getpid(), signal.SIGKILL)
"""
    folders = [tmp_path / "killed", tmp_path / "whole"]
    folders[0].mkdir()
    root = Path(__file__).resolve().parents[1]
    paths = [str(root), str(root / "tests"), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-c", program, str(folders[0])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    assert subprocess.run(command, env=environment).returncode == -9
    dataset = invented_dataset("aime24", rows=5)
    counts = [
        finish(policy, Sampler(policy), runners, dataset, SETTINGS, folder)[0] for folder in folders
    ]
    killed, whole = (samples_file(folder, dataset.benchmark) for folder in folders)
    assert counts == [4, 0] and killed.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    "changed",
    [b'{"id": "9", "sample": 0}\n', b"[1]\n", b"nonsense\n"],
    ids=["another row", "no record", "no JSON"],
)
def test_a_damaged_line_is_named(changed, policy, runners, tmp_path):
    dataset = invented_dataset("aime24", rows=4)
    finish(policy, Sampler(policy), runners, dataset, SETTINGS, tmp_path)
    path = samples_file(tmp_path, dataset.benchmark)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], changed, *lines[4:]]))
    with pytest.raises(ValueError, match="aime24.jsonl is damaged in line 4"):
        finish(policy, Sampler(policy), runners, dataset, SETTINGS, tmp_path)


def test_a_prompt_that_is_too_long_scores_0_and_stops_nobody(policy, runners):
    dataset = invented_dataset("aime24", rows=3)
    rows = [dataset.rows[0], dataset.rows[1] | {"problem": "long " * 2000}, dataset.rows[2]]
    records = answer(policy, Sampler(policy), runners, dataset.benchmark, rows, SETTINGS)
    assert [record["reason"] == "prompt" for record in records] == [False] * 2 + [True] * 2 + [
        False
    ] * 2
    assert [record["tokens"] for record in records][2:4] == [0, 0]
    alone = answer(policy, Sampler(policy), runners, dataset.benchmark, rows[1:2], SETTINGS)
    assert [record["score"] for record in alone] == [0, 0]


@pytest.mark.parametrize(
    ("name", "value"), [("style", "official"), ("seed", 7), ("limit", 3), ("weights", "0")]
)
def test_a_folder_holds_results_of_one_setting(name, value, tmp_path):
    open_folder(tmp_path, SETTINGS, [])
    open_folder(tmp_path, SETTINGS, [invented_dataset("aime24")])
    was = getattr(SETTINGS, name)
    with pytest.raises(ValueError, match=f"{name} = {was}, not {value}: name another"):
        open_folder(tmp_path, replace(SETTINGS, **{name: value}), [])


def test_a_folder_holds_results_on_one_set_of_rows(tmp_path):
    open_folder(tmp_path, SETTINGS, [invented_dataset("aime24"), invented_dataset("aime25")])
    with pytest.raises(ValueError, match="holds results on other rows of aime24"):
        open_folder(tmp_path, SETTINGS, [invented_dataset("aime24", sha256="1" * 64)])
    (tmp_path / "settings.json").write_text("[")
    with pytest.raises(ValueError, match="settings.json is not what evaluate --out writes"):
        open_folder(tmp_path, SETTINGS, [])


def test_a_summary_is_read_back(policy, runners, tmp_path):
    dataset = invented_dataset("aime24")
    assert open_folder(tmp_path, SETTINGS, [dataset]) == {}
    finish(policy, Sampler(policy), runners, dataset, SETTINGS, tmp_path)
    result = read_result(tmp_path, dataset, SETTINGS)
    written = write_summary(tmp_path, SETTINGS, policy, {"aime24": result}, {"aime25": "no"})
    assert read_summary(tmp_path) == written
    assert open_folder(tmp_path, SETTINGS, [dataset]) == {"aime24": result}
    record = json.loads((tmp_path / "summary.json").read_text())
    assert record["graders"]["math-verify"] and record["versions"]["torch"]
    assert record["missing"] == {"aime25": "no"}
    assert record["averages"]["math"]["value"] is None
    for damage in ('{"results": {"aime24": {}}}', "{}"):
        (tmp_path / "summary.json").write_text(damage)
        with pytest.raises(ValueError, match="summary.json is damaged"):
            read_summary(tmp_path)


def test_other_weights_have_another_fingerprint(policy):
    assert fingerprint(policy) == fingerprint(tiny_policy(max_position_embeddings=4096))
    assert fingerprint(policy) != fingerprint(tiny_policy(seed=1, max_position_embeddings=4096))
