"""Which sampler a run gets, and what it is told if that is another than it asked for."""

import re
import sys
import tomllib
import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny import tiny_policy

from azr_mini.config import Config
from azr_mini.sampler import Sampler
from azr_mini.samplers import VLLM, make_sampler, version_of, why_not_gpu, why_not_version

WITH_VLLM = Config(sampler="vllm", lora_rank=4, heldout_path="")
no_vllm = pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")


def test_by_default_torch_samples_and_nothing_is_said():
    said = []
    sampler = make_sampler(tiny_policy(), Config(), tell=said.append)
    assert type(sampler) is Sampler and not sampler.differs and said == []


@no_vllm
def test_without_vllm_one_sentence_says_so_and_torch_samples():
    said = []
    sampler = make_sampler(tiny_policy(lora_rank=4), WITH_VLLM, tell=said.append)
    assert type(sampler) is Sampler
    (sentence,) = said
    assert "torch instead of vllm" in sentence and "pip install" in sentence
    assert "\n" not in sentence


@no_vllm
def test_a_caller_that_does_not_listen_gets_a_warning():
    with pytest.warns(UserWarning, match="torch instead of vllm"):
        make_sampler(tiny_policy(lora_rank=4), WITH_VLLM)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_sampler(tiny_policy(), replace(WITH_VLLM, sampler="torch"))


@no_vllm
@pytest.mark.parametrize(
    "code, reason",
    [
        ("import torch\ntorch.of_another_version", "cannot be imported (AttributeError: module"),
        ("raise OSError('libcuda.so.1\\nnot found')", "imported (OSError: libcuda.so.1 not found)"),
        ("__version__ = '0.31.0'", "it is installed but cannot be imported (ModuleNotFoundError"),
        ("__version__ = '0.19.0'", "its version is 0.19, ours goes with"),
    ],
)
def test_a_vllm_that_is_broken_or_old_is_named_and_torch_samples(
    tmp_path, monkeypatch, code, reason
):
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    said = []
    try:
        sampler = make_sampler(tiny_policy(lora_rank=4), WITH_VLLM, tell=said.append)
    finally:
        sys.modules.pop("vllm", None)
    assert type(sampler) is Sampler
    (sentence,) = said
    assert reason in sentence and "\n" not in sentence


def test_another_gpu_than_the_first_is_named():
    assert "CUDA_VISIBLE_DEVICES=1" in why_not_gpu((9, 0), index=1)
    assert why_not_gpu((9, 0), index=0) == ""


@pytest.mark.parametrize(
    "capability, fits", [((7, 5), True), ((8, 0), True), ((9, 0), True), ((7, 0), False)]
)
def test_a_gpu_older_than_a_t4_is_named(capability, fits):
    reason = why_not_gpu(capability)
    assert (reason == "") is fits
    if not fits:
        assert "capability 7.0" in reason and "7.5" in reason


@pytest.mark.parametrize(
    "text, version",
    [("0.31.0", (0, 31)), ("0.26.1+cpu", (0, 26)), ("1.2rc1", (1, 2)), ("dev", (0, 0))],
)
def test_versions_are_read(text, version):
    assert version_of(text) == version


@pytest.mark.parametrize("version", [(0, 0), (0, 25), (0, 33), (1, 0)])
def test_a_version_that_nobody_looked_at_is_refused(version):
    reason = why_not_version(version, None, has_plugin=True)
    assert f"its version is {version[0]}.{version[1]}" in reason and "0.26 to 0.32" in reason


@pytest.mark.parametrize("version", [(0, 26), (0, 31), (0, 32)])
def test_a_version_that_fits_is_taken(version):
    assert why_not_version(version, None, has_plugin=False) == ""


def test_the_gpu_extra_installs_a_version_that_fits():
    pyproject = Path(__file__).resolve().parents[1] / "pyproject.toml"
    extra = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    (needed,) = (r for r in extra["optional-dependencies"]["gpu"] if re.match(r"vllm[<>=]", r))
    bounds = [tuple(map(int, pair)) for pair in re.findall(r"(\d+)\.(\d+)", needed.split(";")[0])]
    assert bounds == list(VLLM)


def test_a_base_in_four_bits_needs_the_plugin_of_newer_versions():
    assert "vllm-bnb-plugin" in why_not_version((0, 31), "nf4", has_plugin=False)
    assert why_not_version((0, 31), "nf4", has_plugin=True) == ""
    assert why_not_version((0, 26), "nf4", has_plugin=False) == ""  # it is inside
