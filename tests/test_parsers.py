"""No text makes a reader raise what it does not document, or take long (benchmarks/parsers.py)."""

import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.parsers import NESTS, PARSERS, SEEDS, TOKENS, families  # noqa: E402

CPU_SECONDS = 5.0  # more than ten times what the slowest reader takes on a slow machine


@contextmanager
def cpu_limit(seconds):
    """TimeoutError in what runs for more CPU seconds than that, a regular expression included."""

    def stop(*_):
        raise TimeoutError(f"more than {seconds} CPU seconds")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


positions = st.floats(0, 1)
edits = st.one_of(
    st.tuples(st.just("insert"), positions, positions, st.sampled_from(TOKENS)),
    st.tuples(st.just("replace"), positions, positions, st.text(max_size=8)),
    st.tuples(st.just("repeat"), positions, positions, st.integers(2, 60)),
    st.tuples(st.just("nest"), positions, positions, st.sampled_from(NESTS), st.integers(1, 300)),
    st.tuples(st.just("join"), positions, positions, st.sampled_from(SEEDS)),
)


@st.composite
def near_valid(draw):
    """A text that a reader takes, after up to five edits."""
    data = draw(st.sampled_from(SEEDS))
    for kind, start, end, *what in draw(st.lists(edits, max_size=5)):
        i, j = sorted((round(start * len(data)), round(end * len(data))))
        match kind, what:
            case "insert", (token,):
                middle = token + data[i:j]
            case "replace", (text,):
                middle = text.encode("utf-8", "surrogatepass")
            case "repeat", (count,):
                middle = data[i:j] * count
            case "nest", ((left, right), depth):
                middle = left.encode() * depth + data[i:j] + right.encode() * depth
            case "join", (other,):
                middle = other
        data = (data[:i] + middle + data[j:])[:24_000]
    return data


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=100, deadline=None)
@given(data=near_valid() | st.binary(max_size=60))
def test_only_documented_errors_come_out(name, data):
    with cpu_limit(CPU_SECONDS):
        PARSERS[name](data)


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("length", [19_900, 100_000])
def test_no_long_text_takes_long(name, length):
    for _family, data in families(length):
        with cpu_limit(CPU_SECONDS):
            PARSERS[name](data)


@pytest.mark.parametrize("name", PARSERS)
def test_every_reader_takes_some_of_the_seeds_and_bears_all(name):
    assert any([PARSERS[name](seed) for seed in SEEDS])
