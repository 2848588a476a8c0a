"""Asks a model the rows of a benchmark and grades its answers: one record for each sample."""

import contextlib
import hashlib
from dataclasses import dataclass

from azr_mini.evaluate import code_tasks, contest, exec_io, math_answers
from azr_mini.evaluate.benchmarks import Benchmark, Grade, Kind
from azr_mini.evaluate.math_verifier import MathVerifier
from azr_mini.evaluate.styles import make_prompt, style_for
from azr_mini.sandbox.benchmark import BenchmarkRunner

COMPLETIONS_PER_BATCH = 256


@dataclass(frozen=True)
class Settings:
    """All that decides what is asked and how it is answered. temperature 0 is greedy."""

    model: str
    weights: str = ""  # `fingerprint` of the policy
    style: str = "azr"
    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int | None = None  # None: the official limit of each benchmark
    limit: int | None = None  # rows of each benchmark
    seed: int = 0
    sampler: str = "torch"
    device: str = "cpu"
    dtype: str = "float32"
    batch: int = COMPLETIONS_PER_BATCH  # completions that are finished, and kept, together


class Runners:
    """Opens what grades a kind of answer when it is first needed; a context manager."""

    def __init__(self, workers: int = 2, unsafe: bool = False) -> None:
        self._workers, self._unsafe = workers, unsafe
        self._opened, self._stack = {}, contextlib.ExitStack()

    def __enter__(self) -> "Runners":
        return self

    def __exit__(self, *exception) -> None:
        self._stack.close()

    def runner(self, kind: Kind):
        """A `MathVerifier` for formulas, a `BenchmarkRunner` for programs."""
        is_math = kind is Kind.MATH
        if is_math not in self._opened:
            made = (
                MathVerifier(self._workers)
                if is_math
                else BenchmarkRunner(self._workers, self._unsafe)
            )
            self._opened[is_math] = self._stack.enter_context(made)
        return self._opened[is_math]


def adapter(kind: Kind):
    """The module with `question`, `extract` and `grade` for a kind of answer."""
    match kind:
        case Kind.INPUT | Kind.OUTPUT:
            return exec_io
        case Kind.TEST_PROGRAM:
            return code_tasks
        case Kind.CONTEST:
            return contest
        case Kind.MATH:
            return math_answers


def answer(
    policy,
    sampler,
    runners: Runners,
    benchmark: Benchmark,
    rows: list[dict],
    settings: Settings,
    first: int = 0,
) -> list[dict]:
    """The record of each sample of each row, in order. first: the number of the first row.

    A row whose prompt fills the model's positions is not asked: it scores 0, reason "prompt".
    """
    graded_by = adapter(benchmark.kind)
    style, _ = style_for(settings.style, benchmark)
    prompts = [
        make_prompt(style, benchmark, row, graded_by.question(benchmark, row), policy)
        for row in rows
    ]
    limit = getattr(sampler, "max_positions", policy.max_positions)
    fits = [i for i, prompt in enumerate(prompts) if len(prompt.ids) < limit]
    written = sampler.generate(
        [prompts[i].ids for i in fits],
        seeds=[_seed(settings.seed, benchmark.name, first + i) for i in fits],
        num_completions=settings.samples,
        max_new_tokens=settings.max_new_tokens or benchmark.max_new_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
    )
    completions = dict(zip(fits, written, strict=True))
    samples = [
        (i, number, completions[i][number] if i in completions else None)
        for i in range(len(rows))
        for number in range(settings.samples)
    ]
    texts = ["" if found is None else policy.decode(found.ids) for _, _, found in samples]
    answers = [
        graded_by.extract(benchmark, prompts[i].reply(text))
        for (i, _, _), text in zip(samples, texts, strict=True)
    ]
    asked = [rows[i] for i, _, _ in samples]
    grades = graded_by.grade(benchmark, asked, answers, runners.runner(benchmark.kind))
    return [
        {
            "benchmark": benchmark.name,
            "id": row_id(rows[i], first + i),
            "sample": number,
            "style": style,
            "prompt_sha256": hashlib.sha256(prompts[i].text.encode()).hexdigest(),
            "completion": text,
            "answer": found,
            **_judged(grade, completion),
        }
        for (i, number, completion), text, found, grade in zip(
            samples, texts, answers, grades, strict=True
        )
    ]


def _judged(grade: Grade, completion) -> dict:
    if completion is None:
        return {"score": 0, "reason": "prompt", "tokens": 0, "truncated": False}
    found = {"score": int(grade.correct), "reason": grade.reason}
    return found | {"tokens": len(completion.ids), "truncated": completion.truncated}


def row_id(row: dict, number: int) -> str:
    """The name of a row in its benchmark; else its number, from 0."""
    names = ("id", "task_id", "question_id", "unique_id", "idx")
    return str(next((row[name] for name in names if name in row), number))


def fingerprint(policy) -> str:
    """A digest of some numbers of every weight: other training, other digest."""
    digest = hashlib.sha256()
    for name, weight in sorted(policy.model.named_parameters()):
        numbers = weight.detach().flatten()[:64].float().cpu().tolist()
        digest.update(f"{name} {tuple(weight.shape)} {numbers}".encode())
    return digest.hexdigest()[:16]


def _seed(seed: int, benchmark: str, row: int) -> int:
    digest = hashlib.sha256(f"{benchmark} {seed} {row}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1  # 63 bits: fits a signed integer
