"""Compares formulas for `math_verifier`, in a process that may be killed. Run by its file path.

A line on stdin is a JSON list [gold, answer], a line on file descriptor 1 is true or false. A
formula that takes too long ends the process: the CPU timer's signal is not caught.
"""

import json
import os
import resource
import signal
import sys

MEMORY = 2 * 10**9  # bytes of address space on top of what the libraries take


def main(cpu_seconds: float) -> None:
    """Answers until stdin ends."""
    out = os.fdopen(os.dup(1), "w")  # the libraries print to the null device
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    from math_verify import LatexExtractionConfig, parse, verify

    # only LaTeX: math_verify's second reader gives text to Python's eval
    reading = {"extraction_config": [LatexExtractionConfig()], "parsing_timeout": None}
    limit_memory()
    out.write("ready\n")
    out.flush()
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        gold, answer = (parse(f"\\boxed{{{text}}}", **reading) for text in json.loads(line))
        # texts first: equal ones need no algebra. Gold first: `verify` is not symmetric
        pairs = [(g, a) for g in gold for a in answer if isinstance(g, str) == isinstance(a, str)]
        pairs.sort(key=lambda pair: not isinstance(pair[0], str))
        same = any(verify(g, a, timeout_seconds=None) for g, a in pairs)
        signal.setitimer(signal.ITIMER_PROF, 0)
        out.write(json.dumps(same) + "\n")
        out.flush()


def limit_memory() -> None:
    """Bounds the address space, where the platform does that."""
    try:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    except OSError:
        pass


if __name__ == "__main__":
    main(float(sys.argv[1]))
