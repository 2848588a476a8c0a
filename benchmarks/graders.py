"""How long the graders take over whole benchmarks, and what right and wrong answers score.

python benchmarks/graders.py [--only NAME ...] writes docs/results/graders.json. It needs the data
in the folder that AZR_DATA names. Answers pass through extraction like a model's completions.
"""

import argparse
import gzip
import json
import os
import resource
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from azr_mini.evaluate import code_tasks, contest, exec_io, math_answers  # noqa: E402
from azr_mini.evaluate.answering import Runners  # noqa: E402
from azr_mini.evaluate.benchmarks import BENCHMARKS, Benchmark, Kind  # noqa: E402
from benchmarks.recording import RESULTS, header, write  # noqa: E402

WORKERS = 2
KINDS = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
LCB_FILES = {  # stand-ins: the real rows are not ours to ship
    "execution": "livecodebench_execution/lcb_execution_synthetic.jsonl.gz",
    "generation": "livecodebench_generation/lcb_generation_synthetic.jsonl.gz",
}


def read_rows(file: str) -> list[dict]:
    """The rows of a benchmark file below $AZR_DATA/evals."""
    path = Path(os.environ["AZR_DATA"]) / "evals" / file
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return list(map(json.loads, lines))


def reply(name: str, answer: str) -> str:
    """A completion in the format that the AZR prompt asks for."""
    return f"<think>So.</think>\n<answer>\n```{name}\n{answer}\n```\n</answer>"


def right_input(row: dict) -> str:
    return reply("input", row["input"])


def nine_arguments(row: dict) -> str:
    name = row.get("function_name", "f")
    return reply("input", f"{name}(1, 2, 3, 4, 5, 6, 7, 8, 9)")


def right_output(row: dict) -> str:
    return reply("output", row["output"])


def impossible_output(row: dict) -> str:
    return reply("output", "('no', -987654321)")


def reference(row: dict) -> str:
    return reply("python", row["prompt"] + row["canonical_solution"])


def wrong_function(row: dict) -> str:
    return reply("python", f"def {row['entry_point']}(*arguments):\n    raise ValueError")


def gold_program(row: dict) -> str:
    return reply("python", row["gold_solution"])


def wrong_program(row: dict) -> str:
    return reply("python", "raise ValueError")


def gold_answer(benchmark: Benchmark):
    """The model that knows the answers to a math benchmark."""

    def model(row: dict) -> str:
        return boxed(math_answers.gold(benchmark, row))

    return model


def wrong_number(row: dict) -> str:
    return boxed("-987654321")


def boxed(answer: str) -> str:
    return f"<think>So.</think>\n<answer>\n\\boxed{{{answer}}}\n</answer>"


def cases() -> dict[str, tuple]:
    """By name: benchmark, adapter, rows, and what a right and a wrong model would write."""
    execution, generation = BENCHMARKS["lcb_execution"], BENCHMARKS["lcb_generation"]
    outputs, inputs = (right_output, impossible_output), (right_input, nine_arguments)
    found: dict[str, tuple] = {}

    def add(name: str, benchmark: Benchmark, adapter, file: str, *models) -> None:
        found[name] = (benchmark, adapter, file, *models)

    for name, models in (("cruxeval_i", inputs), ("cruxeval_o", outputs)):
        add(name, BENCHMARKS[name], exec_io, BENCHMARKS[name].file, *models)
    add("lcb_execution, stand-in", execution, exec_io, LCB_FILES["execution"], *outputs)
    backwards = replace(execution, kind=Kind.INPUT)
    add("lcb_execution, inputs, stand-in", backwards, exec_io, LCB_FILES["execution"], *inputs)
    for name in ("humaneval_plus", "mbpp_plus"):
        benchmark = BENCHMARKS[name]
        add(name, benchmark, code_tasks, benchmark.file, reference, wrong_function)
    add("lcb_generation, stand-in", generation, contest, LCB_FILES["generation"],
        gold_program, wrong_program)  # fmt: skip
    for name, benchmark in BENCHMARKS.items():
        if benchmark.kind is Kind.MATH:
            right = gold_answer(benchmark)
            add(name, benchmark, math_answers, benchmark.file, right, wrong_number)
    return found


def graded(benchmark: Benchmark, adapter, rows: list[dict], model) -> dict:
    """The score of a model's completions, the reasons, and the seconds of it all.

    cpu_seconds are those of all processes: what matters where the machine was busy.
    """
    with Runners(WORKERS) as runners:
        runner = runners.runner(benchmark.kind)
        cpu_began = sum(map(used, KINDS))
        began = time.perf_counter()
        answers = [adapter.extract(benchmark, model(row)) for row in rows]
        grades = adapter.grade(benchmark, rows, answers, runner)
        seconds = time.perf_counter() - began
    cpu_seconds = sum(map(used, KINDS)) - cpu_began  # children count when they have ended
    return {
        "correct": sum(grade.correct for grade in grades),
        "reasons": dict(Counter(grade.reason for grade in grades)),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
    }


def used(kind: int) -> float:
    usage = resource.getrusage(kind)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="names of benchmarks; the rest of the file stays")
    parser.add_argument("--out", type=Path, default=RESULTS / "graders.json")
    options = parser.parse_args()
    record = header("graders.py") | {"workers": WORKERS, "graders": {}}
    if options.only and options.out.exists():
        record["graders"] = json.loads(options.out.read_text(encoding="utf-8"))["graders"]
    for name, (benchmark, adapter, file, right, wrong) in cases().items():
        if options.only and name.partition(",")[0] not in options.only:
            continue
        rows = read_rows(file)
        oracle = graded(benchmark, adapter, rows, right)
        against = graded(benchmark, adapter, rows, wrong)
        record["graders"][name] = {"rows": len(rows), "oracle": oracle, "wrong": against}
        print(f"{name:32} {len(rows):4} rows, oracle {oracle}, wrong {against}", flush=True)
        write(options.out, record)


if __name__ == "__main__":
    main()
