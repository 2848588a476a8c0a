"""Rows of a benchmark are the benchmark's, or one sentence says why there are none."""

import gzip
import hashlib
import json
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from azr_mini.evaluate import downloads
from azr_mini.evaluate.benchmarks import BENCHMARKS
from azr_mini.evaluate.dataset import benchmark_named, cache_folder, load

NOWHERE = "http://127.0.0.1:9"  # the port that discards: nobody listens
ROWS = [{"id": str(number), "problem": "one and one", "answer": "2"} for number in range(3)]


def lines(rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def small(content=None, **changes):
    """AIME'24 as if it had three rows."""
    digest = hashlib.sha256(lines(ROWS) if content is None else content).hexdigest()
    return replace(BENCHMARKS["aime24"], num_rows=3, **({"sha256": digest} | changes))


@pytest.fixture(autouse=True)
def an_empty_machine(tmp_path, monkeypatch):
    """No data and no downloads but those of the test."""
    monkeypatch.delenv("AZR_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def server():
    """A function that serves files by path and returns the address; and the paths asked for."""
    running = []

    def serve(files: dict[str, bytes]):
        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                asked.append(self.path.partition("?")[0])
                content = files.get(asked[-1])
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.send_header("ETag", f'"{hashlib.sha256(content or b"").hexdigest()}"')
                self.send_header("X-Repo-Commit", "c" * 40)
                self.end_headers()
                return content

            def do_GET(self):
                self.wfile.write(self.do_HEAD() or b"")

            def log_message(self, *arguments):
                pass

        asked = []
        running.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=running[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{running[-1].server_port}", asked

    yield serve
    for http in running:
        http.shutdown()
        http.server_close()


def github_path(benchmark) -> str:
    place, _, commit = benchmark.origin.rpartition("@")
    repository, _, path = place.partition(":")
    return f"/{repository}/{commit}/{path}"


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_published_file_is_the_one_in_the_table(name, evals_folder, monkeypatch):
    benchmark = benchmark_named(name)
    if benchmark.sha256 is None:
        pytest.skip("no copy of it may be kept here")
    monkeypatch.setenv("AZR_DATA", str(evals_folder.parent))
    dataset = load(benchmark, github=NOWHERE)
    assert len(dataset.rows) == dataset.num_rows == benchmark.num_rows
    assert not dataset.is_stand_in and dataset.sha256 == benchmark.sha256
    assert len(load(benchmark, limit=4).rows) == 4


def test_a_file_is_downloaded_once_from_its_commit(server):
    benchmark = small()
    address, asked = server({github_path(benchmark): lines(ROWS)})
    for _ in range(2):
        dataset = load(benchmark, github=address)
        assert dataset.rows == ROWS and not dataset.is_stand_in
    assert asked == [github_path(benchmark)] and benchmark.origin.split("@")[1] in asked[0]
    kept = [path for path in cache_folder().rglob("*") if path.is_file()]
    assert kept == [cache_folder() / benchmark.file]


def test_a_compressed_original_is_known_by_its_content(server):
    benchmark = small(origin="owner/repository:data.jsonl.gz@abc")
    address, _ = server({"/owner/repository/abc/data.jsonl.gz": gzip.compress(lines(ROWS))})
    assert load(benchmark, github=address).rows == ROWS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lines(ROWS[:2]), "has sha256 .*, not "),
        (b"<html>", "has sha256 .*, not "),
        (None, "404"),
    ],
)
def test_what_is_not_the_file_is_never_kept(server, content, words):
    benchmark = small()
    address, _ = server({} if content is None else {github_path(benchmark): content})
    with pytest.raises(ValueError, match=f"no data for AIME'24 .*{words}"):
        load(benchmark, github=address)
    assert not [path for path in cache_folder().rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["aime24", "lcb_execution"])
def test_without_a_network_one_sentence_says_where_to_put_the_file(name, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="no data for .*connect to a network, or put") as caught:
        load(BENCHMARKS[name], github=NOWHERE, hub=NOWHERE)
    assert "\n" not in str(caught.value)
    assert str(cache_folder() / BENCHMARKS[name].file) in str(caught.value)
    monkeypatch.setenv("AZR_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=f"put the file at {tmp_path}/evals/"):
        load(BENCHMARKS[name], github=NOWHERE, hub=NOWHERE)


def test_a_changed_file_is_refused_with_both_hashes(tmp_path, monkeypatch):
    benchmark = small()
    path = tmp_path / "evals" / benchmark.file
    path.parent.mkdir(parents=True)
    changed = lines([ROWS[0] | {"answer": "3"}, *ROWS[1:]])
    path.write_bytes(gzip.compress(changed))
    monkeypatch.setenv("AZR_DATA", str(tmp_path))
    found = hashlib.sha256(changed).hexdigest()
    with pytest.raises(ValueError, match=f"sha256 is {found}, not {benchmark.sha256}; delete it"):
        load(benchmark)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lines([*ROWS[:2], {"id": "2", "problem": "?"}]), "row 3 lacks 'answer'"),
        (lines(ROWS[:2]), "2 rows, not 3"),
        (lines(ROWS)[:-9], "cannot be read .JSONDecodeError"),
        (gzip.compress(lines(ROWS))[:-12], "cannot be read .EOFError"),
        (b"[" * 100_000, "cannot be read .RecursionError"),
        (b"3\n", "cannot be read .TypeError"),
    ],
)
def test_a_damaged_file_without_a_known_hash_is_named(content, words):
    benchmark = small(sha256=None)
    path = cache_folder() / benchmark.file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        load(benchmark)
    assert str(path) in str(caught.value) and "delete it" in str(caught.value)


