"""The options of each command; `tyro` turns them into flags with these lines as help."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from azr_mini.config import Config

BENCHMARKS = ("heldout", "ood")


@dataclass(frozen=True)
class TrainOptions:
    """Self-play from a preset; every field of the configuration is an option too."""

    preset: str = "nano"
    """Named configuration to start from; nano needs no GPU."""
    run: Path | None = None
    """Run folder; by default the next free runs/PRESET-N."""
    resume: bool = False
    """Go on with the run in --run from its last checkpoint."""
    checkpoint_every: int = 10
    """Steps between checkpoints."""
    heldout_tasks: int | None = None
    """Nano tasks of each type for the table before/after; by default 200 for nano, else 0: none."""
    estimate: bool = False
    """Only print how much memory the run would need, and whether it would fit."""
    gpu_memory: float | None = None
    """For --estimate: GB of the GPU; by default that of the GPU that is here."""
    unsafe: bool = False
    """Run model-written programs WITHOUT confinement, at your own risk."""
    config: Config = field(default_factory=Config)

    def __post_init__(self):
        _at_least(self, checkpoint_every=1, heldout_tasks=0, gpu_memory=1)


@dataclass(frozen=True)
class EvaluateOptions:
    """Accuracy of a model or a run, sampled and greedy, with intervals and pass@k."""

    model: Annotated[str, tyro.conf.Positional]
    """A run folder, nano, a model folder, or a name on the Hugging Face hub."""
    benchmarks: str = "heldout"
    """Comma-separated: heldout, the frozen set of nano tasks; ood, tasks of a second grammar."""
    limit: int | None = None
    """Tasks of each type; all by default."""
    samples: int = 4
    """Attempts at each task at the temperature."""
    temperature: float = 1.0
    """Of the sampled attempts; greedy ones are made as well."""
    forced: Literal["think", "answer"] | None = None
    """Make every answer start with this tag."""
    max_new_tokens: int = 256
    """Longest answer."""
    seed: int = 0
    """Of the sampler."""
    quantize: Literal["nf4"] | None = None
    """Load a hub model in 4 bits (with an untrained adapter)."""
    dtype: str = "auto"
    """Arithmetic of the model: float32, bfloat16, float16, auto."""
    device: str | None = None
    """cpu or cuda; by default a GPU if there is one."""
    threads: int = 2
    """Cores to use; the operations of a small model take at most every second one."""
    json: Path | None = None
    """File to write the result to."""
    against: Path | None = None
    """An earlier result file: also print the paired gain over it."""
    unsafe: bool = False
    """Run model-written programs WITHOUT confinement, at your own risk."""

    def __post_init__(self):
        _at_least(self, limit=1, samples=1, max_new_tokens=1, threads=1)
        if self.temperature <= 0:
            raise ValueError(f"temperature is {self.temperature}: give a number above 0")
        for name in self.benchmarks.split(","):
            if name not in BENCHMARKS:
                raise ValueError(f"no benchmark {name!r}: use {', '.join(BENCHMARKS)}")


@dataclass(frozen=True)
class PlotOptions:
    """Every figure of a run as a PNG file."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder."""
    out: Path | None = None
    """Folder for the figures; by default `figures` in the run folder."""


@dataclass(frozen=True)
class DiagnoseOptions:
    """What is wrong with a run, if anything, and what to do about it."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, also of a run that goes on."""


@dataclass(frozen=True)
class ShowOptions:
    """Prompts, answers and verdicts of a run as text."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder."""
    step: int | None = None
    """Only of this step, counted from 0."""
    role: Literal["propose", "solve"] | None = None
    """Only of this role."""
    type: Literal["deduction", "abduction", "induction"] | None = None
    """Only of this task type."""
    reward: str | None = None
    """Only of this reward: a number, or one after >, <, >= or <=, such as ">0"."""
    behaviour: Literal["plan", "trial", "state", "flagged"] | None = None
    """Only what shows this: plans in comments, trial and error, state tracking, flagged phrases."""
    limit: int = 5
    """At most so many."""

    def __post_init__(self):
        _at_least(self, limit=1)


@dataclass(frozen=True)
class DoctorOptions:
    """Versions, device, confinement and shipped files; status 1 if something needed is missing."""


def _at_least(options, **least: int) -> None:
    for name, lowest in least.items():
        value = getattr(options, name)
        if value is not None and value < lowest:
            raise ValueError(f"{name} is {value}: give {lowest} or more")
