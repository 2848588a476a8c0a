"""Coverage-guided fuzzing of every reader of model-written text; nothing runs the text.

    pip install atheris     # libFuzzer for Python
    python benchmarks/fuzz.py [--inputs 60000] [--seed 0] [--parsers thought,leaks]
    python benchmarks/fuzz.py --replay runs/fuzz/thought-exception-1

Each parser of benchmarks/parsers.py is fuzzed in a process of its own, so that one which ends by a
signal is counted: its input is saved, and the rest of its inputs go on in the next process. Writes
docs/results/fuzz.json, of which --parsers replaces only some rows, and to runs/fuzz each input that
raised, crashed or was a parser's slowest.
"""

import argparse
import json
import mmap
import platform
import random
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from azr_mini.environment import hardware  # noqa: E402

MAX_LENGTH = 24_000  # bytes; more than the 20,000 characters at which programs and values end
LONG = 2_000  # bytes of an input that is counted as long
SHORT = 400  # most inputs are cut to fewer bytes before they are changed
FIELDS = ("inputs", "read", "long", "bytes", "exceptions", "length", "slowest", "seconds")
STATE = struct.Struct("<QQQQQQdd")


class Progress:
    """What a fuzzing process has done, in a file that outlives it, and the input it is reading."""

    def __init__(self, path: Path):
        if not path.exists():
            path.write_bytes(bytes(STATE.size + MAX_LENGTH))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)

    def read(self) -> dict:
        return dict(zip(FIELDS, STATE.unpack_from(self.memory), strict=True))

    def write(self, state: dict) -> None:
        STATE.pack_into(self.memory, 0, *state.values())

    def begin(self, state: dict, data: bytes) -> None:
        state["length"] = len(data)
        self.write(state)
        self.memory[STATE.size : STATE.size + len(data)] = data

    def current(self) -> bytes:
        return self.memory[STATE.size : STATE.size + self.read()["length"]]


