"""The twelve benchmarks of the paper: where each comes from and how it is scored.

The data stays with its owners: `dataset` gets it and checks it. Sources and rules: the paper (arXiv
2505.03335 v2, section 4), the official code's evaluation folder, and the benchmarks' own
repositories.
"""

from dataclasses import dataclass
from enum import Enum

IN_DISTRIBUTION, CODE, MATH = "in-distribution", "code", "math"


class Kind(Enum):
    """How an answer becomes right or wrong."""

    OUTPUT = "output"  # a literal is compared
    INPUT = "input"  # a call is run, and what it returns compared
    TEST_PROGRAM = "test program"  # a function is called on the inputs of hidden tests
    CONTEST = "contest"  # the same, or a program that reads stdin
    MATH = "math"  # a formula is compared


@dataclass(frozen=True)
class Benchmark:
    """One benchmark. sha256: of the uncompressed file at the origin; None where no copy was seen.

    `origin` is "owner/repository:path@commit" on GitHub, or "hub:dataset" on the Hugging Face hub.
    """

    name: str
    title: str
    group: str
    kind: Kind
    file: str  # below $AZR_DATA/evals
    num_rows: int
    fields: tuple[str, ...]  # that grading and prompts need
    origin: str
    sha256: str | None
    metric: str
    max_new_tokens: int  # as in the official evaluation


_MATH = "LeapLabTHU/Absolute-Zero-Reasoner:evaluation/math_eval/eval/data"
_MATH_COMMIT = "a82124e514e27692aa9860c5ee21dbf9d81e3bc5"


def _math(name: str, title: str, folder: str, rows: int, fields: str, sha256: str) -> Benchmark:
    return Benchmark(
        name, title, MATH, Kind.MATH, f"{name}/{folder}.jsonl.gz", rows, tuple(fields.split()),
        f"{_MATH}/{folder}/test.jsonl@{_MATH_COMMIT}", sha256, "accuracy (math-verify)", 16_000,
    )  # fmt: skip


def _cruxeval(name: str, title: str, kind: Kind) -> Benchmark:
    return Benchmark(
        name, title, IN_DISTRIBUTION, kind, "cruxeval/cruxeval.jsonl.gz", 800,
        ("code", "input", "output", "id"),
        "facebookresearch/cruxeval:data/cruxeval.jsonl@190faf16d175b5847b0af05d937872b1fb395942",
        "8368b81047dc5014e4caf5a2f97604eff7644e0ecd7415e3ceeb184bbc2e0c96", "pass@1", 8096,
    )  # fmt: skip


def _evalplus(name: str, title: str, file: str, rows: int, origin: str, sha256: str) -> Benchmark:
    fields = "task_id prompt entry_point canonical_solution base_input plus_input atol"
    return Benchmark(
        name, title, CODE, Kind.TEST_PROGRAM, f"{name}/{file}", rows, tuple(fields.split()),
        f"evalplus/{origin}", sha256, "pass@1, base and plus tests", 768,
    )  # fmt: skip


_ALL = [
    _cruxeval("cruxeval_i", "CruxEval-I", Kind.INPUT),
    _cruxeval("cruxeval_o", "CruxEval-O", Kind.OUTPUT),
    Benchmark(
        "lcb_execution", "LiveCodeBench-Execution", IN_DISTRIBUTION, Kind.OUTPUT,
        "livecodebench_execution/execution.jsonl.gz", 479,
        ("id", "function_name", "code", "input", "output"), "hub:livecodebench/execution-v2",
        None, "pass@1", 8096,
    ),
    _evalplus(
        "humaneval_plus", "HumanEval+", "HumanEvalPlus-v0.1.10.jsonl.gz", 164,
        "humanevalplus_release:HumanEvalPlus.jsonl.gz@200defce9e3429d28ca215b6dd061c0f7f31c18b",
        "42526ec0e7d5f3ee0b06d6ced98f8c8bae3d76519151bfb3d36f79010645bd7f",
    ),
    _evalplus(
        "mbpp_plus", "MBPP+", "MbppPlus-v0.2.0.jsonl.gz", 378,
        "mbppplus_release:MbppPlus.jsonl.gz@dadf43da556a00f7bacd71cb154f2932757d9144",
        "b54e762755248ca411b523c917fa9f93c07b5ff2966bf60b3917b853926a3dad",
    ),
    Benchmark(
        "lcb_generation", "LiveCodeBench v5", CODE, Kind.CONTEST,
        "livecodebench_generation/release_v5.jsonl.gz", 880,
        (
            "question_id", "question_content", "starter_code", "contest_date", "metadata",
            "public_test_cases", "private_test_cases",
        ),
        "hub:livecodebench/code_generation_lite", None, "pass@1, public and private tests", 8096,
    ),
    _math(
        "aime24", "AIME'24", "aime24", 30, "problem answer",
        "af2b8bd2aa911b6333ad0df32f3ca05c7ae8ed10f1731f4372c8ae26990bf7ac",
    ),
    _math(
        "aime25", "AIME'25", "aime25", 30, "problem answer",
        "20c1ca392758d96bd1e28af15d9f30df5660257927cacc9eac7301c29f677d1a",
    ),
    _math(
        "amc23", "AMC'23", "amc23", 40, "problem answer",
        "43707e1ca784602d8479de24ee8ce36609dbebc46dd152b0b12a46611aa898a4",
    ),
    _math(
        "math500", "MATH500", "math500", 500, "problem answer",
        "35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132",
    ),
    _math(
        "minerva", "Minerva", "minerva_math", 272, "problem solution",
        "0e656b430d3a0a1dab6aa853f453ba3805e28e2cabe4fc72486a897cc09d8ba2",
    ),
    _math(
        "olympiadbench", "OlympiadBench", "olympiadbench", 675, "question final_answer",
        "bb8c1e38a16ea9eacb77530315a674d883f267fbff79183effc53681b4fcc416",
    ),
]  # fmt: skip
BENCHMARKS = {benchmark.name: benchmark for benchmark in _ALL}  # in the order of the paper's tables
GROUPS = {
    group: [benchmark.name for benchmark in _ALL if group in (benchmark.group, "all")]
    for group in (IN_DISTRIBUTION, CODE, MATH, "all")
}


@dataclass(frozen=True)
class Grade:
    """What became of one answer. reason: "correct", "wrong", "format", or how its run failed."""

    correct: bool
    reason: str