def test_a_file_that_is_named_is_a_stand_in_unless_it_is_the_real_one(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(lines(ROWS))
    assert not load(small(), path=path).is_stand_in
    assert load(BENCHMARKS["aime24"], path=path).is_stand_in
    assert load(replace(BENCHMARKS["aime24"], sha256=None), path=path).is_stand_in
    with pytest.raises(ValueError, match="rows.jsonl is not MATH500: row 1 lacks 'subject'"):
        load(replace(BENCHMARKS["math500"], fields=("subject",)), path=path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="it has no rows"):
        load(small(), path=path)


def on_hub(dataset: str, **files: bytes) -> dict[str, bytes]:
    names = [{"type": "file", "path": name, "size": 1, "oid": "0" * 40} for name in files]
    return {
        f"/api/datasets/{dataset}": json.dumps(
            {"id": dataset, "sha": "c" * 40, "siblings": [{"rfilename": n} for n in files]}
        ).encode(),
        f"/api/datasets/{dataset}/tree/main": json.dumps(names).encode(),
    } | {f"/datasets/{dataset}/resolve/main/{name}": content for name, content in files.items()}


def test_the_release_is_read_from_its_files_in_order_and_no_script_is_asked_for(server):
    benchmark = replace(BENCHMARKS["lcb_generation"], num_rows=6)
    dataset = benchmark.origin.removeprefix("hub:")

    def row(name):
        return dict.fromkeys(benchmark.fields, "") | {"question_id": name, "platform": "x"}

    parts = {name: lines([row(name)]) for name in downloads.PARTS[dataset]}
    parts["test5.jsonl"] += lines([row("last")])
    files = on_hub(dataset, **parts, **{"test6.jsonl": lines([row("later")]), "load.py": b"1/0"})
    address, asked = server(files)
    names = [row["question_id"] for row in load(benchmark, hub=address).rows]
    assert names == [*downloads.PARTS[dataset], "last"]
    assert not [path for path in asked if path.endswith(("test6.jsonl", ".py"))]
    assert set(load(benchmark, hub=NOWHERE).rows[0]) == set(benchmark.fields)


@pytest.mark.parametrize(
    ("rows", "words"), [(2, "2 rows were downloaded, not 3"), (3, "row 1 .*lacks 'output'")]
)
def test_an_incomplete_dataset_of_the_hub_is_refused(server, rows, words):
    benchmark = replace(BENCHMARKS["lcb_execution"], num_rows=3)
    fields = benchmark.fields if rows == 2 else benchmark.fields[:-1]
    content = lines([dict.fromkeys(fields, "")] * rows)
    address, _ = server(on_hub(benchmark.origin.removeprefix("hub:"), **{"test.jsonl": content}))
    with pytest.raises(ValueError, match=f"no data for LiveCodeBench-Execution .*{words}"):
        load(benchmark, hub=address)
    assert not (cache_folder() / benchmark.file).exists()


def test_parquet_is_read_too(server, tmp_path):
    import pandas as pd

    pytest.importorskip("pyarrow")
    benchmark = replace(BENCHMARKS["lcb_execution"], num_rows=2)
    rows = [dict.fromkeys(benchmark.fields, f"{number}") for number in range(2)]
    pd.DataFrame(rows).to_parquet(tmp_path / "rows.parquet")
    name, content = "data/test-0.parquet", (tmp_path / "rows.parquet").read_bytes()
    address, _ = server(on_hub(benchmark.origin.removeprefix("hub:"), **{name: content}))
    assert load(benchmark, hub=address).rows == rows


def test_a_missing_package_is_named_instead_of_the_network(server, monkeypatch):
    pytest.importorskip("pandas")
    benchmark = BENCHMARKS["lcb_execution"]
    content = {"data/test-0.parquet": b"PAR1"}
    address, _ = server(on_hub(benchmark.origin.removeprefix("hub:"), **content))
    for engine in ("pyarrow", "fastparquet"):
        monkeypatch.setitem(sys.modules, engine, None)
    with pytest.raises(ValueError, match="pyarrow.*: pip install pandas pyarrow, or put the file"):
        load(benchmark, hub=address)


def test_an_unknown_benchmark_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="no benchmark 'gsm8k': use cruxeval_i, "):
        benchmark_named("gsm8k")
