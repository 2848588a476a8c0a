"""Models by name: from a local cache, and one sentence where there is none."""

import errno
import os
import shutil
import subprocess
import sys

import httpx
import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from azr_mini.hub import why_not_loaded
from azr_mini.policy import load_policy

NAME = "meta-llama/Llama-3.1-8B-Instruct"


def refused(kind, status):
    """An error as the hub's client raises it."""
    request = httpx.Request("HEAD", f"https://huggingface.co/{NAME}/resolve/main/config.json")
    return kind(
        f"{status} Client Error.\n\nLong story.", response=httpx.Response(status, request=request)
    )


ERRORS = {
    "gated": (refused(GatedRepoError, 403), "is gated: accept its licence at https.*hf auth login"),
    "no such or private": (refused(RepositoryNotFoundError, 401), "or it is private: use 'nano'"),
    "no network": (LocalEntryNotFoundError("An error happened.\nCheck."), "hub cannot be reached"),
    "cut": (httpx.RemoteProtocolError("peer closed connection"), "broke off: try again"),
    "offline": (OfflineModeIsEnabled("offline"), "hub cannot be reached: download it once"),
    "token": (refused(HfHubHTTPError, 401), "refuses the token .*401.*or unset HF_TOKEN"),
    "server": (refused(HfHubHTTPError, 503), "the hub did not give .*503|connection error"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_the_hub_refuses_is_one_sentence_that_says_what_to_do(name, monkeypatch):
    error, sentence = ERRORS[name]

    def refuse(*arguments, **options):
        raise error

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # no other look-ups
    monkeypatch.setattr("transformers.utils.hub.hf_hub_download", refuse)
    with pytest.raises(ValueError, match=sentence) as caught:
        load_policy(NAME)
    assert "\n" not in str(caught.value) and NAME in str(caught.value)


def test_any_other_reason_is_cut_to_its_first_sentence():
    for text in ("first\nsecond", "first. Second.", "first"):
        said = why_not_loaded("x/y", OSError(text))
        assert said.startswith("x/y cannot be loaded (first): use 'nano', a folder")
    assert "(KeyError)" in why_not_loaded("x/y", KeyError())


def test_a_full_disk_is_not_taken_for_a_wrong_name():
    said = why_not_loaded("x/y", OSError(errno.ENOSPC, "No space left on device"))
    assert "x/y cannot be kept" in said and "make room, or let HF_HOME name" in said


@pytest.fixture
def offline_hub(tmp_path, monkeypatch):
    """An empty hub cache without a network; a function that puts a model's folder into it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(name, folder):
        home, commit = tmp_path / "hub" / f"models--{name.replace('/', '--')}", "0" * 40
        shutil.copytree(folder, home / "snapshots" / commit)
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text(commit)

    return put


def test_a_name_is_loaded_from_the_hubs_cache_and_equals_the_folder(tmp_path, offline_hub):
    import torch
    from tiny_models import tiny_policy

    tiny_policy("qwen2").save(tmp_path / "folder")
    with pytest.raises(ValueError, match="azr-mini/tiny is not on this machine"):
        load_policy("azr-mini/tiny", device="cpu")
    offline_hub("azr-mini/tiny", tmp_path / "folder")
    named = load_policy("azr-mini/tiny", dtype="float32", device="cpu")
    local = load_policy(str(tmp_path / "folder"), dtype="float32", device="cpu")
    pairs = zip(named.parameters(), local.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert named.encode("<solve>x") == local.encode("<solve>x")
    adapted = load_policy("azr-mini/tiny", lora_rank=2, dtype="float32", device="cpu")
    adapted.save(tmp_path / "adapter")
    assert "base_model: azr-mini/tiny" in (tmp_path / "adapter" / "README.md").read_text()
    load_policy(str(tmp_path / "adapter"), dtype="float32", device="cpu")


def test_a_hub_that_cannot_be_reached_is_one_sentence_and_not_a_warning_for_each_try():
    """The command line waits for the hub's five tries; here nothing listens at its address."""
    code = """
from azr_mini.__main__ import main
from huggingface_hub.utils import _http
_http.time.sleep = lambda seconds: None
raise SystemExit(main(["train", "--model", "nobody/nothing", "--estimate"]))
"""
    address = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | address
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "the hub cannot be reached" in ended.stderr
