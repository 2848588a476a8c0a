"""Each style asks what the official prompt asks, and what it opened belongs to the reply."""

import pytest
from invented import invented
from tiny_models import byte_tokenizer, tiny_model
from tiny_models import tiny_policy as nano_policy

from azr_mini.chat_wording import FRAME
from azr_mini.evaluate import styles
from azr_mini.evaluate.benchmarks import BENCHMARKS, Kind
from azr_mini.evaluate.styles import STYLES, Prompt, make_prompt, style_for
from azr_mini.policy import Policy
from azr_mini.prompts import Dialect, solve_prompt
from azr_mini.sandbox import Executor, Job
from azr_mini.tasks import Task, TaskType

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def chat_policy(template=None):
    tokenizer = byte_tokenizer(tags=())
    tokenizer.chat_template = template
    return Policy(tiny_model(), tokenizer)


@pytest.fixture(scope="module")
def policies():
    found = {"base": chat_policy(), "chat": chat_policy(TEMPLATE), "nano": nano_policy()}
    assert found["chat"].in_template and not found["base"].in_template
    return found


def prompt(style, name, policy):
    return make_prompt(style, BENCHMARKS[name], invented(name, 0).row, "QUESTION", policy)


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", ["base", "chat", "nano"])
def test_ids_are_those_of_the_text_that_is_hashed(style, name, kind, policies):
    style, _ = style_for(style, BENCHMARKS[name])
    found = prompt(style, name, policies[kind])
    assert policies[kind].tokenizer.decode(found.ids) == found.text
    assert found.text.endswith(found.opening)


def test_the_frame_is_the_same_plain_text_for_base_and_chat_models(policies):
    for name in BENCHMARKS:
        base, chat = (prompt("azr", name, policies[kind]) for kind in ("base", "chat"))
        assert base == chat and "User: QUESTION\nAssistant:" in base.text
        opens = BENCHMARKS[name].kind is not Kind.MATH  # the official math template does not
        assert base.opening == ("<think>" if opens else "")
        assert base.reply("x</think>") == base.opening + "x</think>"


@pytest.mark.parametrize(
    ("name", "type", "input"),
    [
        ("cruxeval_o", TaskType.DEDUCTION, "0, 2"),
        ("cruxeval_i", TaskType.ABDUCTION, "0, 2"),
        ("lcb_execution", TaskType.DEDUCTION, "a = 0, b = 2"),
    ],
)
def test_nano_is_asked_as_in_self_play(name, type, input, policies):
    row, nano = invented(name, 0).row, policies["nano"]
    task = Task(type, row["code"], (input,), ("2",))
    found = prompt("azr", name, nano)
    assert found.text == solve_prompt(task, Dialect.NANO) and found.ids == nano.encode(found.text)
    assert prompt("azr", "aime24", nano).text == "QUESTION"


def test_an_instruction_is_what_the_policy_itself_would_encode(policies):
    for policy in policies.values():
        crux = prompt("instruct", "cruxeval_o", policy)
        assert crux.ids == policy.encode(f"QUESTION\n\n{FRAME}")
        assert "\\boxed{}" in prompt("instruct", "math500", policy).text
        assert prompt("instruct", "lcb_generation", policy).ids == policy.encode("QUESTION")


def test_the_official_prompts_hide_what_is_asked_and_show_the_rest(policies):
    row = invented("cruxeval_o", 0).row | {"input": "31, 2", "output": "33"}
    lcb = invented("lcb_execution", 0).row | {"input": "add(a = 31, b = 2)", "output": "33"}
    for name, of, shown, hidden in (
        ("cruxeval_o", row, "assert f(31, 2) == ??", "33"),
        ("cruxeval_i", row, "assert f(??) == 33", "31"),
        ("lcb_execution", lcb, "assert add(a = 31, b = 2) == ??", "33"),
    ):
        found = make_prompt("official", BENCHMARKS[name], of, "", policies["base"])
        assert f"{of['code']}\n{shown}\n[/PYTHON]\n[THOUGHT]\n" in found.text
        assert hidden not in found.text.replace(shown, "")
        more = "so.\n[/THOUGHT]\n[ANSWER]\nx\n[/ANSWER]\n\n[PYTHON] [ANSWER]y[/ANSWER]"
        assert found.reply(more).endswith("[ANSWER]\nx\n[/ANSWER]")


def test_code_is_asked_for_with_an_open_block_that_ends_where_it_closes(policies):
    for policy in (policies["base"], policies["chat"]):
        found = prompt("official", "humaneval_plus", policy)
        assert invented("humaneval_plus", 0).row["prompt"].strip() in found.text
        assert found.text.endswith("```python\n")
        reply = found.reply("x = 1\n```\nTests:\n```python\ny = 2\n```")
        assert reply.endswith("```python\nx = 1\n```")


def test_styles_that_a_benchmark_lacks_are_replaced_with_a_sentence():
    for name, benchmark in BENCHMARKS.items():
        style, note = style_for("official", benchmark)
        lacks = benchmark.kind in (Kind.MATH, Kind.CONTEST)
        assert (style, bool(note)) == (("azr", True) if lacks else ("official", False)), name
        assert style_for("instruct", benchmark) == ("instruct", "")
    with pytest.raises(ValueError, match="no prompt style 'best': use azr, official, instruct"):
        make_prompt("best", BENCHMARKS["aime24"], {}, "", chat_policy())


def test_the_worked_examples_are_true():
    def example(text):
        code = text.partition("[PYTHON]\n")[2].partition("\nassert")[0]
        claim = text.partition("[ANSWER]\nassert f(")[2].partition("\n[/ANSWER]")[0]
        given, _, output = claim.partition(") == ")
        return Job(program=code, inputs=[given]), output

    jobs, outputs = zip(*map(example, (styles.OUTPUT, styles.INPUT)), strict=True)
    with Executor(workers=1) as executor:
        results = executor.run(jobs)
    assert [result.outputs[0] for result in results] == list(outputs)


def test_a_reply_without_a_stop_is_whole():
    assert Prompt("", [], "<think>").reply("a</think>b") == "<think>a</think>b"
    assert Prompt("", [], "", "[/ANSWER]").reply("cut") == "cut"
