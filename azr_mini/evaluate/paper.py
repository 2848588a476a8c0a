"""The rows of the paper's main tables (arXiv 2505.03335 v2, greedy decoding), in percent.

Baselines were asked with prompts of their own, so a row of ours compares with them only roughly.
"""

from dataclasses import dataclass

from azr_mini.evaluate.benchmarks import BENCHMARKS, CODE, MATH

COLUMNS = [b.name for group in (CODE, MATH) for b in BENCHMARKS.values() if b.group == group]
_TABLE_1, _TABLE_5 = "Table 1", "Table 5"


@dataclass(frozen=True)
class PaperRow:
    """A row as printed. averages: CAvg, MAvg, AVG; None where the source we read has none."""

    model: str
    source: str
    scores: dict[str, float]
    averages: tuple[float | None, ...]


def _row(model: str, source: str, scores: str, averages: str = "- - -") -> PaperRow:
    numbers = dict(zip(COLUMNS, map(float, scores.split()), strict=True))
    printed = tuple(None if text == "-" else float(text) for text in averages.split())
    return PaperRow(model, source, numbers, printed)


ROWS = [
    _row("Qwen2.5-7B", _TABLE_1,
         "73.2 65.3 17.5 6.7 3.3 37.5 64.8 25.0 27.7", "52.0 27.5 39.8"),
    _row("Qwen2.5-7B-Instruct", _TABLE_1,
         "75.0 68.5 25.5 13.3 6.7 52.5 76.4 35.7 37.6", "56.3 37.0 46.7"),
    _row("Qwen2.5-7B-Coder", _TABLE_1,
         "80.5 69.3 19.9 6.7 3.3 40.0 54.0 17.3 21.9", "56.6 23.9 40.2"),
    _row("Qwen2.5-7B-Math", _TABLE_1,
         "61.0 57.9 16.2 10.0 16.7 42.5 64.2 15.4 28.0", "45.0 29.5 -"),
    _row("AceCoder-RM (Instruct)", _TABLE_1,
         "79.9 71.4 23.6 20.0 6.7 50.0 76.4 34.6 36.7", "58.3 37.4 47.9"),
    _row("AceCoder-Rule (Instruct)", _TABLE_1,
         "77.4 69.0 19.9 13.3 6.7 50.0 76.0 37.5 37.8", "55.4 36.9 46.2"),
    _row("AceCoder-RM (Coder)", _TABLE_1,
         "78.0 66.4 27.5 13.3 3.3 27.5 62.6 29.4 29.0", "57.3 27.5 42.4"),
    _row("AceCoder-Rule (Coder)", _TABLE_1,
         "80.5 70.4 29.0 6.7 6.7 40.0 62.8 27.6 27.4", "60.0 28.5 44.3"),
    _row("CodeR1-LC2k (Instruct)", _TABLE_1,
         "81.7 71.7 28.1 13.3 10.0 45.0 75.0 33.5 36.7", "60.5 35.6 48.0"),
    _row("CodeR1-12k (Instruct)", _TABLE_1,
         "81.1 73.5 29.3 13.3 3.3 37.5 74.0 35.7 36.9", "61.3 33.5 47.4"),
    _row("PRIME-Zero", _TABLE_1,
         "49.4 51.1 11.0 23.3 23.3 67.5 81.2 37.9 41.8", "37.2 45.8 41.5"),
    _row("SimpleRL-Zoo", _TABLE_1,
         "73.2 63.2 25.6 16.7 3.3 57.5 77.0 35.7 41.0", "54.0 38.5 46.3"),
    _row("Oat-Zero", _TABLE_1,
         "62.2 59.0 15.2 30.0 16.7 62.5 80.0 34.9 41.6", "45.5 44.3 44.9"),
    _row("ORZ", _TABLE_1,
         "80.5 64.3 22.0 13.3 16.7 60.0 81.8 32.7 45.0", "55.6 41.6 48.6"),
    _row("AZR (Qwen2.5-7B)", _TABLE_1,
         "71.3 69.1 25.3 13.3 13.3 52.5 74.4 38.2 38.5", "55.2 38.4 46.8"),
    _row("AZR-Coder (Qwen2.5-7B-Coder)", _TABLE_1,
         "83.5 69.6 31.7 20.0 10.0 57.5 72.6 36.4 38.2", "61.6 39.1 50.4"),
    _row("Llama-3.1-8B", _TABLE_5,
         "31.7 53.7 0.0 0.0 0.0 2.5 10.6 5.5 2.1", "28.5 3.4 16.0"),
    _row("Llama-3.1-8B + SimpleRL-Zoo", _TABLE_5,
         "38.4 55.3 7.4 0.0 0.0 7.5 22.2 8.8 4.7", "33.7 7.2 20.5"),
    _row("Llama-3.1-8B + AZR", _TABLE_5,
         "35.4 50.8 8.5 3.3 0.0 5.0 13.2 14.0 5.0", "31.6 6.8 19.2"),
    _row("Qwen2.5-3B-Coder", _TABLE_5,
         "67.1 65.9 20.0 3.3 3.3 20.0 51.0 18.4 16.6", "51.2 18.8 35.0"),
    _row("Qwen2.5-3B-Coder + AZR", _TABLE_5,
         "71.3 69.0 24.4 3.3 3.3 37.5 62.0 26.1 27.0", "54.9 26.5 40.7"),
    _row("Qwen2.5-14B-Coder", _TABLE_5,
         "76.8 71.7 31.4 0.0 0.0 37.5 54.8 10.7 18.5", "60.0 20.2 40.1"),
    _row("Qwen2.5-14B-Coder + AZR", _TABLE_5,
         "80.5 71.2 39.0 23.3 20.0 65.0 78.6 32.0 39.3", "63.6 43.0 53.3"),
    _row("Qwen2.5-14B", _TABLE_5, "78.0 66.7 21.7 6.7 3.3 35.0 66.2 28.3 32.4"),
    _row("Qwen2.5-14B + AZR", _TABLE_5, "70.7 68.8 35.2 10.0 20.0 62.5 76.2 40.4 42.5"),
]  # fmt: skip
