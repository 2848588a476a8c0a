"""What is printed of the check: a table, its parts, and docs/gpu.md, all from the record."""

from functools import partial

from benchmarks.gpu.lines import GB, LINES, SIZES, value_at
from benchmarks.gpu.rows import ROWS
from benchmarks.gpu.shapes import compared
from benchmarks.gpu.trl_row import KINDS, best_of_ours, fastest

NO_GPU = "no GPU has been seen yet"


def table(record: dict) -> list[str]:
    """The lines as Markdown."""
    lines = ["| what | reach | reached |", "|---|---|---|"]
    for line in LINES:
        row = record["rows"].get(line.row)
        said = line.say(row["found"]) if row and row["found"] else None
        if said is None:
            nothing = "not run yet" if record["rows"] else NO_GPU
            cell = f"not measured ({why_not(row) if row else nothing})"
        else:
            text, good = said
            cell = {None: text, True: f"{text}: yes", False: f"{text}: **no**"}[good]
        lines.append(f"| {line.what} | {line.reach} | {cell} |")
    return lines


def why_not(row: dict) -> str:
    """Why a row that was run did not get to the number of a line."""
    missing = row["found"].get("missing") or value_at(row["found"], "vllm", "missing")
    reason = row["reason"] or missing or "it needs a GPU"
    return reason.replace("|", "/")


def memory_table(record: dict) -> list[str]:
    """The estimate beside what was measured, part by part, of the shapes that were."""
    lines = []
    for size in SIZES:
        found = (record["rows"].get(f"shape-{size}") or {}).get("found", {})
        if "update" in found:
            lines += [
                f"| {size}: {name} | {guess / GB:.2f} | {real / GB:.2f} | {guess / real:.2f} |"
                for name, guess, real in compared(found)
            ]
    if not lines:
        return ["Not measured yet."]
    return ["| part | estimated, GB | measured, GB | ratio |", "|---|---|---|---|", *lines]


def settings(record: dict) -> list[str]:
    """Both configurations of the comparison with TRL."""
    found = (record["rows"].get("trl") or {}).get("found", {})
    if not found.get("trl"):
        return ["Not measured yet."]
    configs = {"ours": found["our_config"]}
    for kind in KINDS:
        if tokens := (best_of_ours(found, kind) or {}).get("micro_batch_tokens"):
            configs[f"ours, {kind}"] = {"micro_batch_tokens": tokens}
        if name := fastest(found["trl"], kind):
            configs[f"TRL's fastest, {kind} ({name} at once)"] = found["trl"][name]["config"]
    return [
        f"- {who}: " + ", ".join(f"`{key}={value}`" for key, value in config.items())
        for who, config in configs.items()
    ]


# changes of the code that rows may have been measured before: since when (UTC), which rows, what
SINCE = (
    ("2026-11-26T10:59", ("limit-7B", "limit-14B"), "the learner needs no mask"),
    (
        "2026-11-26T11:50",
        (*(f"shape-{size}" for size in SIZES), "paper-batch", "nano"),
        "a decoding step attends to all entries at once",
    ),
)


def changed_since(name: str, row: dict) -> str:
    """What has changed since a row was measured, in words; "" if it would be measured alike."""
    later = [words for date, rows, words in SINCE if name in rows and row["date"] < date]
    return "".join(f"; measured before this was so: {words}" for words in later)


def provenance(record: dict) -> list[str]:
    """Device, date, versions and command of each row that was run, and what changed since."""
    lines = []
    for name in ROWS:
        if row := record["rows"].get(name):
            device = row["device"]["name"] if row["device"] else row["hardware"]["cpu"]
            versions = row["environment"]["versions"]
            known = ", ".join(f"{k} {v}" for k, v in versions.items() if v and k != "azr-mini")
            ended = f"; ended early: {row['reason']}" if row["reason"] else ""
            ended += changed_since(name, row)
            lines.append(
                f"- {name}: {device}, {row['date'][:10]}, {known}, `{row['command']}`{ended}"
            )
    return lines or [f"- none: {NO_GPU}"]


