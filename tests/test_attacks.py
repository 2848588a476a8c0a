"""Every attack of `attacks/cases.py`, with the static check and without, on each Python we support.

Read that file as the list of what was tried; `attacks/harm.py` says what is looked at.
"""

import os
import platform
import signal
import socket
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from attacks.cases import LINES
from attacks.harm import CHECKS, World
from attacks.interpreters import VERSIONS, find
from attacks.writing import Attack, program

from azr_mini.sandbox import Executor, Job, Result
from azr_mini.sandbox.static_check import Refused, check_length, check_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system calls of Linux")

ATTACKS = {f"{line}: {attack.name}": attack for line in LINES for attack in LINES[line]}
SETTINGS = [(version, static_check) for version in VERSIONS for static_check in (True, False)]

VICTIM = program(
    """
    return [
        "needle-%d" % (a * 3), math.pi, math.floor(1.5), len([a]), sorted("ba"), repr(1), 1 + 1,
        bool(re.search("b", "abc")), str(Decimal(1) / 3)[:9], Counter("aab")["a"],
        isinstance([], Mapping), (5).real, "azr_lie"[:3], (), g(60),
    ]
    """,
    before="""
    import math, re
    from collections import Counter
    from collections.abc import Mapping
    from decimal import Decimal
    def g(n): return n and g(n - 1)
    """,
)
UNHARMED = (
    "['needle-21', 3.141592653589793, 1, 1, ['a', 'b'], '1', 2, True, '0.3333333', 2, False, 5, "
    "'azr', (), 0]"
)


@dataclass
class Siege:
    """What came of all attacks on one executor."""

    static_check: bool
    programs: dict[str, str]  # as they were run
    results: dict[str, Result]
    neighbours: dict[str, Result]  # of the ordinary program behind each attack on its neighbours
    harm: dict[str, str]  # what each check found


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda s: f"{s[0]}{'' if s[1] else ' alone'}")
def siege(request):
    """All attacks in one call of `run`: that is quick, and they meet each other."""
    version, static_check = request.param
    python = find(version)
    if python is None:
        pytest.skip(f"CPython {version} is not on this machine")
    options = {"cpu_seconds": 0.05, "static_check": static_check, "python": python}
    with World() as world, Executor(workers=2, **options) as executor:
        world.watch(executor)
        programs = {name: world.fill(attack.program) for name, attack in ATTACKS.items()}
        jobs = {}
        for name, attack in ATTACKS.items():
            jobs[name] = Job(programs[name], attack.inputs)
            if name.startswith(("contamination", "judge")):
                jobs[name, "neighbour"] = Job(VICTIM, ["7"])
        jobs["last", "neighbour"] = Job(VICTIM, ["7"])
        try:
            results = dict(zip(jobs, executor.run(jobs.values()), strict=True))
        finally:
            world.stop()
        found = {name: check(world, results) for name, check in CHECKS.items()}
        neighbours = {key[0]: results.pop(key) for key in jobs if isinstance(key, tuple)}
        yield Siege(static_check, programs, results, neighbours, found)


def right_verdicts(attack: Attack, program: str, static_check: bool) -> set[str]:
    """The statuses that are right: a program that the static check refuses must be refused."""
    try:
        check_length(program)
        if static_check:
            check_program(program)
    except Refused as refusal:
        return {refusal.status}
    return attack.verdicts


def complaint(siege: Siege, name: str) -> str:
    """What is wrong with the outcome of one attack; "" for nothing."""
    attack, result = ATTACKS[name], siege.results[name]
    right = right_verdicts(attack, siege.programs[name], siege.static_check)
    if result.status not in right:
        return f"{right} expected, {result}"
    if not (result.detail.isascii() and result.detail.isprintable() and len(result.detail) <= 200):
        return f"{result.detail!r} is not one short printable line"
    bought = [text for text in result.outputs if text is not None and attack.value is not None]
    if any(text != attack.value for text in bought):
        return f"{attack.value} expected, {result}"
    if name in siege.neighbours and siege.neighbours[name].outputs != [UNHARMED]:
        return f"its neighbour became {siege.neighbours[name]}"
    return "; ".join(filter(None, (siege.harm[kind] for kind in attack.looks)))


@pytest.mark.parametrize("line", LINES)
def test_every_attack_gets_its_verdict_and_does_no_harm(siege, line):
    names = [f"{line}: {attack.name}" for attack in LINES[line]]
    found = {name: complaint(siege, name) for name in names}
    assert not any(found.values()), {name: text for name, text in found.items() if text}


@pytest.mark.parametrize("kind", CHECKS)
def test_all_attacks_together_did_no_harm(siege, kind):
    assert not siege.harm[kind]
    assert siege.neighbours["last"].outputs == [UNHARMED]


def test_each_check_notices_its_harm():
    with World() as world, Executor(workers=1, static_check=False) as executor:
        world.watch(executor)
        hungry = Job(
            program("x = b'1' * (150 << 20)\nreturn len([n * n for n in range(a)])"), ["9" * 6]
        )
        executor.run([hungry])
        world.stop()
        assert world.peak > 150 << 20
        quiet = [Result("ok", ["1"])]
        assert not any(check(world, quiet) for check in CHECKS.values())
        (world.folder / "harm").touch()
        assert CHECKS["file"](world, quiet)
        with socket.create_connection(world.sockets["tcp"].getsockname()):
            assert CHECKS["network"](world, quiet)
        world.sockets["udp"].sendto(b"x", world.sockets["udp"].getsockname())
        assert CHECKS["network"](world, quiet)
        for path in (world.unix, f"\0{world.abstract}"):
            with socket.socket(socket.AF_UNIX) as ours:
                ours.connect(path)
                assert CHECKS["network"](world, quiet)
        os.write(world._pipe[1], b"x")
        assert CHECKS["descriptor"](world, quiet)
        assert CHECKS["secret"](world, [Result("error", [None], world.secret)])
        world.peak = 1 << 30
        assert CHECKS["memory"](world, quiet)
        os.kill(world.zygotes[0].pid, signal.SIGSTOP)
        assert CHECKS["process"](world, quiet)
        os.kill(world.zygotes[0].pid, signal.SIGCONT)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert CHECKS["process"](world, quiet)


def test_every_line_of_the_suite_is_tried():
    assert sum(map(len, LINES.values())) == len(ATTACKS) >= 120
    assert min(map(len, LINES.values())) >= 10
    tried = Counter((attack.program, attack.inputs) for attack in ATTACKS.values())
    assert not [attempt for attempt, times in tried.items() if times > 1]


def test_every_case_says_what_is_looked_at():
    for name, attack in ATTACKS.items():
        assert set(attack.looks) <= set(CHECKS), name
        assert "ok" not in attack.verdicts or attack.value or attack.looks, name


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the page counts x86-64's calls")
def test_the_page_counts_the_cases():
    page = (Path(__file__).parents[1] / "docs/sandbox.md").read_text(encoding="utf-8")
    rows = [f"| {line} | {len(attacks)} |" for line, attacks in LINES.items()]
    rows.append(f"| all | {len(ATTACKS)} |")
    assert "\n".join(["| line | cases |", "|---|---|", *rows, ""]) in page
    assert len(page.splitlines()) <= 80
    names = {row.partition("|")[2].partition("|")[0].strip() for row in page.splitlines()}
    assert {"seccomp filter", "descriptors", "memory", "files", "user", "parent"} <= names
