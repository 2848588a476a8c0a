"""Results as Markdown and LaTeX, in the layout of the paper's Table 1 with its rows beside ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from azr_mini.evaluate.aggregate import Average, averages
from azr_mini.evaluate.benchmarks import BENCHMARKS, IN_DISTRIBUTION
from azr_mini.evaluate.paper import COLUMNS, ROWS, PaperRow
from azr_mini.evaluate.results import Result

STAND_IN, PARTIAL = "*", "†"
LCB = {"lcb_generation": "release_v5, ", "lcb_execution": ""}  # printed next to the score
INSIDE = [name for name, b in BENCHMARKS.items() if b.group == IN_DISTRIBUTION]
AVERAGES = ("CAvg", "MAvg", "AVG")
COMPARED = {
    "style": "prompts", "samples": "samples a row", "temperature": "temperature",
    "top_p": "top_p", "max_new_tokens": "the limit of new tokens", "limit": "the limit of rows",
}  # fmt: skip


@dataclass(frozen=True)
class Evaluated:
    """A model and what was found: what a summary file holds."""

    model: str
    settings: Mapping
    results: Mapping[str, Result]

    @property
    def unfit(self) -> dict[str, str]:
        """Why a score is not the benchmark's, by benchmark; only where it is not."""
        return {name: why for name, r in self.results.items() if (why := r.why_not_whole)}


def warnings(ours: Evaluated, other: Evaluated) -> list[str]:
    """A sentence for each reason why two evaluations cannot be compared."""
    found = [
        f"{ours.model} and {other.model} differ in {words}: {ours.settings.get(name)} against "
        f"{other.settings.get(name)}, so their scores do not compare"
        for name, words in COMPARED.items()
        if ours.settings.get(name) != other.settings.get(name)
    ]
    asked = [(n, ours.results[n], other.results[n]) for n in ours.results if n in other.results]
    for name, one, two in asked if not found else []:
        if one.sha256 != two.sha256:
            found.append(f"{ours.model} and {other.model} were asked other rows of {name}")
        elif one.prompts_sha256 != two.prompts_sha256:
            found.append(f"{ours.model} and {other.model} got other prompts for {name}")
    return found


def markdown(evaluated: Sequence[Evaluated]) -> str:
    """The tables with their notes, as Markdown."""
    parts = []
    for header, rows in _tables(evaluated):
        lines = [_line(header), _line(["---"] + ["---:"] * (len(header) - 1)), *map(_line, rows)]
        parts.append("\n".join(lines))
    notes = "\n".join(f"- {note}" for note in _notes(evaluated))
    return "\n\n".join([*parts, notes]) + "\n"


def latex(evaluated: Sequence[Evaluated]) -> str:
    """The tables with their notes, as LaTeX that needs no package."""
    parts = []
    for header, rows in _tables(evaluated):
        body = [" & ".join(map(_escaped, row)) + r" \\" for row in (header, *rows)]
        begin = rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}"
        parts.append("\n".join([begin, body[0], r"\hline", *body[1:], r"\end{tabular}"]))
    notes = "\n\n".join(_escaped(note) for note in _notes(evaluated))
    return "\n\n".join([*parts, notes]) + "\n"


def _tables(evaluated: Sequence[Evaluated]) -> list[tuple[list[str], list[list[str]]]]:
    """Header and rows of the paper's Table 1, and of the in-distribution scores if there are."""
    header = ["", *(BENCHMARKS[name].title for name in COLUMNS), *AVERAGES]
    tables = [(header, [*map(_paper_row, ROWS), *map(_our_row, evaluated)])]
    if any(name in one.results for one in evaluated for name in INSIDE):
        header = ["", *(BENCHMARKS[name].title for name in INSIDE)]
        rows = [[one.model, *(_cell(one, name) for name in INSIDE)] for one in evaluated]
        tables.append((header, rows))
    return tables


def _paper_row(row: PaperRow) -> list[str]:
    found = averages(row.scores)
    pairs = zip(row.averages, (found.code, found.math, found.overall), strict=True)
    means = [mean.value if printed is None else printed for printed, mean in pairs]
    numbers = [*(row.scores[name] for name in COLUMNS), *means]
    return [f"{row.model}, paper", *(f"{number:.1f}" for number in numbers)]


def _our_row(one: Evaluated) -> list[str]:
    found = averages({name: r.score.estimate for name, r in one.results.items()}, one.unfit)
    cells = [_cell(one, name) for name in COLUMNS]
    return [one.model, *cells, *map(_mean, (found.code, found.math, found.overall))]


def _mean(average: Average) -> str:
    return "-" if average.value is None else f"{average.value:.1f}"


def _cell(one: Evaluated, name: str) -> str:
    if name not in one.results:
        return "-"
    result = one.results[name]
    mark = STAND_IN if result.is_stand_in else PARTIAL if result.why_not_whole else ""
    release = "" if result.is_stand_in else LCB.get(name, "")
    about = f" ({release}{result.rows} rows)" if name in LCB else ""
    return f"{result.score.estimate:.1f}{mark}{about}"


def _notes(evaluated: Sequence[Evaluated]) -> list[str]:
    notes = [
        "Rows of the paper: arXiv 2505.03335 v2, Table 1 and Table 5; greedy, LiveCodeBench "
        "release_v5 with 880 rows, prompts of the official code. Ours are worded anew. Averages "
        "that our source of the tables lacks are computed."
    ]
    for one in evaluated:
        how = ", ".join(f"{words} {one.settings.get(name)}" for name, words in COMPARED.items())
        notes.append(f"{one.model}: {how}.")
        for name, why in one.unfit.items():
            mark = STAND_IN if one.results[name].is_stand_in else PARTIAL
            notes.append(f"{mark} {one.model}, {BENCHMARKS[name].title}: {why}; not its score.")
        found = averages({name: r.score.estimate for name, r in one.results.items()}, one.unfit)
        for name, mean in zip(AVERAGES, (found.code, found.math, found.overall), strict=True):
            if mean.value is None:
                notes.append(f"{name} of {one.model} is left out. {mean.reason}.")
    for other in evaluated[1:]:
        notes += [f"Warning: {sentence}." for sentence in warnings(evaluated[0], other)]
    return notes


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _escaped(text: str) -> str:
    return text.translate(_LATEX)


_LATEX = str.maketrans(
    {character: "\\" + character for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {PARTIAL: r"\dag{}"}
)
