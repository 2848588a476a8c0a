"""The README names every module, and its links and commands exist."""

import re
import shlex
from pathlib import Path

import pytest

from azr_mini import options as opt
from azr_mini.__main__ import COMMANDS
from azr_mini.commands.console import parse
from azr_mini.estimate import GB, estimate
from azr_mini.fit import CPU_PARAMETERS, MARGIN
from azr_mini.licences import licence_in_words
from azr_mini.presets import CARDS, PRESETS, arrangement
from azr_mini.shapes import KNOWN
from azr_mini.step_time import TYPICAL, step_seconds
from tests.notebook_source import code_cells, read

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PARTS = sorted(
    path.name + ("/" if path.is_dir() else "")
    for path in (ROOT / "azr_mini").iterdir()
    if path.name not in ("__init__.py", "__pycache__", "_data")
)


@pytest.mark.parametrize("name", PARTS)
def test_the_file_tree_says_what_it_is_for(name):
    assert re.search(rf"^  {re.escape(name)} +\w", README, flags=re.MULTILINE)


def test_every_local_link_leads_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links and all((ROOT / link).exists() for link in links), links


def test_commands_and_make_targets_exist():
    named = set(re.findall(r"python -m azr_mini ([a-z-]+)", README))
    assert named == set(COMMANDS)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


# ---- memory of one GPU --------------------------------------------------------------------------

ROW = re.compile(
    r"\| `(--preset gpu-\w+[^`]*)` \| (\d+) \| `(\S+)` \| (.+?) \| (.+?) \| ([\d.]+) \| (.+?) \|"
)
TRAINED = re.findall(r"^python -m azr_mini train (.*?) *(?:#.*)?$", README, flags=re.MULTILINE)


def configured(command):
    """The configuration of a `train` command of the README."""
    words = shlex.split(command)
    start = PRESETS[words[words.index("--preset") + 1]]
    return parse(opt.TrainOptions, "train", words, opt.TrainOptions(config=start)).config


def test_the_table_of_presets_holds_what_the_estimate_says():
    rows = ROW.findall(README)
    assert {options.split()[1] for options, *_ in rows} == set(CARDS)
    commands = [*map(configured, TRAINED)]
    for options, size, model, licence, held, gigabytes, minutes in rows:
        name, config = options.split()[1], configured(f"{options} --model {model}")
        assert config == PRESETS[name] or config in commands
        found = estimate(config, KNOWN[model], memory=int(size) * GB)
        assert int(size) == CARDS[name] and gigabytes == f"{found.peak / GB:.1f}"
        assert found.peak < MARGIN * int(size) * GB
        card = TYPICAL.get(int(size), "")
        seconds = step_seconds(config, KNOWN[model], card)
        known = seconds and f"{seconds / 60:.0f} ({re.split('[ -]', card)[0]})"
        assert minutes == (known or "-")
        assert licence.split()[0].strip(",") in licence_in_words(model)
        assert ("non-commercial" in licence) == ("not for commercial" in licence_in_words(model))
        assert held[:3] == arrangement(config)[:3]
        assert ("twice" in held) == (config.sampler == "vllm")
        assert ("4 bits" in held) == bool(config.quantize)


def test_every_command_for_a_gpu_fits_the_card_of_its_preset():
    assert len(TRAINED) >= 6
    for command in TRAINED:
        config = configured(command)
        name = re.search(r"--preset (\S+)", command).group(1)
        shape = KNOWN.get(config.model, KNOWN[PRESETS[name].model])  # a folder: of the same model
        assert estimate(config, shape).peak < MARGIN * CARDS[name] * GB


def test_notebook_07_names_the_same_commands():
    notebook = next((ROOT / "notebooks").glob("07_*.ipynb"))
    printed = [
        output.text
        for cell in code_cells(read(notebook))
        for output in cell.outputs
        if output.output_type == "stream"
    ]
    named = re.findall(r"^python -m azr_mini train (.*)$", "\n".join(printed), flags=re.MULTILINE)
    assert len(named) == 4 and set(named) <= set(TRAINED)


def test_the_size_that_needs_a_gpu_is_printed():
    assert f"more than {CPU_PARAMETERS:,}" in README
