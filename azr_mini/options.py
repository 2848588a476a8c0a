"""The options of each command; `tyro` turns them into flags with these lines as help."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from azr_mini.config import Config
from azr_mini.evaluate.benchmarks import BENCHMARKS, GROUPS

NANO_SETS = ("heldout", "ood")


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
        if self.gpu_memory and not self.estimate:
            raise ValueError("gpu_memory is of a GPU that is not here: give --estimate as well")
        if self.gpu_memory and (self.config.device or "").startswith("cpu"):
            raise ValueError("gpu_memory is for a GPU but device is cpu: leave one of them away")


@dataclass(frozen=True)
class EvaluateOptions:
    """Scores of a model or a run: nano's held-out tasks, or the benchmarks of the paper."""

    model: Annotated[str, tyro.conf.Positional]
    """A run folder, nano, a model folder, or a name on the Hugging Face hub."""
    benchmarks: str = "heldout"
    """Comma-separated: heldout (the frozen set of nano tasks), ood (tasks of a second grammar),
    in-distribution, code, math, all, or names such as cruxeval_i."""
    limit: int | None = None
    """Held-out tasks of each type, or rows of each benchmark; all by default."""
    samples: int | None = None
    """Attempts at each task; by default 4 at held-out tasks, and a greedy one at benchmarks."""
    temperature: float = 1.0
    """Of the sampled attempts; held-out tasks are also tried greedily."""
    top_p: float = 1.0
    """Of the sampled attempts at benchmarks."""
    forced: Literal["think", "answer"] | None = None
    """Make every answer to a held-out task start with this tag."""
    max_new_tokens: int | None = None
    """Longest answer; by default 256 for held-out tasks, the official limits for benchmarks."""
    prompt: Literal["azr", "official", "instruct"] = "azr"
    """How benchmarks are asked: the frame of the official evaluation, each benchmark's own prompt,
    or a plain instruction in the chat template."""
    out: Path | None = None
    """Folder for the results of benchmarks; what it holds already is not done again. By default
    evaluations/MODEL-PROMPT."""
    data: tuple[str, ...] = ()
    """NAME=FILE: read a benchmark from this file; other rows than its own are marked."""
    seed: int = 0
    """Of the sampler."""
    sampler: Literal["torch", "vllm"] = "torch"
    """Who writes answers to benchmarks."""
    max_batch: int = 64
    """Answers to benchmarks that are written at once."""
    quantize: Literal["nf4"] | None = None
    """Load a hub model in 4 bits (with an untrained adapter)."""
    dtype: str = "auto"
    """Arithmetic of the model: float32, bfloat16, float16, auto."""
    device: str | None = None
    """cpu or cuda; by default a GPU if there is one."""
    threads: int = 2
    """Cores to use; the operations of a small model take at most every second one."""
    json: Path | None = None
    """File to write the held-out result to."""
    against: Path | None = None
    """An earlier result to compare with: a file of --json, or for benchmarks a folder of --out."""
    unsafe: bool = False
    """Run model-written programs WITHOUT confinement, at your own risk."""

    def __post_init__(self):
        _at_least(self, limit=1, samples=1, max_new_tokens=1, threads=1, max_batch=1)
        if self.temperature <= 0:
            raise ValueError(f"temperature is {self.temperature}: give a number above 0")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}: give a number above 0, at most 1")
        for name in self.benchmarks.split(","):
            if name not in (*NANO_SETS, *GROUPS, *BENCHMARKS):
                known = ", ".join((*NANO_SETS, *GROUPS, *BENCHMARKS))
                raise ValueError(f"no benchmark {name!r}: use {known}")
        for given in self.data:
            if given.partition("=")[0] not in BENCHMARKS or not given.partition("=")[2]:
                raise ValueError(f"data is {given!r}: give NAME=FILE, NAME a benchmark's")

    @property
    def nano_sets(self) -> list[str]:
        """The sets of nano tasks that are asked for, each once."""
        wanted = self.benchmarks.split(",")
        return [name for name in NANO_SETS if name in wanted]

    @property
    def benchmark_names(self) -> list[str]:
        """The benchmarks that are asked for, each once, in the order of the paper's tables."""
        wanted = {n for given in self.benchmarks.split(",") for n in GROUPS.get(given, [given])}
        return [name for name in BENCHMARKS if name in wanted]


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
        if value is not None and not lowest <= value < math.inf:
            raise ValueError(f"{name} is {value}: give {lowest} or more")
