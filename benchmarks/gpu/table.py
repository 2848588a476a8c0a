"""What is printed of the check: a table, its parts, and docs/gpu.md, all from the record."""

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


def provenance(record: dict) -> list[str]:
    """Device, date, versions and command of each row that was run."""
    lines = []
    for name in ROWS:
        if row := record["rows"].get(name):
            device = row["device"]["name"] if row["device"] else row["hardware"]["cpu"]
            versions = row["environment"]["versions"]
            known = ", ".join(f"{k} {v}" for k, v in versions.items() if v and k != "azr-mini")
            ended = f"; ended early: {row['reason']}" if row["reason"] else ""
            lines.append(
                f"- {name}: {device}, {row['date'][:10]}, {known}, `{row['command']}`{ended}"
            )
    return lines or [f"- none: {NO_GPU}"]


def page(record: dict) -> str:
    """docs/gpu.md, every number from the record. ValueError if a row is tiny."""
    if tiny := [name for name, row in record["rows"].items() if row["tiny"]]:
        raise ValueError(f"rows with tiny sizes belong on no page: {', '.join(tiny)}")
    tables = {
        name: "\n".join(part(record))
        for name, part in (
            ("table", table),
            ("memory", memory_table),
            ("settings", settings),
            ("rows", provenance),
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

## Rows

{tables["rows"]}
"""
