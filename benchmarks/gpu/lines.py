"""The lines of the table: what was to be known of a row, what was aimed at, what it found."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.gpu.shapes import compared
from benchmarks.gpu.trl_row import KINDS, ratios

GB = 10**9
SIZES = ("0.5B", "1.5B", "3B", "7B", "14B")
WITHIN = 0.15  # of the measured peak


@dataclass(frozen=True)
class Line:
    """One line: `say` gives what a row found in words and whether that reaches the aim (None where
    there is no aim), or None if the row did not get so far.
    """

    row: str
    what: str
    reach: str
    say: Callable[[dict], tuple[str, bool | None] | None]


def at_most(*path: str, most: float, unit: str = "", digits: int = 2):
    """A `say` for a number at that path that should be no more than `most`."""

    def say(found: dict):
        value = value_at(found, *path)
        if value is None:
            return None
        return f"{value:.{digits}g}{unit}", value <= most

    return say


def value_at(found: dict, *path: str):
    """The value at a path of keys; None if it is not there."""
    for key in path:
        if not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
    return found


def speed(phase: str):
    """A `say` for tokens a second of a phase, and its share of what the card could do."""

    def say(found: dict):
        part = value_at(found, phase)
        if part is None:
            return None
        text = f"{part['tokens_per_s']:,.0f} tokens/s ({part['seconds']:.1f} s)"
        for key, of in (("share_of_flops", "operations"), ("share_of_bandwidth", "memory speed")):
            if key in part:
                text += f", {part[key]:.0%} of the card's {of}"
        return text, None

    return say


def phases(found: dict):
    """Seconds of each phase of a step."""
    names = ("propose", "solve", "update")
    if not all(name in found for name in names):
        return None
    whole = sum(found[name]["seconds"] for name in names)
    parts = [f"{name} {found[name]['seconds'] / whole:.0%}" for name in names]
    return f"{whole:.1f} s: {', '.join(parts)}", None


def estimate_of(found: dict):
    """The estimated peak over the measured one, of tensors and of the card."""
    if "update" not in found or "allocated" not in found["update"]:
        return None
    rows = {name: (guess, real) for name, guess, real in compared(found)}
    texts, good = [], True
    for what in ("whole card", "tensors"):
        sides = [
            rows[key] for side in ("sampling", "learning") if (key := f"{side}: {what}") in rows
        ]
        if sides:
            guess, real = (max(values) for values in zip(*sides, strict=True))
            good &= abs(guess / real - 1) <= WITHIN
            texts.append(f"{what} {real / GB:.2f} GB, estimated {guess / GB:.2f}")
    return "; ".join(texts), good


def trl_line(kind: str):
    """A `say` for our speed and memory over TRL's."""

    def say(found: dict):
        found = ratios(found, kind) if "trl" in found else {}
        if not found:
            return None
        text, good = f"{found['times_as_fast']:.2f} x", None
        if "peak_memory" in found:
            text += f" at {found['peak_memory']:.2f} of its peak memory"
            good = found["times_as_fast"] >= 1.5 and found["peak_memory"] <= 0.7
        return text, good

    return say


def limit_line(found: dict):
    """The peak of an update that had to stay within a limit."""
    part = value_at(found, "update")
    if part is None or "allocated" not in part:
        return None
    most = part["reserved"] + found["cuda_itself"]
    text = f"{part['allocated'] / GB:.2f} GB of tensors, {most / GB:.2f} with CUDA and fragments"
    asked, left = found["asked_micro_batch_tokens"], part["micro_batch_tokens"]
    if left < asked:
        text += f", memory ran out: {left} tokens at a time instead of {asked}"
    return text, most <= found["limit"] and not part["update_skipped"]


def exact_line(found: dict):
    """Whether 4 bits in float32 give the gradient of the weights multiplied out."""
    part = value_at(found, "float32")
    if part is None:
        return None
    worst = max(part[key] for key in ("to_float32", "after_generating", "chunked_head"))
    text = (
        f"{part['to_float32']:.1g}, after generating {part['after_generating']:.1g}, "
        f"head in chunks {part['chunked_head']:.1g}"
    )
    return text, worst <= 1e-3


