import random
import re
from functools import cache
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_programs import HOSTILE

from azr_mini.distance import ast_distance, clusters, edit_distance, program_nodes
from azr_mini.nano.drawing import random_program
from azr_mini.programs import parse_program, program_key


def drawn(seed, size, name):
    """A random program of the nano grammar with another name for its first argument."""
    source = random_program(random.Random(seed), 1 + size).source
    return re.sub(r"\ba\b", name, source)


# few seeds, so that programs that are equal but for a name are drawn together
PROGRAMS = st.builds(drawn, st.integers(0, 6), st.integers(0, 2), st.sampled_from("aq"))


def brute_force(one, other):
    """The fewest edits by trying every one of them at every place."""

    @cache
    def fewest(i, j):
        if i == len(one) or j == len(other):
            return len(one) - i + len(other) - j
        replaced = fewest(i + 1, j + 1) + (one[i] != other[j])
        return min(replaced, fewest(i + 1, j) + 1, fewest(i, j + 1) + 1)

    return fewest(0, 0)


@given(st.lists(st.integers(0, 3), max_size=9), st.lists(st.integers(0, 3), max_size=9))
def test_the_bit_parallel_distance_is_the_fewest_edits(one, other):
    assert edit_distance(one, other) == brute_force(tuple(one), tuple(other))


@given(PROGRAMS, PROGRAMS)
def test_the_distance_of_programs_is_the_fewest_edits_of_nodes(one, other):
    first, second = program_nodes(one), program_nodes(other)
    edits = brute_force(first, second)
    expected = 2 * edits / (len(first) + len(second) + edits)
    assert ast_distance(one, other) == pytest.approx(expected)


@given(PROGRAMS, PROGRAMS, PROGRAMS)
def test_the_distance_is_a_metric(one, two, three):
    assert 0 <= ast_distance(one, two) < 1
    assert (ast_distance(one, two) == 0) == (program_key(one) == program_key(two))
    assert ast_distance(one, two) == ast_distance(two, one)
    assert ast_distance(one, three) <= ast_distance(one, two) + ast_distance(two, three) + 1e-12


def test_names_layout_comments_and_docstrings_are_no_distance():
    one = "def f(a):\n    b = a + 1\n    return [x for x in range(b)]"
    other = 'def f(n):\n  """Says."""\n  # why\n  t = n+1\n  return [i for i in range(t)]\n'
    assert ast_distance(one, other) == 0


def test_a_changed_constant_is_one_edit():
    one, other = "def f(a):\n    return a + 1", "def f(a):\n    return a + 2"
    nodes = len(program_nodes(one))
    assert ast_distance(one, other) == 2 / (2 * nodes + 1)


PAIRS = [
    ("x = 1", "x = True"),
    ("x = 1", "x = 1.0"),
    ("x = 'a'", "x = b'a'"),
    ("x = a + b", "x = a - b"),
    ("x = a < b", "x = a <= b"),
    ("x = -a", "x = ~a"),
    ("x = a and b", "x = a or b"),
    ("f(1)", "f(k=1)"),
    ("x = a[1:]", "x = a[:1]"),
    ("x = {**a, 1: b}", "x = {1: a, **b}"),
    ("if x:\n    y()\n    z()", "if x:\n    y()\nelse:\n    z()"),
    ("for i in x:\n    y()\nz()", "for i in x:\n    y()\n    z()"),
    ("def f(a, *, b=1): pass", "def f(a, b=1): pass"),
    ("def f(a, /, b): pass", "def f(a, b, /): pass"),
    ("x = 0x" + "f" * 9000, "x = 0x" + "f" * 8999 + "e"),
]


@pytest.mark.parametrize("one, other", PAIRS, ids=range(len(PAIRS)))
def test_different_trees_have_a_distance(one, other):
    assert ast_distance(one, other) > 0


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_every_program_that_parses_has_nodes(text):
    try:
        parse_program(text)
    except ValueError:
        with pytest.raises(ValueError):
            program_nodes(text)
    else:
        assert ast_distance(text, text) == 0


def with_constants(*constants):
    return "def f(a):\n" + "".join(f"    a = a + {c}\n" for c in constants) + "    return a"


def test_a_chain_of_variants_is_one_cluster():
    chain = [with_constants(1, 1, 1), with_constants(1, 1, 2), with_constants(1, 3, 2)]
    step, ends = ast_distance(*chain[:2]), ast_distance(chain[0], chain[2])
    assert clusters([chain[0], chain[2], "def f(a):\n    return a"], step) == [0, 1, 2]
    assert step < ends and clusters([*chain[::2], chain[1], "def f(a): return a"], step) == [
        0, 0, 0, 1,
    ]  # fmt: skip


@given(st.lists(PROGRAMS, max_size=8), st.floats(0, 0.8))
def test_clusters_are_what_chains_reach(programs, threshold):
    places = range(len(programs))
    reached = {i: {i} for i in places}
    for _ in places:
        for i, j in combinations(places, 2):
            if ast_distance(programs[i], programs[j]) <= threshold:
                reached[i] = reached[j] = reached[i] | reached[j]
        for i in places:
            reached[i] = set().union(*(reached[j] for j in reached[i]))
    found = clusters(programs, threshold)
    assert all((found[i] == found[j]) == (j in reached[i]) for i in places for j in places)
    assert list(dict.fromkeys(found)) == list(range(len(set(found))))
