"""Files of a run are read as far as they are whole; damage is one sentence that names the file."""

import gzip

import pytest

from azr_mini.files import gzip_members, json_lines

DAMAGED = {
    "no JSON": b"{\n",
    "no UTF-8": b'{"a": "\xff"}\n',
    "deep nesting": b"[" * 200_000 + b"\n",
    "a huge number": b'{"a": ' + b"9" * 5000 + b"}\n",
    "no record": b"3\n",
    "an empty line": b"\n",
    "NUL": b"\0\n",
    "two records in a line": b"{}{}\n",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_line_is_an_error_that_names_the_file(tmp_path, name):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 0}\n' + DAMAGED[name])
    records = json_lines(path)
    assert next(records) == {"step": 0}
    with pytest.raises(ValueError, match="metrics.jsonl is damaged"):
        next(records)


@pytest.mark.parametrize("torn", [b"{", b'{"a": "\xc3', b"[" * 200_000, b"3"])
def test_a_torn_last_line_is_left_out(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 0}\n' + torn)
    assert list(json_lines(path)) == [{"step": 0}]
    assert list(json_lines(tmp_path / "nowhere.jsonl")) == []


def test_gzip_members_are_read_up_to_a_torn_one(tmp_path):
    path = tmp_path / "rollouts.jsonl.gz"
    members = [gzip.compress(text, mtime=0) for text in (b"one", b"", b"three" * 50_000)]
    for end in range(len(members[2])):
        path.write_bytes(members[0] + members[1] + members[2][:end])
        assert list(gzip_members(path)) == [b"one", b""]
    path.write_bytes(b"".join(members))
    assert list(gzip_members(path)) == [b"one", b"", b"three" * 50_000]


@pytest.mark.parametrize("damage", [b"\0" * 20, b"plain text", b"\x1f\x8b\x08\xff"])
def test_what_is_no_gzip_member_is_an_error_that_names_the_file(tmp_path, damage):
    path = tmp_path / "rollouts.jsonl.gz"
    path.write_bytes(gzip.compress(b"one") + damage)
    with pytest.raises(ValueError, match="rollouts.jsonl.gz is damaged"):
        list(gzip_members(path))
