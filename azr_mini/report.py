"""What the command line shows, as text and tables; printing is left to the command line."""

from collections.abc import Iterable, Iterator

from rich.table import Table

from azr_mini.diagnose import Finding as HealthFinding
from azr_mini.doctor import Finding
from azr_mini.estimate import GB, Estimate
from azr_mini.evaluate.aggregate import averages
from azr_mini.evaluate.benchmarks import BENCHMARKS
from azr_mini.evaluate.results import Result
from azr_mini.evaluate.scores import Scores, gains
from azr_mini.evaluate.tables import STAND_IN, Evaluated


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


def benchmarks_table(title: str, evaluated: Evaluated) -> Table:
    """Score with its 95 % interval, pass@k, format failures, cut answers and length by benchmark,
    and the three averages where they may be formed.
    """
    results = {n: evaluated.results[n] for n in BENCHMARKS if n in evaluated.results}
    ks = sorted({k for result in results.values() for k in result.pass_at if k > 1})
    table = Table("", "score", "95 % interval", *(f"pass@{k}" for k in ks), title=title)
    for header in ("rows", "no answer", "cut", "tokens"):
        table.add_column(header)
    for column in table.columns[1:]:
        column.justify = "right"
    if any(result.is_stand_in for result in results.values()):
        table.caption = f"{STAND_IN} stand-in rows: no score of the benchmark"
    for name, result in results.items():
        score, total = result.score, result.rows * result.samples
        cells = [f"{score.estimate:.1f}", f"[{score.low:.1f}, {score.high:.1f}]"]
        cells += [f"{result.pass_at[k].estimate:.1f}" for k in ks]
        cells += [_share_of_rows(result)]
        cells += [f"{result.reasons.get('format', 0) / total:.0%}", f"{result.truncated:.0%}"]
        table.add_row(BENCHMARKS[name].title, *cells, f"{result.mean_tokens:.0f}")
    scores = {name: result.score.estimate for name, result in results.items()}
    found = averages(scores, evaluated.unfit)
    for name, mean in (("CAvg", found.code), ("MAvg", found.math), ("AVG", found.overall)):
        if mean.value is not None:
            table.add_row(name, f"{mean.value:.1f}")
    return table


def _share_of_rows(result: Result) -> str:
    whole = BENCHMARKS[result.benchmark].num_rows
    if result.is_stand_in:
        return f"{result.rows}{STAND_IN}"
    return f"{result.rows}/{whole}" if result.rows < whole else f"{whole}"


def estimate_table(title: str, estimate: Estimate) -> Table:
    """The parts of a run's memory in GB (10^9 bytes), while sampling and while learning."""
    table = Table("GB", "sampling", "learning", title=title, show_footer=True)
    for column in table.columns[1:]:
        column.justify = "right"
    for part in estimate.parts:
        if part.sampling or part.learning:
            table.add_row(part.name, f"{part.sampling / GB:.2f}", f"{part.learning / GB:.2f}")
    table.columns[0].footer = "together"
    table.columns[1].footer = f"{estimate.sampling / GB:.2f}"
    table.columns[2].footer = f"{estimate.learning / GB:.2f}"
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
