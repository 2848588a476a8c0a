"""Prompts of real families: chat templates, base models, thoughts, stop tokens."""

import pytest
from families import CHAT, FAMILIES, family_policy
from test_policy import EOS

from azr_mini.prompts import (
    Dialect,
    Proposal,
    parse_answer,
    parse_proposal,
    propose_prompt,
    shown_programs,
    solve_prompt,
)
from azr_mini.sampler import Sampler
from azr_mini.tasks import Task, TaskType, Triple

PROGRAM = "def f(a):\n    return {'ü': a}  # </s> <b>"
REFERENCES = [Triple(PROGRAM, "3", "{'ü': 3}")]
INPUTS, OUTPUTS = ("3", "4"), ("{'ü': 3}", "{'ü': 4}")
THOUGHT = "<think>\nFirst 3, then 4.\n</think>\n\n"


def exchanges():
    """(prompt, completion, what is read from it) of all six kinds, in the chat dialect."""
    for type in TaskType:
        prompt = propose_prompt(type, REFERENCES, Dialect.CHAT, num_inputs=2)
        blocks = [f"```python\n{PROGRAM}\n```", "```input\n5\n```"]
        if type is TaskType.INDUCTION:
            blocks = ["```input\n5\n```", "```input\n6\n```", "```message\nHi\n```"]
        found = (
            Proposal(type, PROGRAM, ("5", "6"), "Hi")
            if type is TaskType.INDUCTION
            else Proposal(type, PROGRAM, ("5",))
        )
        answer = "<answer>\n" + "\n".join(blocks) + "\n</answer>"
        yield (
            prompt,
            answer,
            found,
            lambda text, type=type: parse_proposal(type, text, Dialect.CHAT, PROGRAM, 2),
        )
        count = 2 if type is TaskType.INDUCTION else 1
        task = Task(type, PROGRAM, INPUTS[:count], OUTPUTS[:count], "Hi", num_visible=count - 1)
        name = {"deduction": "output", "abduction": "input", "induction": "python"}[type.value]
        answer = f"<answer>\n```{name}\n42\n```\n</answer>"
        prompt = solve_prompt(task, Dialect.CHAT)
        yield prompt, answer, "42", lambda text, type=type: parse_answer(type, text, Dialect.CHAT)


@pytest.mark.parametrize("thought", ["", THOUGHT], ids=["at once", "thinking"])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_chat_dialect_round_trips(name, thought):
    policy = family_policy(name)
    assert policy.dialect is Dialect.CHAT
    for prompt, answer, found, read in exchanges():
        ids = policy.encode(prompt)
        text = policy.tokenizer.decode(ids, skip_special_tokens=False)
        assert text.count(prompt) == 1
        assert shown_programs(text) == shown_programs(prompt)
        for stop in policy.stop_ids:
            said = [*policy.tokenizer.encode(thought + answer, add_special_tokens=False), stop]
            assert policy.decode(said) == thought + answer
            assert read(policy.decode(said)) == found


@pytest.mark.parametrize("name", CHAT)
def test_a_chat_model_reads_its_template(name):
    policy = family_policy(name)
    assert policy.in_template
    text = policy.tokenizer.decode(policy.encode("What is 1?"))
    assert "User:" not in text and text.rstrip().endswith(
        "<|end_header_id|>" if name.startswith("Llama") else "<|im_start|>assistant"
    )


@pytest.mark.parametrize("name", ["Qwen2.5", "Llama-3.1"])
def test_a_base_model_reads_plain_text_even_if_it_ships_a_template(name):
    policy = family_policy(name)
    assert not policy.in_template
    text = policy.tokenizer.decode(policy.encode("What is 1?"))
    assert "<|im_start|>" not in text and text.endswith("User: What is 1?\n\nAssistant:")


def test_the_switch_overrules_what_was_found():
    base, chat = family_policy("Qwen2.5"), family_policy("Qwen3")
    base.speak("chat")
    chat.speak("plain")
    assert "<|im_start|>" in base.tokenizer.decode(base.encode("x"))
    assert "<|im_start|>" not in chat.tokenizer.decode(chat.encode("x"))
    chat.speak("nano")
    assert chat.dialect is Dialect.NANO and chat.tokenizer.decode(chat.encode("x")) == "x"
    untouched = family_policy("Qwen3")
    untouched.speak("auto")
    assert untouched.in_template and untouched.dialect is Dialect.CHAT
    with pytest.raises(ValueError, match="tokenizer of Llama-3.1 has no chat template: use") as e:
        family_policy("Llama-3.1").speak("chat")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["Qwen3", "Qwen3-Thinking"])
def test_the_completion_opens_its_own_thought(name):
    """Neither an empty thought nor an open one stands in the prompt, so that both are learned."""
    policy = family_policy(name)
    text = policy.tokenizer.decode(policy.encode("Think of <think> and </think>."))
    assert text.endswith("<|im_start|>assistant\n")


def test_a_prompt_is_the_same_on_every_day_and_begins_once():
    policy = family_policy("Llama-3.1-Instruct")
    ids = policy.encode("x")
    assert "Today Date: 26 Jul 2024" in policy.tokenizer.decode(ids)
    assert ids.count(policy.tokenizer.bos_token_id) == 1 and ids[0] == policy.tokenizer.bos_token_id


def test_padding_and_the_ends_of_a_completion_are_the_familys():
    llama, qwen = family_policy("Llama-3.1-Instruct"), family_policy("Qwen2.5-Coder-Instruct")
    number = llama.tokenizer.convert_tokens_to_ids
    assert set(llama.stop_ids) == {*map(number, ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"))}
    assert llama.pad_id == llama.eos_id == number("<|eot_id|>")
    number = qwen.tokenizer.convert_tokens_to_ids
    assert set(qwen.stop_ids) == {number("<|im_end|>"), number("<|endoftext|>")}
    assert (qwen.eos_id, qwen.pad_id) == (number("<|im_end|>"), number("<|endoftext|>"))
    assert family_policy("Qwen2.5").stop_ids == (number("<|endoftext|>"),)


def test_the_sampler_stops_at_each_of_several_ends():
    policy = family_policy("Llama-3.1-Instruct", eos_bias=12.0)  # of the id EOS
    policy.stop_ids = tuple(sorted({*policy.stop_ids, EOS}))
    assert policy.eos_id != EOS
    rows = Sampler(policy).generate([policy.encode("x")], seeds=[0], num_completions=8,
                                    max_new_tokens=200)  # fmt: skip
    ended = [row for row in rows[0] if not row.truncated]
    assert ended and all(row.ids[-1] in policy.stop_ids for row in ended)
    assert any(row.ids[-1] == EOS for row in ended)
    assert not any(stop in row.ids[:-1] for row in ended for stop in policy.stop_ids)
