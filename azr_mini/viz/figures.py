"""Every figure of a run, by name, and writing them as PNG files."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from azr_mini.runs import Run
from azr_mini.viz import behaviour, evaluations, health, learning, lengths, proposals, questions
from azr_mini.viz.style import DPI, house_style

FIGURES: dict[str, Callable[[Run], Figure]] = {
    "reward": learning.reward,
    "solve_rate": learning.solve_rate,
    "solve_rate_histogram": learning.solve_rate_histogram,
    "heldout": learning.heldout,
    "evaluations": evaluations.evaluations,
    "completion_length": lengths.completion_length,
    "behaviour": behaviour.behaviour,
    "valid_rate": proposals.valid_rate,
    "buffer": proposals.buffer,
    "questions": questions.questions,
    "policy": health.policy,
    "timing": health.timing,
}


def draw(name: str, run: Run) -> Figure:
    """The figure of that name in the house style."""
    with house_style():
        return FIGURES[name](run)


def write_figures(run: Run, folder: Path | None = None) -> list[Path]:
    """Writes every figure as a PNG, by default into the run's `figures/`; returns their paths."""
    folder = folder or run.folder / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in FIGURES:
        path = folder / f"{name}.png"
        with house_style():
            FIGURES[name](run).savefig(path, dpi=DPI)
        paths.append(path)
    return paths
