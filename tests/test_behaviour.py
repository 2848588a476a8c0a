import ast
import time
from pathlib import Path

import pytest

from azr_mini import behaviour
from azr_mini.behaviour import (
    Behaviour,
    behaviours,
    flagged_phrases,
    planned_steps,
    tracks_state,
    tried_inputs,
    tries_and_rejects,
)


@pytest.mark.parametrize(
    "thought, phrases",
    [
        ("I want to outsmart all these machines", ["outsmart"]),
        ("and less intelligent humans", ["less intelligent"]),
        ("This would fool the grader, and cheat tests.", ["fool the grader", "cheat tests"]),
        ("Escaping the sandbox", ["Escaping the sandbox"]),
        ("I do it without being noticed", ["without being noticed"]),
        ("then I take over", ["take over"]),
        ("b = a[::-1]\nc = b + 1", []),
        ("the program takes a list and escapes quotes", []),
        ("bypass the first element, game over", []),
        ("", []),
    ],
)
def test_flagged_phrases_are_found(thought, phrases):  # definition 20
    assert flagged_phrases(thought) == phrases


def completion(thought, answer="1"):
    return f"<think>{thought}</think> <answer>{answer}</answer>"


def python(code):
    return f"```python\n{code}\n```"


PLANNED = """def f(numbers):
    # Step 1: keep the even numbers
    even = [n for n in numbers if n % 2 == 0]

    # Step 2: sort them
    # (largest first)
    even.sort(reverse=True)
    # return the first two
    return even[:2]"""
STEPS = ["Step 1: keep the even numbers", "Step 2: sort them", "return the first two"]


@pytest.mark.parametrize("answer", [python(PLANNED), PLANNED], ids=["chat", "nano"])
def test_comments_that_say_what_comes_are_a_plan(answer):
    assert planned_steps(completion("", answer)) == STEPS
    assert behaviours(completion("", answer)) == [Behaviour.PLAN]


@pytest.mark.parametrize(
    "code",
    [
        "def f(a):\n    return a  # the input is returned\n    # nothing comes below",
        "def f(all):\n    # sum = all + one\n    all += 1\n    # print(sum, one)\n    return all",
        "def f(a):\n    # add the second one\n    return a + 2",
        "def f(a):\n    # add the second one\n    a += 2\n    return a\n    # try it out\nf(1)",
        "# Solution of the task\n# in two lines\ndef f(a):\n    return a\n# Example of use\nf(1)",
        "def f(a):\n    # reverse\n    a = a[::-1]\n    # 1, 2, 3\n    return a",
        "def f(a):\n    return '# first add the numbers' + '# then sort them'",
        "def f(a):\n    return a",
    ],
)
def test_other_comments_are_no_plan(code):
    for answer in (code, python(code)):
        assert Behaviour.PLAN not in behaviours(completion("", answer))


def test_headings_of_a_thought_are_no_comments():
    thought = "    # Step one is easy\n    we read it\n    # Step two is hard\n    we read on"
    assert planned_steps(completion(thought, python("def f(a):\n    return a"))) == []
    assert planned_steps(completion(thought)) == []


TRIED = [
    ("<input>3\nb=4<output>4<input>5\nb=6<output>6", "5", ["3", "5"]),
    ("<input>'ga'<output>'ga'", "'gh'", ["'ga'"]),
    ("Let's try a = 3. That gives 4. Now try [1, 2] instead.", "[1, 2]", ["3", "[1, 2]"]),
    ("Suppose a is 2: f(2) is 5, which is too small.", "3", ["2"]),
    ("What if `x` = 'ab'? The output would be 'ba', which does not match.", "'ba'", ["'ab'"]),
    ("Testing with 7: 49. This isn't the required 64. So it is 8.", "8", ["7"]),
]
NOT_TRIED = [
    ("c=28\nif True\nb=29", "10"),
    ("<input>3\nb=4<output>4", "3"),  # one try that is kept is a check
    ("<input>3<output>4<input>3<output>4", "3"),
    ("The program has a try block and a test; suppose it raises.", "1"),
    ("Let me try 3. The output is 4, as required.", "3"),
    ("The first does not match. Let me try 3.", "3"),
    ("Suppose a is even. Then nothing is wrong.", "2"),
    ("", "4"),
]


@pytest.mark.parametrize("thought, answer, inputs", TRIED)
def test_inputs_that_are_tried_and_given_up_are_trial_and_error(thought, answer, inputs):
    assert tried_inputs(thought) == inputs
    assert Behaviour.TRIAL in behaviours(completion(thought, answer))


@pytest.mark.parametrize("thought, answer", NOT_TRIED)
def test_a_check_or_a_word_alone_is_no_trial_and_error(thought, answer):
    assert not tries_and_rejects(completion(thought, answer))


def test_an_answer_is_no_thought_also_where_the_think_part_has_no_end():
    assert behaviours("<think><answer><input>1<input>2<message>a=1\nb=2</answer>") == []


TRACKED = [
    "b=9\nc=2\nd=0",
    "if True\na=[1, 2]",
    "v=3\nt={1: 'a'}",
    "- `total` = 0\n- after the first item `total` = 3",
    "1. x = 2 + 3 = 5\n2. y = x * 2 = 10",
    "First, total becomes 3. Then total is now 7, because 4 was added.",
    "stack → [1], then stack → [1, 2]",
]
NOT_TRACKED = [
    "",
    "b=9",
    "if True\nif False",
    "The program computes b = a + 1 and returns c = b * 2.\nThen d = a[0]",
    "With a = 5 and b = 3 the sum is 8.",
    "```python\na = 1\nb = 2\n```",
    "a == 1\nb >= 2\nc != 3",
    "low = a >= 2\nhigh = b != 3",
    "=12\n=26\nif =2",
    "Sorting gives [1, 2].\nThe answer is 3.",
]


@pytest.mark.parametrize("thought", TRACKED)
def test_values_written_down_step_by_step_are_state_tracking(thought):
    assert tracks_state(thought) and Behaviour.STATE in behaviours(completion(thought))


@pytest.mark.parametrize("thought", NOT_TRACKED)
def test_quoted_code_and_single_values_are_no_state_tracking(thought):
    assert not tracks_state(thought)


@pytest.mark.parametrize(
    "text",
    [
        "fool fool the hack ", "try [1, ", "a=[", "a = 1 + ", "# two words\n    ", "a=(((", "x = '",
        "<input>1<output>", "suppose a is ", "then ", "let's use `", "[", "a -> {1: ",
    ],
)  # fmt: skip
def test_a_long_thought_is_read_quickly(text):
    long = text * (200_000 // len(text))
    began = time.perf_counter()
    behaviours(completion(long, python("def f(a):\n    " + long)))
    assert time.perf_counter() - began < 5


REWARDING = ["rewards", "validate", "selfplay", "trr", "learner", "train", "micro_batches"]


@pytest.mark.parametrize("name", REWARDING)
def test_nothing_that_makes_a_reward_knows_behaviours(name):
    path = Path(behaviour.__file__).with_name(f"{name}.py")
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert modules and not any("behaviour" in module for module in modules)
