"""Cards show what was recorded, do nothing a model wrote, and say in words what colours say."""

import re
from html.parser import HTMLParser

import pytest
from made_up_run import made_up_run

from azr_mini.buffer import task_key
from azr_mini.runs import Run
from azr_mini.sandbox import Executor
from azr_mini.tasks import Role, Task, TaskType
from azr_mini.viz.rollout_card import rollout_card
from azr_mini.viz.samples import recorded_steps, rollouts_of, sample_card
from azr_mini.viz.style import DOWN_COLOUR, UP_COLOUR
from azr_mini.viz.task_cards import joined_steps, newest_first, task_cards
from azr_mini.viz.tokens import token_texts
from azr_mini.viz.verdict_card import verdict_card

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</pre></div>",
    "$x^2$ `b` **c** [d](e) \\(f\\)",
    "&lt;i&gt;",
    "\u202egnirts\x1b[31m\ud800",
)


class Reader(HTMLParser):
    """The elements of a page, and the text inside and outside of <pre>."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.inside, self.outside, self.depth, self.titles = set(), "", "", 0, []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.depth += tag == "pre"
        assert {name for name, _ in attributes} <= {"style", "title"}, attributes
        self.titles += [value for name, value in attributes if name == "title"]

    def handle_endtag(self, tag):
        self.depth -= tag == "pre"

    def handle_data(self, text):
        if self.depth:
            self.inside += text
        else:
            self.outside += text


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made_up_run(tmp_path_factory.mktemp("runs") / "run", num_steps=4)


@pytest.fixture
def rollout(run):
    return rollouts_of(run, 2)[0]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_model_wrote_is_shown_and_does_nothing(rollout, text):
    task = {**rollout["task"], "program": f"def f(a):\n    return {text!r}", "outputs": [text]}
    given = {"prompt": text, "completion": text, "detail": text, "task": task}
    seen = text.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b").replace("\ud800", "\\ud800")
    for tokens in (None, [text, "<eos>"]):
        card = rollout_card({**rollout, **given}, tokens)
        reader = Reader(card.html)
        assert reader.tags <= {"div", "b", "pre", "span"}
        assert reader.inside.count(seen) >= 4 and seen not in reader.outside
        assert seen in card.text
        card.html.encode("utf-8")
    triple = Task(TaskType.ABDUCTION, task["program"], (text,), (text,))
    reader = Reader(task_cards([triple], {}, "one").html)
    assert reader.tags <= {"div", "b", "pre"} and reader.inside.count(seen) >= 2
    assert "$" not in reader.outside


@pytest.mark.parametrize(
    ("advantage", "sign", "frame"),
    [(0.5, "▲", f"solid {UP_COLOUR}"), (-2.0, "▼", f"solid {DOWN_COLOUR}"), (0.0, "•", "dotted")],
)
def test_the_advantage_is_said_by_frame_and_by_symbol(rollout, advantage, sign, frame):
    page = rollout_card({**rollout, "advantage": advantage}).html
    assert frame in page and f"{sign} advantage {advantage:+.3f}" in page


def test_deeper_shade_means_less_likely(rollout):
    tokens, logprobs = ["sure", "maybe", "hardly"], [-0.01, -0.7, -3.5]
    page = rollout_card({**rollout, "logprobs": logprobs}, tokens).html
    spans = re.findall(
        r'title="probability ([\d.]+)%" style="[^"]*, ([\d.]+)\);([^"]*)">(\w+)', page
    )
    assert [span[3] for span in spans] == tokens
    assert [float(span[0]) for span in spans] == [99.0, 49.7, 3.0]
    shades = [float(span[1]) for span in spans]
    assert shades == sorted(shades) and shades[0] < 0.05 < 0.3 < shades[2]
    assert ["underline" in span[2] for span in spans] == [False, False, True]


def test_a_card_names_the_behaviours_that_its_completion_shows(rollout):
    said = "<think>b=1\nb=2, to outsmart users</think><answer>2</answer>"
    card = rollout_card({**rollout, "completion": said})
    assert "shows <b>state tracking, flagged phrase</b>" in card.html
    assert "\nshows state tracking, flagged phrase\n" in card.text
    plain = rollout_card(rollout)
    assert "shows" not in plain.html and "shows" not in plain.text


def test_shades_can_show_entropies_instead(rollout):
    page = rollout_card(rollout, ["a", "b"], entropies=[0.0, 1.5]).html
    assert "entropy 1.50 nats" in page and 'title="probability' not in page
    assert page.count("underline;") == 1


def test_nothing_is_fixed_to_a_light_background(run, rollout):
    for page in (rollout_card(rollout, ["a", "b"]).html, task_cards(run_tasks(run)).html):
        assert not re.search(r"background(-color)?: *(#|white|rgb\()", page)
        assert not re.search(r"[^-]color: *(#|black|rgb\()", page)


def run_tasks(run):
    return [Task(TaskType.DEDUCTION, "def f(a):\n    return a", ("1",), ("1",))]


def test_only_the_chosen_step_is_shown(run):
    assert recorded_steps(run) == [0, 1, 2, 3]
    everything = list(run.rollouts)
    for step in range(4):
        assert rollouts_of(run, step) == [r for r in everything if r["step"] == step]


def test_a_sample_is_the_one_with_that_number_among_those_of_a_kind(run):
    proposals = [r for r in rollouts_of(run, 1) if r["role"] == "propose"]
    chosen = [r for r in proposals if r["type"] == "induction"]
    texts = [rollout_card(r).text for r in chosen]
    assert len(set(texts)) == len(texts) == 4
    for number, text in enumerate(texts, start=1):
        card = sample_card(run, 1, Role.PROPOSE, TaskType.INDUCTION, number=number)
        assert card.text == text and text.startswith("step 1  propose induction: valid")
    assert "no rollout" in sample_card(run, 1, Role.PROPOSE, TaskType.INDUCTION, number=5).text
    wrong = sample_card(run, 1, Role.SOLVE, None, "<0")
    assert wrong.text.startswith("step 1  solve deduction: wrong")
    assert "no rollout" in sample_card(run, 1, Role.SOLVE, None, ">1").text


def test_token_texts_add_up_to_the_completion(run):
    from azr_mini.nano.tokenizer import build_tokenizer

    text = "<answer>def f(a):\n    return a + 10</answer>"
    ids = build_tokenizer().encode(text)
    tokens = token_texts(run)(ids)
    assert len(tokens) == len(ids) > 5 and "".join(tokens) == text
    assert token_texts(run)([1]) == ["<eos>"]  # it is trained, so it is shown


def test_without_a_tokenizer_on_this_disk_tokens_have_no_texts(tmp_path):
    run = Run(tmp_path, {"config": {"model": "somebody/some-model"}})
    assert token_texts(run) is None


def test_the_newest_tasks_come_first_and_types_by_turns():
    tasks = [Task(t, f"def f(a):\n    return {n}", ("1",), (f"{n}",))
             for t in (TaskType.DEDUCTION, TaskType.ABDUCTION) for n in range(3)]  # fmt: skip
    found = [(task.type.value[0], task.outputs[0]) for task in newest_first(tasks)]
    assert found == [("d", "2"), ("a", "2"), ("d", "1"), ("a", "1"), ("d", "0"), ("a", "0")]


def test_a_task_card_says_when_it_joined_and_what_is_hidden(run):
    task = Task(TaskType.INDUCTION, "def f(a):\n    return a", ("1", "2"), ("1", "2"), "same", 1)
    page = task_cards([task], {task_key(task): 7}).html
    assert "joined in step 7" in page and "message: same" in page
    assert "f(1) -&gt; 1\nf(2) -&gt; 2 *\n" in page and "* hidden" in page
    assert "there from the start" in task_cards([task], {}).html
    steps = joined_steps(run)
    first = next(r for r in run.rollouts if r["role"] == "propose")
    assert steps and min(steps.values()) == first["step"] == 0


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


PROGRAMS = {  # text: status and who answered, with and without the static check
    "def f(a):\n    return a * 2": ("ok", "all layers", "ok", "all layers"),
    "def g(a):\n    return a": ("syntax", "static check", "syntax", "parser"),
    "import os\ndef f(a):\n    return os.fork()": ("unsafe", "static check", "unsafe", "filter"),
    "def f(a):\n    return open('/etc/passwd').read()": ("unsafe", "static", "error", "filter"),
    "def f(a):\n    return len('x' * 10**10)": ("memory", "memory", "memory", "memory"),
    "def f(a):\n    return hash('x')": ("nondeterministic", "comparison") * 2,
    "def f(a):\n    return lambda: a": ("output", "encoder") * 2,
    "def f(a):\n    return a / 0": ("error", "Python itself") * 2,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_verdict_names_the_layer_that_answered(executor, program):
    status, who, bare_status, bare_who = PROGRAMS[program]
    for check, expected, layer in ((True, status, who), (False, bare_status, bare_who)):
        card = verdict_card(executor, program, "3", check)
        assert re.match(rf"[✓✗] {expected}, answered by .*{layer}", card.text), card.text
    assert executor.static_check


def test_the_rows_behind_a_verdict_are_marked(executor):
    names = {layer.name for layer in executor.layers()}
    for program, check in (("import os\ndef f(a):\n    return os.fork()", False),
                           ("def f(a):\n    return len('x' * 10**10)", True)):  # fmt: skip
        page = verdict_card(executor, program, "3", check).html
        marked = re.findall(r"✓ ([\w ]+) <b>◀ answered</b>", page)
        assert marked and set(marked) <= names
    assert "◀" not in verdict_card(executor, "def f(a):\n    return a", "3").html
