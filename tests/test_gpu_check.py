"""The check of what needs a GPU: its counts, its rows in tiny sizes, its table, its care."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from live_memory import LiveMemory

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from azr_mini import work  # noqa: E402
from azr_mini.held_memory import nf4_bytes  # noqa: E402
from azr_mini.shapes import Shape  # noqa: E402
from azr_mini.work import Work  # noqa: E402
from benchmarks import gpu_check  # noqa: E402
from benchmarks.gpu import build, gradients, measure, rows, trl_row  # noqa: E402
from benchmarks.gpu.build import TINY_SHAPE, Sizes  # noqa: E402
from benchmarks.gpu.lines import LINES  # noqa: E402
from benchmarks.gpu.rows import ROWS, Outcome, found_by, in_its_own_process, measured  # noqa: E402
from benchmarks.gpu.shapes import compared, entries_of, estimate_again, estimated, held  # noqa: E402
from benchmarks.gpu.table import page, progress, table  # noqa: E402

TINY = Sizes.small("cpu")
SMALL = Shape("llama", 1, 4, 8, 2, 1, 2, 10, True)  # matrices: 16 + 8 + 8 + 16 + 3 x 32 = 144
CARD = {"name": "NVIDIA H200", "capability": "9.0", "memory": 150 * 10**9, "cuda": "13.0"}


# ---- counts -------------------------------------------------------------------------------------


def test_work_is_counted_by_hand():
    # the prompt has 1 + 2 + 3 pairs, the first of two written tokens sees 4, a last one is no input
    assert work.work_of([(3, [2, 1])]) == Work(tokens=4, pairs=10, scored=2)
    assert work.work_of([(3, [2]), (3, [1])]) == Work(tokens=7, pairs=16, scored=3)


def test_operations_are_counted_by_hand():
    forward = work.forward_flops(SMALL, Work(4, 10, 2), rank=2)
    assert forward == {
        "matrices": 2 * 4 * 144,
        "adapter": 2 * 4 * 2 * (8 + 6 + 6 + 8 + 3 * 12),
        "attention": 2 * (2 * 10 * 4),  # scores and values, four wide
        "head": 2 * 2 * 10 * 4,
    }
    assert work.update_flops(SMALL, Work(4, 10, 2), 2) == 2 * 1152 + 3 * 1024 + 3 * 160 + 2 * 160


@pytest.mark.parametrize("attempts", [1, 3])
def test_operations_of_matrices_are_those_that_torch_counts(attempts):
    from torch.utils.flop_counter import FlopCounterMode

    policy = build.random_policy(TINY_SHAPE, TINY.config(), torch.float32, quantize=False)
    rollouts = build.random_rollouts(384, "solve", 2, attempts, 12, 6)
    state = SimpleNamespace(policy=policy, micro_batch_tokens=1000)
    asked = work.work_of(entries_of(state, rollouts))
    forward = work.forward_flops(TINY_SHAPE, asked, rank=16)
    assert asked.tokens == (2 * (12 + 3 * 5) if attempts == 3 else 2 * 17)

    def products(backward):
        with FlopCounterMode(display=False) as counter:
            texts = [r.prompt_ids for r in rollouts], [r.completion_ids for r in rollouts]
            logprobs, _, _ = policy.logprobs(*texts)
            if backward:
                torch.autograd.grad(logprobs.sum(), policy.parameters())
        found = counter.get_flop_counts()["Global"]
        return sum(found.get(kind, 0) for kind in (torch.ops.aten.mm, torch.ops.aten.addmm))

    assert products(False) == sum(forward[kind] for kind in ("matrices", "adapter", "head"))
    # what the first layer reads is the embedding, to which no gradient goes
    unasked = 2 * asked.tokens * (64 * (64 + 32 + 32) + 3 * 64 * 16)
    both = work.update_flops(TINY_SHAPE, replace(asked, pairs=0), rank=16)
    assert products(True) == both - unasked


def test_bytes_of_a_generation_are_counted_by_hand():
    sizes = (16, 8, 8, 16, 32, 32, 32)
    weights = sum(map(nf4_bytes, sizes)) + 4 * 2 * 64 + 2 * 10 * 4
    assert work.weight_bytes_read(SMALL, rank=2) == weights
    token = 2 * 2 * 2  # key and value, two wide, two bytes
    # 3 completions of 2 prompts of 5: after the first token two steps, which read 1 and 2 written
    read = work.generation_bytes(SMALL, 2, prompts=2, attempts=3, prompt=5, new=3)
    assert read == 2 * weights + token * (2 * 2 * 5 + 6 * (1 + 2))
    twice = work.generation_bytes(SMALL, 2, 2, 3, 5, 3, waves=2)
    assert twice == read + 2 * weights


def test_cards_are_known_by_their_whole_name():
    assert work.peaks_of("NVIDIA H200") == (989e12, 4.8e12)
    assert work.peaks_of("NVIDIA L4")[0] == 121e12 != work.peaks_of("NVIDIA L40S")[0]
    assert work.peaks_of("Tesla T4") == (65e12, 0.32e12)
    assert work.peaks_of("NVIDIA L400") is None


# ---- models of real shapes ----------------------------------------------------------------------


def test_no_16_bit_copy_of_the_whole_model_is_made():
    shape = Shape("qwen2", 8, 256, 1024, 8, 2, 32, 384, False)
    build.random_model(TINY_SHAPE, torch.bfloat16, "cpu")  # what libraries make at first use
    with LiveMemory() as live:
        model = build.random_model(shape, torch.bfloat16, "cpu")
    weights = measure.tensor_bytes(model.parameters())
    largest = max(a * b for a, b in shape.matrices)
    assert weights < live.peak < weights + 10 * largest < 2 * shape.layers * shape.matrix_parameters
    from bitsandbytes.nn import Linear4bit

    assert sum(isinstance(part, Linear4bit) for part in model.modules()) == 7 * shape.layers
    assert not any(p.is_meta for p in (*model.parameters(), *model.buffers()))


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_a_random_model_is_held_as_estimated_and_computes(architecture):
    shape = replace(TINY_SHAPE, architecture=architecture)
    policy = build.random_policy(shape, TINY.config())
    assert held(policy)["weights"] == estimated(TINY.config(), shape)["weights"][0]
    logprobs, _, _ = policy.logprobs([[5, 6]], [[7, 8]])
    assert torch.isfinite(logprobs).all() and logprobs.std() > 0


# ---- rows ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shape_row():
    return list(found_by("shape-7B", TINY))[-1]


def test_a_step_of_a_shape_writes_full_completions_and_learns(shape_row):
    assert shape_row["solve"]["tokens"] == 3 * 2 * 6 and shape_row["propose"]["tokens"] == 3 * 6
    assert shape_row["update"]["completion_tokens"] == (3 + 6) * 6
    assert shape_row["update"]["update_skipped"] == 0 < shape_row["update"]["grad_norm"]
    parts = {name: (guess, real) for name, guess, real in compared(shape_row)}
    assert set(parts) == {"weights", "LoRA adapter", "optimizer (two moments)"}  # no GPU
    assert all(guess == real for guess, real in parts.values())


def test_gradients_in_four_bits_are_those_of_the_weights_multiplied_out():
    found = list(found_by("gradients", TINY))[-1]
    exact = found["float32"]
    assert max(exact["to_float32"], exact["after_generating"], exact["chunked_head"]) < 1e-5
    for dtype in ("bfloat16", "float16"):
        assert found[dtype]["finite"] and 0 < found[dtype]["to_float32"] < 0.05
        assert found[dtype]["to_float32"] <= 1.5 * found[dtype]["16_bit_to_float32"]
    assert found["float16"]["loss_scale"] > 1


def test_a_wrong_gradient_is_at_a_distance():
    config = TINY.config()
    policy = build.random_policy(TINY_SHAPE, config, torch.float32, moved=gradients.MOVED)
    batch = build.random_prompts(384, 2, 9), build.random_prompts(384, 2, 5)
    right = gradients.gradient_of(policy, *batch)
    with torch.no_grad():
        policy.parameters()[0].add_(0.1)
    assert gradients.distance(gradients.gradient_of(policy, *batch), right) > 1e-3
    assert gradients.distance(right * 1.5, right) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["limit-14B", "paper-batch", "nano", "vllm"])
def test_every_other_row_runs(name):
    found = list(found_by(name, TINY))[-1]
    expected = {
        "limit-14B": {"limit", "cuda_itself", "update"},
        "paper-batch": {"update_fresh", "update_reuse", "sample_proposals", "sample_attempts"},
        "nano": {"greedy", "steps"},
        "vllm": set(),
    }
    assert expected[name] <= set(found) and (found.get("missing") or name != "vllm" or found)
    if name == "nano":
        assert found["greedy"]["equal"] == found["greedy"]["prompts"] == 3  # it is the CPU itself


@pytest.mark.slow
def test_trl_takes_the_same_rollouts():
    pytest.importorskip("trl")
    found = list(found_by("trl", TINY))[-1]
    ratios = trl_row.ratios(found, "8 attempts a prompt")
    best = trl_row.fastest(found["trl"], "8 attempts a prompt")
    theirs = found["trl"][best]["8 attempts a prompt"]["seconds"]
    assert theirs == min(row["8 attempts a prompt"]["seconds"] for row in found["trl"].values())
    assert found["ours_other"]["128"]["8 attempts a prompt"]["micro_batch_tokens"] == 128
    mine = found["ours"]["8 attempts a prompt"]["seconds"]
    assert ratios == {"times_as_fast": pytest.approx(theirs / mine)}
    said = page({"rows": {"trl": row_of(found)}})
    assert "`gradient_checkpointing=True`" in said and "`fused_head=True`" in said


# ---- processes and time -------------------------------------------------------------------------


def python(code):
    return [sys.executable, "-c", code]


def test_a_row_that_crashes_keeps_what_it_found():
    code = (
        "print('RECORD {\"a\": 1}'); print('RECORD {\"a\": 1, \"b\": 2}'); raise MemoryError('no')"
    )
    assert in_its_own_process(python(code), 60) == Outcome({"a": 1, "b": 2}, "MemoryError: no")
    killed = "import os; os.kill(os.getpid(), 9)"
    assert in_its_own_process(python(killed), 60) == Outcome({}, "it ended with status -9")
    assert in_its_own_process(python("print(1)"), 60) == Outcome({}, "it found nothing")
    half = "print('RECORD {\"a\": 1}\\nRECORD {', end='', flush=True); " + killed
    assert in_its_own_process(python(half), 60) == Outcome({"a": 1}, "it ended with status -9")


def test_what_a_row_leaves_behind_ends_with_it(tmp_path):
    script = f"""echo 'RECORD {{"a": 1}}'; sleep 600 & echo $! > {tmp_path}/pid"""
    assert in_its_own_process(["sh", "-c", script], 60) == Outcome({"a": 1}, "")
    wait_for_the_end_of(tmp_path / "pid")


@pytest.mark.parametrize("cut", ["by its limit", "by an interruption"])
def test_a_row_that_is_cut_ends_with_all_that_it_started(tmp_path, cut):
    pid = tmp_path / "pid"
    command = ["sh", "-c", f"""echo 'RECORD {{"a": 1}}'; sleep 600 & echo $! > {pid}; wait"""]
    if cut == "by its limit":  # a shell is there at once
        outcome = in_its_own_process(command, 5)
        assert outcome == Outcome({"a": 1}, "its 5 seconds were up")
    else:
        outcome = in_its_own_process(command, 60, lambda: pid.exists() and bool(pid.read_text()))
        assert outcome == Outcome({"a": 1}, "it was interrupted")
    wait_for_the_end_of(pid)


def wait_for_the_end_of(file):
    """Hangs, and so fails, if the process whose number is in the file goes on."""
    with suppress(FileNotFoundError, ProcessLookupError):
        while Path("/proc", file.read_text().strip(), "cmdline").read_bytes():
            time.sleep(0.05)


def test_an_interrupted_check_keeps_what_its_row_has_found(tmp_path):
    """`timeout` sends this signal; the row has no time to say that it was ended."""
    out, row = tmp_path / "gpu.json", tmp_path / "row.py"
    row.write_text(
        f"import os, signal, sys, time\nprint('{rows.MARK}' + '{{\"a\": 1}}', flush=True)\n"
        "os.kill(os.getppid(), signal.SIGTERM)\ntime.sleep(600)\n"
    )
    code = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from benchmarks import gpu_check
gpu_check.card_here = lambda: {CARD!r}
gpu_check.command_of = lambda *_: [sys.executable, {str(row)!r}]
sys.argv = ["gpu_check.py", "--rows", "nano", "trl", "--out", {str(out)!r}]
gpu_check.main()
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
    found = json.loads(out.read_text())["rows"]
    assert [*found] == ["nano"]
    assert (found["nano"]["found"], found["nano"]["reason"]) == ({"a": 1}, "it was interrupted")


def test_a_row_that_found_nothing_before_an_interruption_replaces_no_other(tmp_path, monkeypatch):
    found = iter([Outcome({"a": 1}, ""), Outcome({}, "it was interrupted")])
    monkeypatch.setattr(gpu_check, "in_its_own_process", lambda *_: next(found))
    gpu_check.measure(options(tmp_path, "--rows", "nano"), CARD)
    record = gpu_check.measure(options(tmp_path, "--rows", "nano", "trl"), CARD, lambda: True)
    assert [*record["rows"]] == ["nano"] and record["rows"]["nano"]["found"] == {"a": 1}


def test_rows_are_begun_while_there_is_time_for_them():
    now, given = [0.0], []

    def run(name, limit):
        given.append((name, limit))
        now[0] += 100 if name == "gradients" else limit
        return Outcome({}, "")

    names = ["gradients", "trl", "nano"]
    found = dict(measured(names, run, minutes=4, clock=lambda: now[0]))
    # 240 seconds in all: gradients uses 100 of its own 120, trl gets what is left
    assert given == [("gradients", 120), ("trl", 140)] and found["nano"] is None
    now[0] = 0.0
    given.clear()
    list(measured(names, run, clock=lambda: now[0]))
    assert given == [(name, ROWS[name].limit) for name in names]


def options(tmp_path, *words):
    return gpu_check.parse([*words, "--out", str(tmp_path / "gpu.json")])


def test_the_record_is_written_after_each_row_and_old_rows_stay(tmp_path, monkeypatch):
    seen, out = [], tmp_path / "gpu.json"

    def run(command, limit, stop):
        name = command[command.index("--row") + 1]
        seen.append(sorted(json.loads(out.read_text())["rows"]) if out.exists() else [])
        return Outcome({"is": name}, "" if name != "trl" else "MemoryError: no")

    monkeypatch.setattr(gpu_check, "in_its_own_process", run)
    gpu_check.measure(options(tmp_path, "--rows", "nano", "trl"), CARD)
    record = gpu_check.measure(options(tmp_path, "--rows", "gradients"), CARD)
    assert seen == [[], ["nano"], ["nano", "trl"]]
    assert record == json.loads(out.read_text())
    assert record["rows"]["trl"]["reason"] == "MemoryError: no"
    assert [row["tiny"] for row in record["rows"].values()] == [False] * 3
    assert record["rows"]["nano"]["device"] == CARD


def test_without_a_gpu_nothing_is_recorded(tmp_path):
    asked = options(tmp_path)
    assert asked.rows == list(ROWS)
    assert gpu_check.measure(asked, None) == {"rows": {}} and not asked.out.exists()


def test_tiny_numbers_are_marked_and_never_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "in_its_own_process", lambda *_: Outcome({"a": 1}, ""))
    record = gpu_check.measure(options(tmp_path, "--tiny", "--rows", "nano"), None)
    assert record["rows"]["nano"]["tiny"] is True
    with pytest.raises(ValueError, match="tiny sizes belong on no page: nano"):
        page(record)
    for words in (["--tiny", "--out", str(gpu_check.RECORD)], ["--tiny", "--out", relative()]):
        with pytest.raises(SystemExit):
            gpu_check.parse(words)
    assert gpu_check.parse(["--tiny"]).out != gpu_check.RECORD == gpu_check.parse([]).out
    assert "--tiny" in rows.command_of("nano", True, "cpu", 512)


def test_tiny_and_measured_rows_never_stand_in_one_record(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "in_its_own_process", lambda *_: Outcome({"a": 1}, ""))
    asked = options(tmp_path, "--tiny", "--rows", "nano")
    gpu_check.measure(asked, None)
    before = asked.out.read_bytes()
    with pytest.raises(SystemExit, match="holds rows of tiny sizes: name another --out"):
        gpu_check.measure(options(tmp_path, "--rows", "trl"), CARD)
    assert asked.out.read_bytes() == before
    asked.out.unlink()
    gpu_check.measure(options(tmp_path, "--rows", "trl"), CARD)
    with pytest.raises(SystemExit, match="holds rows of real sizes"):
        gpu_check.measure(asked, CARD)


def test_a_record_that_cannot_be_written_leaves_the_old_one_whole(tmp_path, monkeypatch):
    record = tmp_path / "gpu.json"
    gpu_check.write(record, {"rows": {"nano": 1}})
    whole = Path.write_text

    def torn(path, text, **how):
        whole(path, text[: len(text) // 2], **how)
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_text", torn)
    with pytest.raises(OSError, match="no space"):
        gpu_check.write(record, {"rows": {"nano": 1, "trl": 2}})
    assert gpu_check.load(record) == {"rows": {"nano": 1}}


def relative():
    return os.path.relpath(gpu_check.RECORD)


# ---- what is printed ----------------------------------------------------------------------------


def row_of(found, reason=""):
    made = {"command": "", "date": "2026-01-01T00:00:00", "hardware": {"cpu": "", "cores": 1}}
    made |= {"environment": {"versions": {"torch": "1"}}, "device": CARD, "tiny": False}
    return made | {"reason": reason, "found": found}


def cells(name, found, reason=""):
    printed = table({"rows": {name: row_of(found, reason)}})[2:]
    return [line.split(" | ")[2].removesuffix(" |") for line in printed]


def cell(name, found, number=0, reason=""):
    mine = [place for place, line in enumerate(LINES) if line.row == name]
    return cells(name, found, reason)[mine[number]]


def test_a_line_without_a_number_says_why():
    assert set(cells("nano", {})) == {"not measured (not run yet)", "not measured (it needs a GPU)"}
    nothing = {line.split(" | ")[2] for line in table({"rows": {}})[2:]}
    assert nothing == {"not measured (no GPU has been seen yet) |"}
    failed = cell("trl", {}, reason="OutOfMemoryError: CUDA | no")
    assert failed == "not measured (OutOfMemoryError: CUDA / no)"
    assert cell("vllm", {"missing": "vllm is not installed"}) == (
        "not measured (vllm is not installed)"
    )
    assert {line.row for line in LINES} == set(ROWS)


def on_a_gpu(found, factor):
    """The row as if it had been measured on a GPU, its peak `factor` times the estimated one."""
    found = json.loads(json.dumps(found)) | {"card_before": 0}
    parts = found["estimate"] = found["estimate"] | {"CUDA and fragments": [1000, 1000]}
    for side, phase in enumerate(("solve", "update")):
        whole = sum(values[side] for values in parts.values())
        whole -= parts["optimizer (two moments)"][0] if side == 0 else 0
        found[phase] |= {"allocated": (whole - 1000) / factor, "card": whole / factor}
    return found


def test_the_estimate_is_compared_with_the_larger_peak(shape_row):
    assert "yes" in cell("shape-7B", on_a_gpu(shape_row, 1.0))
    assert "yes" in cell("shape-7B", on_a_gpu(shape_row, 1.14))
    assert "**no**" in cell("shape-7B", on_a_gpu(shape_row, 1.2))
    assert "**no**" in cell("shape-7B", on_a_gpu(shape_row, 0.8))
    assert "not measured" in cell("shape-7B", shape_row)  # a CPU has no peak
    measured_on = on_a_gpu(shape_row, 1.0)
    for name, guess, real in compared(measured_on):
        assert guess == pytest.approx(real), name


def limit_found(reserved, left=2048):
    update = {"allocated": 8e9, "reserved": reserved, "micro_batch_tokens": left}
    found = {"limit": 14e9, "cuda_itself": 5e8, "asked_micro_batch_tokens": 2048}
    return found | {"update": update | {"update_skipped": 0}}


def test_a_limit_counts_what_cuda_takes_and_says_when_memory_ran_out():
    assert cell("limit-7B", limit_found(13.4e9)).endswith("fragments: yes")
    assert cell("limit-7B", limit_found(13.6e9)).endswith("**no**")
    assert "1024 tokens at a time instead of 2048" in cell("limit-7B", limit_found(9e9, 1024))


def test_trl_is_met_at_its_fastest_in_speed_and_memory():
    kind = "8 attempts a prompt"
    theirs = {
        "4": {kind: {"seconds": 2.0, "tokens_per_s": 100.0, "allocated": 10e9}},
        "8": {kind: {"seconds": 1.0, "tokens_per_s": 200.0, "allocated": 20e9}},
        "16": {kind: {"out_of_memory": True}},
    }
    mine = {kind: {"seconds": 0.5, "tokens_per_s": 400.0, "allocated": 13e9}}
    found = {"ours": mine, "trl": theirs}
    assert trl_row.ratios(found, kind) == {"times_as_fast": 2.0, "peak_memory": 0.65}
    assert cell("trl", found) == "2.00 x at 0.65 of its peak memory: yes"
    larger = {kind: {"tokens_per_s": 500.0, "allocated": 14e9}}
    found["ours_other"] = {"12288": larger, "16384": {kind: larger[kind] | {"allocated": 15e9}}}
    found["ours_other"]["16384"][kind]["tokens_per_s"] = 900.0  # takes too much
    assert trl_row.ratios(found, kind) == {"times_as_fast": 2.5, "peak_memory": 0.7}
    larger[kind]["allocated"] = 14.1e9
    assert cell("trl", found) == "2.00 x at 0.65 of its peak memory: yes"
    mine[kind]["allocated"] = 15e9
    assert cell("trl", found).endswith("**no**")
    assert cell("trl", found, 1) == "not measured (it needs a GPU)"


def test_a_gradient_is_judged_by_its_worst_distance():
    exact = {"to_float32": 1e-6, "after_generating": 0.0, "chunked_head": 1e-6}
    assert cell("gradients", {"float32": exact}).endswith("yes")
    wrong = exact | {"after_generating": 0.7}
    assert cell("gradients", {"float32": wrong}).endswith("**no**")
    half = {"to_float32": 0.02, "16_bit_to_float32": 0.01, "finite": True}
    half |= {"after_generating": 0.0, "again": 0.0}
    assert cell("gradients", {"float16": half}, 2).endswith("**no**")
    assert cell("gradients", {"float16": half | {"16_bit_to_float32": 0.018}}, 2).endswith("yes")


def test_the_page_is_drawn_from_the_record():
    record = gpu_check.load(gpu_check.RECORD)
    before = gpu_check.load(gpu_check.BEFORE)
    assert gpu_check.PAGE.read_text(encoding="utf-8") == page(record, before)
    assert not any(row["tiny"] or row["device"] is None for row in record["rows"].values())
    for name, row in record["rows"].items():
        if name.startswith("shape-"):
            assert estimate_again(row["found"]) == row["found"], "draw it again with --draw"


def test_a_row_says_what_changed_since_it_was_measured():
    rows_ = {"nano": row_of({"a": 1}), "trl": row_of({"a": 1})}  # both older than all changes
    said = page({"rows": rows_}).splitlines()
    nano, trl = (next(x for x in said if x.startswith(f"- {name}: NVIDIA")) for name in rows_)
    assert "measured before this was so: a decoding step attends" in nano and "before" not in trl
    rows_["nano"]["date"] = "2027-01-01T00:00:00+00:00"
    assert "measured before" not in page({"rows": rows_})


def test_what_was_measured_twice_is_compared():
    def of(seconds, tokens):
        phases = {name: {"seconds": seconds} for name in ("propose", "solve", "update")}
        phases["solve"]["tokens_per_s"] = tokens
        return {"rows": {"shape-1.5B": row_of(phases)}}

    said = "\n".join(progress(of(2.0, 1000), of(0.5, 3000)))
    assert "| a step | 6.00 s | 1.50 s | 4.00 |" in said
    assert "| torch sampler, tokens/s | 1,000 | 3,000 | 3.00 |" in said
    assert "TRL" not in said
    assert progress(of(2.0, 1000), {"rows": {}}) == ["Not measured twice yet."]


def test_the_page_prints_what_was_measured(shape_row):
    said = page({"rows": {"shape-7B": row_of(on_a_gpu(shape_row, 1.0))}})
    assert "| 7B: learning: whole card |" in said and "shape-7B: NVIDIA H200" in said