def mutate(data: bytes, tokens: list[bytes], nests: list, rng: random.Random, change) -> bytes:
    """Another input: mostly short, sometimes with a token, a long repetition or a deep nesting."""
    if len(data) > SHORT and rng.random() < 0.95:
        start = rng.randrange(len(data))
        data = data[start : start + rng.randrange(1, SHORT)]
    i = rng.randint(0, len(data))
    j = rng.randint(i, len(data))
    kind = rng.random()
    if kind < 0.3:
        data = data[:i] + rng.choice(tokens) + data[i:]
    elif kind < 0.35:
        left, right = (side.encode() for side in rng.choice(nests))
        depth = int(200 ** rng.random()) if rng.random() < 0.9 else rng.randrange(4000)
        data = data[:i] + left * depth + data[i:j] + right * depth + data[j:]
    elif kind < 0.37 and i < j:
        data = data[:i] + data[i:j] * rng.randint(1, MAX_LENGTH // (j - i)) + data[j:]
    else:
        data = change(data)
    return data[:MAX_LENGTH]


def fuzz_here(name: str, inputs: int, seed: int, folder: Path, saved: Path) -> None:
    """Fuzzes one parser in this process, which ends with it (libFuzzer never returns)."""
    import atheris

    sys.modules.pop("ast", None)  # imported again, so that its paths count as well
    with atheris.instrument_imports(include=["azr_mini", "benchmarks.parsers", "ast"]):
        from benchmarks import parsers
    parser, progress = parsers.PARSERS[name], Progress(folder / "progress")
    state = progress.read()

    def read(data: bytes) -> None:
        progress.begin(state, data)
        began = time.process_time()
        try:
            state["read"] += parser(data)
        except Exception:
            state["exceptions"] += 1
            if state["exceptions"] <= 20:
                (saved / f"{name}-exception-{state['exceptions']}").write_bytes(data)
                traceback.print_exc()
        spent = time.process_time() - began
        if spent > state["slowest"] and state["inputs"]:  # the first one pays for what is loaded
            state["slowest"] = spent
            (saved / f"{name}-slowest").write_bytes(data)
        state["seconds"] += spent
        state["inputs"] += 1
        state["long"] += len(data) >= LONG
        state["bytes"] += len(data)
        progress.write(state)

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        change = lambda data: atheris.Mutate(data, max_size)  # noqa: E731
        return mutate(bytes(data), parsers.TOKENS, parsers.NESTS, random.Random(seed), change)

    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for i, text in enumerate(parsers.SEEDS):
        (corpus / f"seed{i}").write_bytes(text)
    options = [f"-runs={inputs}", f"-seed={seed + 1}", f"-max_len={MAX_LENGTH}", "-len_control=0"]
    options += ["-timeout=120", "-rss_limit_mb=4096", "-reload=0", f"-artifact_prefix={saved}/"]
    atheris.Setup([name, *options, str(corpus)], read, custom_mutator=mutator)
    atheris.Fuzz()


def fuzz(name: str, inputs: int, seed: int, saved: Path) -> dict:
    """The record of one parser, from as many processes as it takes."""
    crashes, edges = [], 0
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        progress = Progress(folder / "progress")
        while (done := progress.read()["inputs"]) < inputs and len(crashes) < 20:
            command = [sys.executable, __file__, "--child", name, "--inputs", str(inputs - done)]
            command += ["--seed", str(seed + len(crashes)), "--folder", work, "--saved", saved]
            with open(folder / "log", "w+") as log:
                code = subprocess.run(command, stdout=log, stderr=log).returncode
                log.seek(0)
                said = log.read()
            edges = max([edges, *map(int, re.findall(r"cov: (\d+)", said))])
            if "Traceback" in said or code:
                print(said[-3000:])
            if code or progress.read()["inputs"] < inputs:
                path = saved / f"{name}-crash-{len(crashes) + 1}"
                path.write_bytes(progress.current())
                crashes.append(code)
                state = progress.read()
                state["inputs"] += 1  # the input that ended the process
                progress.write(state)
        state = progress.read()
        path = saved / f"{name}-slowest"
        return {
            "seed": seed,
            "inputs": state["inputs"],
            "read": state["read"],  # of which the parser made something
            "long_inputs": state["long"],
            "mean_bytes": round(state["bytes"] / state["inputs"], 1),
            "exceptions": state["exceptions"],
            "crashes": crashes,  # exit codes; 77 is libFuzzer's for a signal
            "edges": edges,
            "corpus": len(list((folder / "corpus").iterdir())),
            "cpu_seconds": round(state["seconds"], 1),
            "slowest_cpu_ms": round(1000 * state["slowest"], 1),
            "slowest_bytes": path.stat().st_size if path.exists() else 0,
        }


def replay(paths: list[Path]) -> None:
    """Gives each saved input to the parser that its name begins with."""
    from benchmarks.parsers import PARSERS

    for path in paths:
        began = time.process_time()
        PARSERS[path.name.partition("-")[0]](path.read_bytes())
        print(f"{path.name}: no exception, {1000 * (time.process_time() - began):.1f} CPU ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=60_000, help="for each parser")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--parsers", default="", help="names, comma between, to do again; all by default"
    )
    parser.add_argument("--replay", nargs="+", type=Path, help="saved inputs, nothing is fuzzed")
    parser.add_argument("--saved", type=Path, default=ROOT / "runs/fuzz")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/fuzz.json")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.replay:
        return replay(options.replay)
    if options.child:
        fuzz_here(
            options.child, options.inputs, options.seed, options.folder, options.saved.resolve()
        )
    options.saved.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "benchmarks/fuzz.py", *sys.argv[1:]])
    from benchmarks.parsers import PARSERS

    recorded = json.loads(options.out.read_text()) if options.parsers else {}
    names, found = options.parsers.split(",") if options.parsers else list(PARSERS), {}
    for name in names:
        found[name] = fuzz(name, options.inputs, options.seed, options.saved.resolve())
        print(f"{name:22} {json.dumps(found[name])}", flush=True)
    rows = recorded.get("parsers", {}) | found
    record = {
        "what": "coverage-guided fuzzing; every input is read, none is run",
        "command": recorded.get("command") or command,
        "again": recorded.get("again", []) + [command] * bool(options.parsers),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "hardware": hardware(),
        "versions": {"python": platform.python_version(), "atheris": version("atheris")},
        "max_bytes": MAX_LENGTH,
        **{
            key: round(sum(row[key] for row in rows.values()), 1)
            for key in ("inputs", "exceptions", "cpu_seconds")
        },
        "crashes": sum(len(row["crashes"]) for row in rows.values()),
        "slowest_cpu_ms": max(row["slowest_cpu_ms"] for row in rows.values()),
        "parsers": {name: rows[name] for name in PARSERS if name in rows},
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
