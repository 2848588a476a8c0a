"""Distinct programs per second through the executor, against a process per run and a bare fork.

    python benchmarks/executor.py [--programs 400] [--rounds 3] [--out docs/results/executor.json]

Every program is run twice under different hash seeds, nothing is cached, the self-test passes in
the same process. Rounds of all contenders alternate and ratios are taken round by round, so that a
busy machine disturbs all of them alike.
"""

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from azr_mini.environment import hardware  # noqa: E402
from azr_mini.sandbox import Executor, Job  # noqa: E402

WORKERS = 2

TEMPLATES = [
    "def f(a):\n    total = {x}\n    for n in a:\n        if n % {y} == 0:\n"
    "            total += n * {z}\n    return total\n",
    "def f(a):\n    return sorted(n * {x} % {y} for n in a)[::-1] + [{z}]\n",
    "def f(a):\n    b = [n + {x} for n in a]\n    d = {{}}\n    for n in b:\n"
    "        d[n % {y}] = d.get(n % {y}, {z}) + 1\n    return d\n",
    "def f(a):\n    def g(n):\n        return n if n < {y} else g(n - {y}) + {z}\n"
    "    return [g(n * {x} % 200) for n in a]\n",
    "import math\ndef f(a):\n    s = ''.join(chr(97 + (n * {x}) % 26) for n in a)\n"
    "    return s.upper() + str(math.gcd({y}, {z}))\n",
]

C_FORK = """
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int count, char **words) {
    for (int i = atoi(words[1]); i > 0; i--) {
        pid_t child = fork();
        if (child == 0) _exit(0);
        waitpid(child, 0, 0);
    }
    return 0;
}
"""


def make_jobs(count: int, rng: random.Random) -> list[Job]:
    """Distinct programs of a few lines, each with one list of numbers."""
    jobs = []
    for i in range(count):
        x, y, z = rng.randint(1, 10**6), rng.randint(2, 97), rng.randint(1, 10**6)
        program = TEMPLATES[i % len(TEMPLATES)].format(x=x, y=y, z=z)
        jobs.append(Job(program, [str([rng.randint(0, 99) for _ in range(6)])]))
    assert len({job.program for job in jobs}) == count
    return jobs


def cpu_of(executor: Executor) -> float:
    """CPU seconds of this process, the executor's zygotes and their children so far (Linux)."""
    ticks = 0
    for zygote in executor._runner.zygotes:
        stat = Path(f"/proc/{zygote.process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, stat[11:15]))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def time_executor(executor: Executor, jobs: list[Job]) -> dict[str, float]:
    """Programs per second and CPU milliseconds per program, two interpreters each."""
    linux = sys.platform == "linux"
    cpu, start = cpu_of(executor) if linux else 0.0, time.perf_counter()
    results = executor.run(jobs)
    seconds = time.perf_counter() - start
    assert all(result.status == "ok" for result in results), results
    cpu = cpu_of(executor) - cpu if linux else float("nan")
    return {"programs_per_s": len(jobs) / seconds, "cpu_ms_per_program": 1000 * cpu / len(jobs)}


def time_subprocess(jobs: list[Job]) -> dict[str, float]:
    """The same with a new interpreter for each of the two runs, as many at once as workers."""

    def run(job: Job) -> bytes:
        code = f"{job.program}\nprint(repr(f({job.inputs[0]})))"
        command = [sys.executable, "-I", "-c", code]
        return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout

    before, start = os.times(), time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        assert list(pool.map(run, jobs)) == list(pool.map(run, jobs))
    seconds, after = time.perf_counter() - start, os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    return {"programs_per_s": len(jobs) / seconds, "cpu_ms_per_program": 1000 * cpu / len(jobs)}


def time_c_fork(binary: Path | None, forks: int = 2000) -> dict[str, float] | None:
    """CPU milliseconds of fork, exit and wait in a tiny C program; None without a compiler."""
    if binary is None:
        return None
    before = os.times()
    subprocess.run([binary, str(forks)], check=True)
    cpu = sum(os.times()[2:4]) - sum(before[2:4])
    return {"cpu_ms_per_fork": 1000 * cpu / forks}


def compile_c_fork(folder: Path) -> Path | None:
    """The compiled program, or None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    (folder / "fork.c").write_text(C_FORK)
    subprocess.run([compiler, "-O2", "-o", folder / "fork", folder / "fork.c"], check=True)
    return folder / "fork"


def measure(programs: int, rounds: int) -> dict[str, list]:
    """One entry per round for every contender, all in this one run."""
    rng = random.Random(0)
    found: dict[str, list] = {"executor": [], "executor_isolated": [], "subprocess": [], "fork": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        Executor(workers=WORKERS) as shared,
        Executor(workers=WORKERS, share=1) as isolated,
    ):
        binary = compile_c_fork(Path(folder))
        time_executor(shared, make_jobs(40, rng)), time_executor(isolated, make_jobs(40, rng))
        for _ in range(rounds):
            jobs = make_jobs(programs, rng)
            found["executor"].append(time_executor(shared, jobs))
            found["subprocess"].append(time_subprocess(jobs[: max(20, programs // 8)]))
            found["executor_isolated"].append(time_executor(isolated, jobs))
            found["fork"].append(time_c_fork(binary))
        found["layers"] = [layer._asdict() for layer in shared.layers()]
    found["mean_program_characters"] = mean(len(job.program) for job in jobs)
    return found


def ratios(found: dict[str, list]) -> dict[str, float | None]:
    """Medians over the rounds of the ratios that the targets are about."""

    def compare(name: str, key: str) -> float:
        pairs = zip(found[name], found["subprocess"], strict=True)
        return median(ours[key] / theirs[key] for ours, theirs in pairs)

    answer: dict[str, float | None] = {
        "speed_against_subprocess": compare("executor", "programs_per_s"),
        "speed_against_subprocess_isolated": compare("executor_isolated", "programs_per_s"),
        "cpu_against_subprocess": 1 / compare("executor", "cpu_ms_per_program"),
        "cpu_against_subprocess_isolated": 1 / compare("executor_isolated", "cpu_ms_per_program"),
    }
    for name in ("executor", "executor_isolated"):
        pairs = zip(found[name], found["fork"], strict=True)
        answer[f"cpu_per_run_in_c_forks_{name}"] = found["fork"][0] and median(
            ours["cpu_ms_per_program"] / 2 / fork["cpu_ms_per_fork"] for ours, fork in pairs
        )
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "executor.json")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    options = parser.parse_args()
    load_before, start = os.getloadavg(), time.time()
    found = measure(options.programs, options.rounds)
    record = {
        "what": "distinct programs, two interpreters each, no cache, self-test in the same run",
        "command": "python benchmarks/executor.py " + " ".join(sys.argv[1:]),
        "date": time.strftime("%Y-%m-%d", time.gmtime(start)),
        "seconds": round(time.time() - start, 1),
        "machine": {
            "processor": hardware()["cpu"],
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "load_average_before": [round(load, 2) for load in load_before],
            "note": options.note,
        },
        "workers": WORKERS,
        "programs_per_round": options.programs,
        "ratios": ratios(found),
        **found,
    }
    for name in ("executor", "executor_isolated", "subprocess"):
        speed = median(entry["programs_per_s"] for entry in found[name])
        cpu = median(entry["cpu_ms_per_program"] for entry in found[name])
        print(f"{name:20} {speed:8.0f} programs/s {cpu:8.2f} CPU ms per program")
    for name, ratio in record["ratios"].items():
        print(f"{name:40} {'not measured' if ratio is None else format(ratio, '.2f')}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