# what was measured twice: its words, where its number stands, and whether that is seconds
TWICE = (
    ("a step", "shape-1.5B", None, True),
    ("torch sampler, tokens/s", "shape-1.5B", ("solve", "tokens_per_s"), False),
    ("learner, tokens/s", "shape-1.5B", ("update", "tokens_per_s"), False),
    *(
        (f"{who}, {kind}", "trl", (*where, kind, "seconds"), True)
        for kind in KINDS
        for who, where in (
            ("update of 64 completions", ("ours",)),
            ("the same by TRL, 32 rows without Liger", ("trl", "32 rows")),
        )
    ),
)


def progress(before: dict, record: dict) -> list[str]:
    """What was measured in both records, and how many times as fast it is now."""
    lines = []
    for words, row, path, is_seconds in TWICE:
        found = [(r["rows"].get(row) or {}).get("found", {}) for r in (before, record)]
        old, new = (value_at(f, *path) if path else whole_step(f) for f in found)
        if old and new:
            unit = " s" if is_seconds else ""
            texts = [f"{x:.2f}{unit}" if is_seconds else f"{x:,.0f}" for x in (old, new)]
            times = old / new if is_seconds else new / old
            lines.append(f"| {words} | {' | '.join(texts)} | {times:.2f} |")
    if not lines:
        return ["Not measured twice yet."]
    return ["| 1.5B | first | now | times as fast |", "|---|---|---|---|", *lines]


def whole_step(found: dict) -> float | None:
    """Seconds of the phases of a step that run on the GPU."""
    phases = [value_at(found, phase, "seconds") for phase in ("propose", "solve", "update")]
    return sum(phases) if all(phases) else None


def page(record: dict, before: dict | None = None) -> str:
    """docs/gpu.md, every number from the record, and from one of `before`. ValueError if a row is
    tiny.
    """
    if tiny := [name for name, row in record["rows"].items() if row["tiny"]]:
        raise ValueError(f"rows with tiny sizes belong on no page: {', '.join(tiny)}")
    tables = {
        name: "\n".join(part(record))
        for name, part in (
            ("table", table),
            ("memory", memory_table),
            ("settings", settings),
            ("rows", provenance),
            ("progress", partial(progress, before or {"rows": {}})),
        )
    }
    return f"""# One GPU: what was measured

Drawn by `python benchmarks/gpu_check.py`, which measures it, from
[`results/gpu.json`](results/gpu.json). A line without a number says why.

{tables["table"]}

Weights are random, in the shapes of Qwen2.5, with the layers in NF4 and a LoRA of rank 16; every
completion has its full length, so speed and memory are real although the text is not. Prompts have
600 tokens, completions 512 unless the command below says otherwise. Tokens a second count
completion tokens. Shares: the operations of one forward and one backward pass, nothing counted
twice that is computed twice, and the bytes of weights, keys and values that decoding steps have to
read, over what the data sheet of the card promises. The time of the pass over the prompts is
counted and its reading is not.

## The estimate, part by part

`train --estimate` prints these numbers before anything is loaded. What comes and goes: keys and
values, logits, activations, gradients, measured as the peak of tensors less what stays. The
measured numbers are of the rows below, the estimated ones of the present code; what it adds for
CUDA and fragments was chosen with the 1.5B row in view.

{tables["memory"]}

## Against TRL

`GRPOTrainer` on the same rollouts, all of one length, so that it pads nothing: its fused head, the
same checkpointing, no reference model, its fastest micro-batch of several; ours is the fastest
micro-batch of those that take at most 0.7 of its memory.

{tables["settings"]}

## What made it faster

Most of the time of the first measurement was Python asking for small operations, one after the
other, while the card waited. So a decoding step is now recorded as a CUDA graph and replayed until
the batch is rebuilt ([`replay.py`](../azr_mini/replay.py)). An update is not recorded, because no
two micro-batches have one shape. There the layers became fewer operations
([`lean.py`](../azr_mini/lean.py)), attention takes the sequences as they are instead of on a grid
under a mask ([`segments.py`](../azr_mini/segments.py)), and the head no longer computes entropies a
second time ([`head.py`](../azr_mini/head.py)). TRL stands beside it as what did not change; the
first record is [`gpu_before.json`](results/gpu_before.json), another machine with the same card.

{tables["progress"]}

Both updates are of the micro-batch that was configured at the time. A prompt each is the weak spot
that is left: nothing is shared there, and both learners compute the same products. An update on a
GPU is not repeated to the bit, since its kernels add in any order: the line of the gradients above
says by how much. On a CPU it is.

## Rows

{tables["rows"]}
"""
