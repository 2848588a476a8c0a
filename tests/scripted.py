"""A policy of bytes and a sampler that reads its completions from a script, for exact tests."""

from collections import namedtuple

from azr_mini.prompts import Dialect

Completion = namedtuple("Completion", "ids logprobs truncated")
EOS = 256


class BytePolicy:
    """One token for each byte of a prompt in the nano dialect."""

    dialect = Dialect.NANO
    eos_id = EOS

    def encode(self, prompt):
        return list(prompt.encode())

    def decode(self, ids):
        return bytes(i for i in ids if i < EOS).decode()


class ScriptedSampler:
    """Says `script(prompt, row)` for completion `row` of a prompt; None is a cut-off text."""

    differs = False

    def __init__(self, script, policy=None):
        self.policy, self.script, self.calls, self.refreshed = policy or BytePolicy(), script, [], 0

    def generate(self, prompt_ids, *, seeds, num_completions=1, **sampling):
        prompts = [self.policy.decode(ids) for ids in prompt_ids]
        self.calls.append((prompts, list(seeds), num_completions, sampling))
        return [
            [self.completion(self.script(prompt, row)) for row in range(num_completions)]
            for prompt in prompts
        ]

    def completion(self, text):
        if text is None:
            return Completion((60, 60), (-0.5, -0.5), True)
        ids = (*self.policy.encode(text), self.policy.eos_id)
        return Completion(ids, (-0.5,) * len(ids), False)

    def refresh(self):
        self.refreshed += 1


def answer(text, thought=""):
    """A well-formed completion."""
    return (f"<think>{thought}</think>" if thought else "") + f"<answer>{text}</answer>"


def is_proposal(prompt):
    """Whether a prompt asks for a task."""
    return prompt.startswith("<propose>")


def kind(prompt):
    """The task type a prompt is about, as text."""
    return prompt.split("<")[2].rstrip(">").split(">")[0]
