"""docs/evaluation.md lists the benchmarks as the package has them."""

import re
from importlib.metadata import version
from pathlib import Path

from azr_mini.evaluate.answering import Settings
from azr_mini.evaluate.benchmarks import BENCHMARKS, GROUPS
from azr_mini.evaluate.downloads import PARTS
from azr_mini.evaluate.math_answers import LONGEST
from azr_mini.evaluate.math_verifier import CPU_SECONDS
from azr_mini.evaluate.math_worker import MEMORY
from azr_mini.evaluate.styles import STYLES

PAGE = (Path(__file__).resolve().parents[1] / "docs/evaluation.md").read_text(encoding="utf-8")


def test_the_table_is_that_of_the_package():
    lines = [line for line in PAGE.splitlines() if line.startswith("| `")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines][:12]
    for row, benchmark in zip(rows, BENCHMARKS.values(), strict=True):
        name, title, group, num_rows, origin, sha256, metric, longest = row
        assert name == f"`{benchmark.name}`" and title == benchmark.title
        assert (group, metric) == (benchmark.group, benchmark.metric)
        assert (int(num_rows), int(longest)) == (benchmark.num_rows, benchmark.max_new_tokens)
        for part in re.findall(r"`([^`]+)`", origin):
            assert part in benchmark.origin
        found = sha256.strip("`.")
        known = benchmark.sha256
        assert found == "not known" if known is None else known.startswith(found)


def test_names_and_limits_on_the_page_are_those_of_the_package():
    assert all(f"`{group}`" in PAGE for group in GROUPS)
    assert set(re.findall(r"^- `--prompt (\w+)`", PAGE, flags=re.MULTILINE)) == set(STYLES)
    (files,) = PARTS.values()
    assert f"`{files[0]}` to `{files[-1]}`" in PAGE and f"more than {LONGEST} characters" in PAGE
    assert f"{CPU_SECONDS:g} s of\n  CPU time or {MEMORY // 10**9} GB" in PAGE
    assert f"math-verify {version('math-verify')}" in PAGE
    for name in ("lcb_execution", "lcb_generation"):
        assert f"`{BENCHMARKS[name].file}`" in PAGE
    assert (Settings("").temperature, Settings("").samples) == (0, 1)  # greedy, one answer a row
