"""What a proposer made is set against the held-out set: equal, of the same shape, or near."""

from azr_mini.evaluate.contamination import nearest, overlap, skeleton

HELDOUT = ["def f(a):\n    return a + 3", "def f(a):\n    return [x for x in a if x]"]


def test_names_and_layout_do_not_hide_a_held_out_program():
    found = overlap(["def f(number):\n    # a comment\n    return number + 3"], HELDOUT)
    assert found.to_dict() == {"programs": 1, "the same": 1, "the same shape": 1}


def test_other_constants_are_the_same_shape_and_other_operations_are_not():
    found = overlap(
        ["def f(b): return b + 77", "def f(b): return b + 77", "def f(b): return b - 3"], HELDOUT
    )
    assert found.to_dict() == {"programs": 2, "the same": 0, "the same shape": 1}
    assert skeleton("def f(a): return a + 1") != skeleton("def f(a): return a + 'x'")


def test_the_nearest_distance_is_zero_only_for_equal_programs():
    same, near, far = nearest(
        [
            "def f(z): return z + 3",
            "def f(z): return z + 4",
            "def f(z):\n    return sorted(z)[::2]",
        ],
        HELDOUT,
    )
    assert same == 0 < near < far < 1
