"""Runs model-written programs, confined, in two interpreters or more, and compares the answers."""

import sys
import warnings
from collections.abc import Iterable, Iterator

from azr_mini.sandbox.cases import (
    OUT_OF_TIME,
    Case,
    Job,
    Result,
    agree,
    everywhere,
    judge,
    open_case,
    read_reply,
)
from azr_mini.sandbox.protocol import Reply, Request
from azr_mini.sandbox.selftest import Layer, start_confined
from azr_mini.sandbox.static_check import ALLOWED_MODULES
from azr_mini.sandbox.unsafe import WARNING, UnsafeRunner
from azr_mini.sandbox.zygotes import PLAIN

FIRST_SEED, SECOND_SEED, *MORE_SEEDS = SEEDS = (1, 2, 3, 4)  # PYTHONHASHSEED of the interpreters


class Executor:
    """Confined workers for model-written programs. A context manager that tests itself at start.

    workers: pairs of interpreters, one per core to use. static_check: refuse programs by policy
    before running them. cpu_seconds and memory_mb limit one run, that is all inputs of one program;
    wall_seconds is a generous backstop (default: 5 + 40 x cpu_seconds). share: how many second runs
    of programs that cannot affect each other share a process (1: none; without the static check
    nothing is known about a program, and none share). python: the interpreter that runs programs
    (default: this one; CPython 3.11 or newer). unsafe: run without confinement, with a warning.
    Raises SandboxError where confinement does not work.
    """

    def __init__(
        self,
        workers: int = 2,
        static_check: bool = True,
        unsafe: bool = False,
        *,
        cpu_seconds: float = 0.5,
        memory_mb: int = 256,
        wall_seconds: float | None = None,
        share: int = 8,
        python: str | None = None,
        _skip: tuple[str, ...] = (),  # layers to leave out, for tests of the self-test
    ):
        if workers < 1 or share < 1 or cpu_seconds <= 0 or memory_mb < 1:
            raise ValueError(
                f"workers={workers}, share={share}, cpu_seconds={cpu_seconds} and "
                f"memory_mb={memory_mb} must all be positive"
            )
        self.static_check = static_check
        self.cpu_seconds = cpu_seconds
        self.wall_seconds = wall_seconds or 5.0 + 40 * cpu_seconds
        self.share = share
        config = PLAIN | {
            "modules": ALLOWED_MODULES,
            "memory_bytes": memory_mb << 20,
            "skip": _skip,
        }
        python = python or sys.executable
        if unsafe:
            warnings.warn(WARNING, RuntimeWarning, stacklevel=2)
            self.share = 1
            self._runner = UnsafeRunner(workers, config, python)
            self._layers = [Layer("confinement", False, WARNING)]
        else:
            seeds = [FIRST_SEED, SECOND_SEED] * workers + MORE_SEEDS * ((workers + 1) // 2)
            self._runner, self._layers = start_confined(seeds, config, python)

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Ends every process of this executor."""
        self._runner.close()

    def layers(self) -> list[Layer]:
        """What the self-test found, one row per layer of confinement."""
        return list(self._layers)

    def run(self, jobs: Iterable[Job]) -> list[Result]:
        """One result per job, in order. No program text and no input text makes it raise."""
        cases: list[Case] = []
        self._run_isolated(FIRST_SEED, self._opened(jobs, cases))
        promising = [case for case in cases if any(s == "ok" for s, _ in case.runs.get(1, []))]
        self._run_shared(promising)
        return [judge(case) for case in cases]

    def _opened(self, jobs: Iterable[Job], cases: list[Case]) -> Iterator[Case]:
        """Yields the cases worth a process, one by one: checking overlaps with running."""
        for job in jobs:
            cases.append(open_case(job, self.static_check))
            if not cases[-1].refused:
                yield cases[-1]

    def _run_isolated(self, seed: int, cases: Iterable[Case]) -> None:
        """Gives each case a process of its own.

        CPU seconds stretch on a busy machine, up to about twice. So a run is only stopped at twice
        the limit; one that ends within a factor of two of the limit is repeated once, alone.
        """
        close: list[Case] = []

        def receive(request: Request, reply: Reply) -> None:
            (case,) = request.cases
            (case.runs[seed],) = read_reply(request, reply)
            case.cpu = reply.cpu
            if reply.end == "wall" or self.cpu_seconds / 2 < reply.cpu < request.cpu_seconds:
                close.append(case)

        def decide(request: Request, reply: Reply) -> None:
            (case,) = request.cases
            (case.runs[seed],) = read_reply(request, reply)
            if reply.cpu > self.cpu_seconds:
                case.runs[seed] = everywhere(case, OUT_OF_TIME)

        self._runner.run((self._request(seed, [case]) for case in cases), receive)
        for case in close:
            self._runner.run([self._request(seed, [case])], decide)

    def _run_shared(self, cases: list[Case]) -> None:
        """The further runs. What does not simply confirm the first run gets its own process."""
        doubtful: dict[int, list[Case]] = {seed: [] for seed in SEEDS[1:]}

        def receive(request: Request, reply: Reply) -> None:
            for case, run in zip(request.cases, read_reply(request, reply), strict=True):
                case.runs[request.seed] = run
                if not agree(run, case.runs[FIRST_SEED]):
                    doubtful[request.seed].append(case)

        sensitive = [case for case in cases if case.traits.sensitive]
        requests = [
            self._request(seed, group)
            for seed in SEEDS[1:]
            for group in self._groups(cases if seed == SECOND_SEED else sensitive)
        ]
        self._runner.run(requests, receive)
        for seed, again in doubtful.items():
            self._run_isolated(seed, again)

    def _groups(self, cases: list[Case]) -> Iterator[list[Case]]:
        """Up to `share` cases together that cannot harm a neighbour, by effect or by slowness."""
        harmless: list[Case] = []
        for case in cases:
            if case.traits.contained and case.cpu * 2 * self.share < self.cpu_seconds:
                harmless.append(case)
            else:
                yield [case]
        yield from (harmless[i : i + self.share] for i in range(0, len(harmless), self.share))

    def _request(self, seed: int, cases: list[Case]) -> Request:
        programs = [case.runnable for case in cases]
        backwards = seed != FIRST_SEED
        return Request(seed, programs, 2 * self.cpu_seconds, self.wall_seconds, backwards, cases)
