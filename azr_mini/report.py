"""What the command line shows, as text and tables; printing is left to the command line."""

import operator
import re
from collections.abc import Iterable, Iterator

from rich.table import Table

from azr_mini.diagnose import Finding as HealthFinding
from azr_mini.doctor import Finding
from azr_mini.evaluate.scores import Scores, gains
from azr_mini.tasks import Role, TaskType


def step_line(step, num_steps: int) -> str:
    """One line about one step: solve rates, valid rates, rewards, lengths, time."""
    metrics = step.metrics

    def mean(key: str) -> float:
        values = [metrics[k] for t in TaskType if (k := key.format(t.value)) in metrics]
        return sum(values) / len(values) if values else float("nan")

    solved = " ".join(
        f"{t.value[:3]} {metrics.get(f'solve_rate/{t.value}', float('nan')):4.0%}" for t in TaskType
    )
    seconds = sum(value for key, value in metrics.items() if key.startswith("time/"))
    return (
        f"step {step.step + 1:>4}/{num_steps}  solved {solved}  valid {mean('valid_rate/{}'):4.0%}"
        f"  reward {mean('reward/solve/{}'):+.2f}"
        f"  thinks {mean('thinking_share/solve/{}'):4.0%}"
        f"  tokens {mean('completion_length/solve/{}/mean'):3.0f}  {seconds:4.1f} s"
    )


def duration(seconds: float) -> str:
    """A time for people: 45 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def gains_table(title: str, before: dict, after: dict) -> Table:
    """Accuracy before and after by task type, with the paired 95 % interval of the gain."""
    table = Table("", "before", "after", "gain, points", "95 % interval", title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in gains(before, after):
        ends = f"[{100 * row.gain.low:+.1f}, {100 * row.gain.high:+.1f}]"
        gain = f"{100 * row.gain.estimate:+.1f}"
        table.add_row(row.name, f"{row.before:.1%}", f"{row.after:.1%}", gain, ends)
    return table


def scores_table(title: str, scores: Scores) -> Table:
    """Accuracy with its 95 % interval, pass@k, thinking, length and cut answers by task type."""
    ks = [k for k in (2, 4, 8, 16, 32, 64) if k <= scores.num_samples]
    table = Table("", "accuracy", "95 % interval", *(f"pass@{k}" for k in ks), title=title)
    for header in ("thinks", "tokens", "cut"):
        table.add_column(header)
    for column in table.columns[1:]:
        column.justify = "right"
    for type in [*scores.attempts, None]:
        accuracy = scores.accuracy(type)
        cells = [f"{accuracy.estimate:.1%}", f"[{accuracy.low:.1%}, {accuracy.high:.1%}]"]
        cells += [f"{scores.pass_at(k, type).estimate:.1%}" for k in ks]
        if type is not None:
            found = scores.attempts[type]
            cells += [f"{found.thinks.mean():.0%}", f"{found.lengths.mean():.0f}"]
            cells.append(f"{found.truncated.mean():.0%}")
        table.add_row(type.value if type else "mean", *cells)
    return table


def finding_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """The findings of `doctor` as plain lines, to be read or pasted into a report."""
    for finding in findings:
        mark = "MISSING" if not finding.ok else "note" if finding.advice else "ok"
        yield f"{mark:<8}{finding.name:<32}{finding.found}"
        if finding.advice:
            yield f"{'':<8}{'':<32}-> {finding.advice}"


def findings_table(title: str, findings: Iterable[HealthFinding]) -> Table:
    """The findings of `diagnose`: steps from first to last, rule, place, number, threshold."""
    table = Table("steps, from 0", "rule", "where", "seen", "threshold", title=title)
    for column in (table.columns[0], *table.columns[3:]):
        column.justify = "right"
    for found in findings:
        steps = f"{found.step}-{found.last_step}"
        numbers = (f"{found.value:.3g}", f"{found.threshold:.3g}")
        table.add_row(steps, found.rule, found.where or "run", *numbers)
    return table


def warning_lines(findings: Iterable[HealthFinding]) -> Iterator[str]:
    """What was seen, a line a finding, and after those of a rule what to do about the first."""
    by_rule: dict[str, list[HealthFinding]] = {}
    for found in findings:
        by_rule.setdefault(found.rule, []).append(found)
    for rule, same in by_rule.items():
        for found in same:
            yield f"! {rule}: {found.sentence}"
        yield f"  {same[0].advice}"


COMPARISONS = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "": operator.eq,
}


def select(
    rollouts: Iterable[dict],
    step: int | None = None,
    role: Role | None = None,
    type: TaskType | None = None,
    reward: str | None = None,
) -> Iterator[dict]:
    """The rollouts of this step, role, type and reward, which is a number or such as ">0"."""
    match = re.fullmatch(r"(>=|<=|>|<|)\s*([-+]?\d*\.?\d+)", reward or "0")
    if match is None:
        raise ValueError(f"reward is {reward!r}: give a number, or one after >, <, >= or <=")
    compare, limit = COMPARISONS[match[1]], float(match[2])
    for rollout in rollouts:
        if (
            (step is None or rollout["step"] == step)
            and (role is None or rollout["role"] == role.value)
            and (type is None or rollout["type"] == type.value)
            and (reward is None or compare(rollout["reward"], limit))
        ):
            yield rollout


def rollout_text(rollout: dict) -> str:
    """One rollout as text: what was asked, what was written, what Python said, what it earned."""
    detail = f" ({rollout['detail']})" if rollout["detail"] else ""
    rate = rollout["solve_rate"]
    solved = "" if rate is None else f"  solve rate {rate:.0%}"
    who = f"{rollout['role']} {rollout['type']}"
    lines = [
        f"step {rollout['step']}  {who}: {rollout['verdict']}{detail}",
        f"reward {rollout['reward']:+.3f}  advantage {rollout['advantage']:+.3f}{solved}  "
        f"{len(rollout['completion_ids'])} tokens{', cut' if rollout['truncated'] else ''}",
        "--- prompt",
        rollout["prompt"],
        "--- completion",
        rollout["completion"],
    ]
    if rollout["task"]:
        task = rollout["task"]
        pairs = zip(task["inputs"], task["outputs"], strict=True)
        lines += ["--- the task, outputs by Python", task["program"]]
        lines += [f"f({given}) -> {output}" for given, output in pairs]
    return printable("\n".join(lines))


def printable(text: str) -> str:
    """The text with control characters and lone surrogates spelled out: model text may hold any."""
    return "".join(c if c == "\n" or c.isprintable() else ascii(c)[1:-1] for c in text)