def rounded_line(dtype: str):
    """A `say` for the distance in 16 bits, beside that of plain weights in the same arithmetic."""

    def say(found: dict):
        part = value_at(found, dtype)
        if part is None:
            return None
        mine, plain = part["to_float32"], part["16_bit_to_float32"]
        text = f"{mine:.2g} (plain weights {plain:.2g}), after generating "
        text += f"{part['after_generating']:.1g}, repeated {part['again']:.1g}"
        return text, part["finite"] and mine <= 1.5 * plain

    return say


def greedy_line(found: dict):
    """On how many prompts the GPU's greedy completions are the CPU's."""
    part = value_at(found, "greedy")
    return part and (f"{part['equal']} of {part['prompts']}", None)


def nano_line(found: dict):
    """Median seconds of a nano step by phase, the first left out, and the largest gap."""
    if not (steps := found.get("steps", [])[1:]):
        return None
    middle = len(steps) // 2
    times = {
        key.removeprefix("time/"): sorted(step[key] for step in steps)[middle]
        for key in steps[0]
        if key.startswith("time/")
    }
    text = ", ".join(f"{phase} {value:.2f}" for phase, value in times.items())
    gap = max(step["logp_gap"] for step in steps)
    return f"{sum(times.values()):.2f} s ({text}), `logp_gap` at most {gap:.1g}", None


def vllm_line(found: dict):
    """What benchmarks/vllm_check.py found on the GPU."""
    if "swaps" not in found:
        return None
    gaps, equal, speeds = found["swaps"]["gaps"], found["greedy"], found.get("speed", {})
    text = f"{equal['equal_to_torch_sampler']} of {equal['prompts']} greedy as torch's, mean gap "
    text += f"{gaps['A']['mean']:.1g} (wrong adapter {gaps['wrong adapter']['mean']:.1g})"
    if speeds:
        text += f", {speeds['tokens_per_s']:,.0f} tokens/s"
    if "asleep" in speeds:
        text += f", asleep {speeds['asleep'] / GB:.1f} GB, awake {speeds['awake'] / GB:.1f}"
    return text, found["swaps"]["a_again_equals_a"] and not found["swaps"]["b_equals_a"]


LINES = [
    *(
        line
        for size in SIZES
        for line in (
            Line(f"shape-{size}", f"{size}: peak memory", "estimate within 15 %", estimate_of),
            Line(f"shape-{size}", f"{size}: learner", "", speed("update")),
            Line(f"shape-{size}", f"{size}: torch sampler", "", speed("solve")),
            Line(f"shape-{size}", f"{size}: a step", "", phases),
        )
    ),
    Line("gradients", "4-bit gradient, float32: distance", "at most 0.001", exact_line),
    *(
        Line("gradients", f"the same, {dtype}", "at most 1.5 x plain weights'", rounded_line(dtype))
        for dtype in ("bfloat16", "float16")
    ),
    Line("limit-7B", "7B trains at 2,048 tokens", "within 14 GB", limit_line),
    Line("limit-14B", "14B trains at 2,048 tokens", "within 22 GB", limit_line),
    *(
        Line("trl", f"learner over TRL's, {kind}", "1.5 x at 0.7 of its memory", trl_line(kind))
        for kind in KINDS
    ),
    Line(
        "paper-batch", "3B, paper's batch: learner, `fresh`", "at most 40 s",
        at_most("update_fresh", "seconds", most=40, unit=" s", digits=3),
    ),
    Line("paper-batch", "the same, `reuse`", "", speed("update_reuse")),
    Line("paper-batch", "the same: proposals by torch", "", speed("sample_proposals")),
    Line("paper-batch", "the same: a wave of attempts by torch", "", speed("sample_attempts")),
    Line(
        "paper-batch", "the same: a wave of attempts by vLLM", "",
        lambda found: speed("vllm")(found) if "seconds" in found.get("vllm", {}) else None,
    ),
    Line("nano", "nano: greedy completions as the CPU's", "", greedy_line),
    Line("nano", "nano: a step", "", nano_line),
    Line("vllm", "vLLM: the adapter that is there", "A, B, A as expected", vllm_line),
]  # fmt: skip
