import ast
import inspect
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scripted import ScriptedSampler, answer, is_proposal, kind
from tiny import tiny_policy

from azr_mini import train as train_module
from azr_mini.buffer import TripleBuffer
from azr_mini.config import Config
from azr_mini.resources import data_path
from azr_mini.runs import Run
from azr_mini.sampler import Sampler
from azr_mini.sandbox import Executor
from azr_mini.tasks import Role, Rollout, TaskType, load_seed_tasks
from azr_mini.train import (
    TrainState,
    frozen_copy,
    shuffle_within,
    train,
    with_advantages,
)
from azr_mini.trr import task_relative_advantages

torch.set_num_threads(1)
DEDUCTION, ABDUCTION, INDUCTION = TaskType.DEDUCTION, TaskType.ABDUCTION, TaskType.INDUCTION
PROPOSE, SOLVE = Role.PROPOSE, Role.SOLVE
CONFIG = Config(
    batch_size=2, num_attempts=4, num_references=1, num_steps=3, heldout_path="", threads=1
)
SMALL = replace(CONFIG, max_new_tokens=12, learning_rate=1e-3)


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


def new_state(policy=None, learning_rate=1e-3):
    policy = policy or tiny_policy()
    buffer = TripleBuffer()
    for task in load_seed_tasks(data_path("seed_triples.json")):
        buffer.add(task)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=learning_rate, weight_decay=0.0)
    return TrainState(policy, optimizer, buffer, reference=frozen_copy(policy))


def weights_of(state):
    return torch.cat([p.detach().flatten() for p in state.policy.parameters()])


# ---- three steps, exactly

SOLVED = {"deduction": 1, "abduction": 0, "induction": 4}  # of four attempts at a new task


class Player:
    """Two proposals a type and step, the first valid; solves old tasks, and new ones by plan."""

    def __init__(self):
        self.sampler = ScriptedSampler(self.say, tiny_policy())
        self.proposals = 0

    @property
    def step(self):
        return (len(self.sampler.calls) - 1) // 2  # one call to propose, one to solve

    def say(self, prompt, row):
        return self.propose(prompt) if is_proposal(prompt) else self.solve(prompt, row)

    def propose(self, prompt):
        first = self.proposals % 2 == 0
        self.proposals += 1
        match kind(prompt), first:
            case "deduction", False:
                return "<think>I give up</think>"
            case "induction", False:
                return answer("<input>1<message>too few inputs")
            case "induction", True:
                inputs = "".join(f"<input>{100 * self.step + i}" for i in range(6))
                return answer(inputs + "<message>guess")
            case _:  # the second abduction proposal repeats the first
                return answer(f"<program>def f(a):\n    return a + {100 + self.step}<input>1")

    def solve(self, prompt, row):
        asked = kind(prompt)
        text = prompt.partition(f"<{asked}>")[2]
        new, right = self.read(asked, text)
        return answer(right if not new or row < SOLVED[asked] else "[]")

    def read(self, asked, text):
        """Whether a task is of this step, and its right answer."""
        if asked == "induction":
            first, output = re.match(r"<input>(.*?)<output>(.*?)<", text).groups()
            added = int(output) - int(first) if first.isdigit() else 0
            new = first.isdigit() and int(first) == 100 * self.step and "guess" in text
            return new, f"def f(x):\n    return x + {added}" if added else "def f(x):\n    return x"
        program, given = re.split("<input>|<output>", text)
        if "+" not in program:
            return False, given
        added = int(program.split("+ ")[1])
        sign = 1 if asked == "deduction" else -1
        return added == 100 + self.step, str(int(given) + sign * added)


def oracle(rewards):
    """Task-relative advantages of one group, from the paper's equation 8."""
    r = np.array(rewards, dtype=np.float64)
    return np.zeros(len(r)) if r.std() < 1e-6 else (r - r.mean()) / (r.std() + 1e-6)


EXPECTED_REWARDS = {
    (PROPOSE, DEDUCTION): [0.75, -1],  # solved once in four: 1 - 1/4; malformed
    (PROPOSE, ABDUCTION): [0, -1],  # nobody solved it; a duplicate
    (PROPOSE, INDUCTION): [0, -1],  # everybody solved it; malformed
    (SOLVE, DEDUCTION): [1, -0.5, -0.5, -0.5, 1, 1, 1, 1],
    (SOLVE, ABDUCTION): [-0.5, -0.5, -0.5, -0.5, 1, 1, 1, 1],
    (SOLVE, INDUCTION): [1, 1, 1, 1, 1, 1, 1, 1],
}


def test_three_scripted_steps_are_exact(executor):
    player, state = Player(), new_state()
    steps = list(train(CONFIG, state, executor, sampler=player.sampler))
    assert [step.step for step in steps] == [0, 1, 2] and state.step == 3
    assert [len(call[0]) for call in player.sampler.calls] == [6, 6] * 3  # one call a phase
    assert player.sampler.refreshed == 3
    for number, step in enumerate(steps):
        assert len(step.rollouts) == 3 * (2 + 2 * 4)
        for group, expected in EXPECTED_REWARDS.items():
            mine = [r for r in step.rollouts if r.group == group]
            if group == (SOLVE, INDUCTION):  # a malformed answer is "[]", which is no program
                assert {r.verdict for r in mine} == {"correct"}
            assert [r.reward for r in mine] == expected, group
            assert np.allclose([r.advantage for r in mine], oracle(expected), atol=1e-6), group
        names = {r.verdict for r in step.rollouts if r.role is PROPOSE}
        assert names == {"valid", "parse", "duplicate"}
        metrics = step.metrics
        assert metrics["valid_rate/deduction"] == metrics["rejected/deduction/parse"] == 0.5
        assert metrics["duplicate_rate/abduction"] == metrics["rejected/abduction/duplicate"] == 0.5
        assert metrics["reward/propose/deduction"] == -0.125
        assert metrics["reward/solve/deduction"] == pytest.approx(3.5 / 8)
        assert metrics["solve_rate/deduction"] == 5 / 8 and metrics["solve_rate/induction"] == 1
        assert metrics["learnable_frac"] == pytest.approx(1 / 3)
        assert metrics["buffer/size/abduction"] == number + 2
        assert metrics["clip_fraction"] == metrics["update_skipped"] == 0
    assert steps[0].metrics["kl"] == 0 < steps[2].metrics["kl"]


def test_every_valid_task_joins_the_buffer_whatever_it_earned(executor):  # definition 14
    player, state = Player(), new_state()
    list(train(CONFIG, state, executor, sampler=player.sampler))
    programs = [task.program for task in state.buffer if task.type is ABDUCTION]
    assert [p.split("return ")[1] for p in programs] == ["a", "a + 100", "a + 101", "a + 102"]


def test_proposers_see_only_what_was_there_before_the_step(executor):
    player, state = Player(), new_state()
    list(train(replace(CONFIG, num_references=6), state, executor, sampler=player.sampler))
    shown = [len(re.findall("<program>", call[0][0])) for call in player.sampler.calls[::2]]
    assert shown == [1, 2, 3]


def test_fresh_trains_on_one_attempt_a_task(executor):  # definition 12
    config = replace(CONFIG, solve_batch="fresh", num_steps=1)
    sampler = ScriptedSampler(Player().say, tiny_policy())
    (step,) = train(config, new_state(), executor, sampler=sampler)
    assert [call[2] for call in sampler.calls] == [1, 4, 1]
    assert sum(r.role is SOLVE for r in step.rollouts) == 3 * 2


def test_the_paper_does_not_reject_duplicates(executor):  # definition 14
    player, state = Player(), new_state()
    config = replace(CONFIG, duplicates="paper", num_steps=1)
    (step,) = train(config, state, executor, sampler=player.sampler)
    mine = [r for r in step.rollouts if r.group == (PROPOSE, ABDUCTION)]
    assert [(r.verdict, r.reward) for r in mine] == [("valid", 0), ("valid", 0)]
    assert step.metrics["duplicate_rate/abduction"] == 0.5
    assert state.buffer.size(ABDUCTION) == 2


@pytest.mark.parametrize("differs", [False, True])
def test_a_sampler_that_differs_is_corrected_and_no_other(executor, differs):  # definition 17
    """Scripted log-probabilities are far from the learner's, so that weights would show."""
    config, state, player = replace(CONFIG, num_steps=1), new_state(), Player()
    player.sampler.differs = differs
    (step,) = train(config, state, executor, sampler=player.sampler)
    assert step.metrics["logp_gap"] > 1
    assert ("importance_capped" in step.metrics) is differs
    same = Player()
    (twin,) = train(config, plain := new_state(), executor, sampler=same.sampler)
    weights = [list(s.policy.parameters()) for s in (state, plain)]
    equal = all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    assert equal is not differs


# ---- what a reader can change


def test_a_readers_own_functions_take_effect(executor):
    player, state = Player(), new_state()
    config = replace(CONFIG, num_steps=1, advantage="global", proposer_reward="tent")
    (step,) = train(
        config,
        state,
        executor,
        sampler=player.sampler,
        advantages=lambda rewards, groups: rewards * 10,
        proposer_reward=lambda solve_rate: 0.125,
    )
    valid = [r for r in step.rollouts if r.verdict == "valid"]
    assert [r.reward for r in valid] == [0.125] * 3
    assert all(r.advantage == pytest.approx(10 * r.reward) for r in step.rollouts)


@pytest.mark.parametrize(
    "shape, reward", [("one_minus", 0.75), ("variance", 0.75), ("tent", 0.5), ("band", 1.0)]
)
def test_the_switch_names_the_shape_of_the_proposers_reward(executor, shape, reward):  # 9
    config = replace(CONFIG, num_steps=1, proposer_reward=shape)
    (step,) = train(config, new_state(), executor, sampler=Player().sampler)
    assert step.rollouts[0].reward == reward and step.rollouts[0].solve_rate == 0.25


@pytest.mark.parametrize("zero", [0.0, -0.5])
def test_the_switch_pays_for_tasks_nothing_is_learned_from(executor, zero):  # definition 8
    config = replace(CONFIG, num_steps=1, zero_learnability_reward=zero)
    (step,) = train(config, new_state(), executor, sampler=Player().sampler)
    valid = [r.reward for r in step.rollouts if r.verdict == "valid"]
    assert valid == [0.75, zero, zero]


def made_rollouts():
    """Two tasks with two attempts and one proposal in each type, with distinct rewards."""
    made = []
    for number, type in enumerate(TaskType):
        for row in range(5):
            role = PROPOSE if row == 4 else SOLVE
            ids = (7,) * (1 + row)
            reward = float((row * 3 + number) % 5) + 0.1 * row
            made.append(
                Rollout(role, type, "", "", (1,), ids, (0.0,) * len(ids), False, "", reward,
                        task_index=row // 2 if role is SOLVE else -1)
            )  # fmt: skip
    return made


@pytest.mark.parametrize(
    "kind, key",
    [
        ("task_relative", lambda r: r.group),
        ("role", lambda r: r.role),
        ("global", lambda r: 0),
        ("grpo", lambda r: (r.group, r.task_index)),
    ],
)
def test_the_switch_names_what_rewards_are_compared_with(kind, key):  # definition 16
    rollouts = made_rollouts()
    config = replace(CONFIG, advantage=kind)
    for rollout in with_advantages(rollouts, task_relative_advantages, config, 0):
        members = [r.reward for r in rollouts if key(r) == key(rollout)]
        place = members.index(rollout.reward)
        assert rollout.advantage == pytest.approx(oracle(members)[place], abs=1e-6)


def test_token_whitening_lets_long_answers_weigh_more():  # definition 16
    config = replace(CONFIG, advantage="token_whitened")
    rollouts = made_rollouts()
    for rollout in with_advantages(rollouts, task_relative_advantages, config, 0):
        members = [r for r in rollouts if r.group == rollout.group]
        tokens = np.repeat([r.reward for r in members], [len(r.completion_ids) for r in members])
        expected = 0.0
        if tokens.std() >= 1e-6:
            expected = (rollout.reward - tokens.mean()) / (tokens.std() + 1e-6)
        assert rollout.advantage == pytest.approx(expected, abs=1e-5)


def test_shuffled_rewards_stay_in_their_group_and_are_recorded_true():
    config = replace(CONFIG, shuffle_rewards=True)
    rollouts = made_rollouts() * 4
    shuffled = with_advantages(rollouts, task_relative_advantages, config, 0)
    plain = with_advantages(rollouts, task_relative_advantages, CONFIG, 0)
    assert [r.reward for r in shuffled] == [r.reward for r in rollouts]
    assert [r.advantage for r in shuffled] != [r.advantage for r in plain]
    for group in {r.group for r in rollouts}:
        mine = [sorted(r.advantage for r in rs if r.group == group) for rs in (shuffled, plain)]
        assert mine[0] == pytest.approx(mine[1])


def test_a_shuffle_depends_on_seed_and_step_alone():
    groups = [(SOLVE, DEDUCTION)] * 20
    rewards = list(map(float, range(20)))
    once = shuffle_within(groups, rewards, 0, 1)
    assert once == shuffle_within(groups, rewards, 0, 1) != rewards
    assert once != shuffle_within(groups, rewards, 0, 2)
    assert once != shuffle_within(groups, rewards, 1, 1)
    assert rewards == list(map(float, range(20)))


def test_a_frozen_proposer_is_recorded_without_advantage(executor):
    config = replace(CONFIG, num_steps=1, train_proposer=False)
    (step,) = train(config, new_state(), executor, sampler=Player().sampler)
    proposals = [r for r in step.rollouts if r.role is PROPOSE]
    assert {r.advantage for r in proposals} == {0.0} and proposals[0].reward == 0.75
    assert any(r.advantage for r in step.rollouts if r.role is SOLVE)


# ---- a real policy and the real sampler


def by_position(rewards, groups):
    """Advantages that differ although a random model's answers all earn the same."""
    return torch.linspace(-1, 1, len(rewards))


def played(executor, config=SMALL, state=None):
    state = state or new_state()
    return list(train(config, state, executor, advantages=by_position)), state


def lasting(step):
    """The metrics that a clock or the machine's memory does not decide."""
    passing = ("time/", "tokens_per_second/", "memory/")
    return {k: v for k, v in step.metrics.items() if not k.startswith(passing)}


def test_the_same_seed_gives_the_same_run_bit_for_bit(executor):
    (first, one), (second, other) = played(executor), played(executor)
    assert torch.equal(weights_of(one), weights_of(other))
    assert not torch.equal(weights_of(one), weights_of(new_state()))
    for a, b in zip(first, second, strict=True):
        assert a.rollouts == b.rollouts and lasting(a) == lasting(b)
    other_seed, third = played(executor, replace(SMALL, seed=1))
    assert not torch.equal(weights_of(one), weights_of(third))
    assert other_seed[0].rollouts != first[0].rollouts


def test_a_proposer_that_yields_nothing_trains_from_step_zero(executor):  # definition 13
    steps, state = played(executor, replace(SMALL, num_steps=1))
    (step,) = steps
    assert {r.verdict for r in step.rollouts if r.role is PROPOSE} == {"parse"}
    assert sum(r.role is SOLVE for r in step.rollouts) == 3 * 2 * 4
    assert state.step == 1 and len(state.buffer) == 3
    assert all(type(value) in (int, float) for value in step.metrics.values())


def test_a_generator_that_is_dropped_can_be_continued(executor):
    whole, one = played(executor)
    assert not torch.equal(weights_of(one), weights_of(new_state()))
    other = new_state()
    first = next(train(SMALL, other, executor, advantages=by_position))
    rest = list(train(SMALL, other, executor, advantages=by_position))
    assert [s.step for s in [first, *rest]] == [0, 1, 2]
    assert torch.equal(weights_of(one), weights_of(other))
    assert [s.rollouts for s in [first, *rest]] == [s.rollouts for s in whole]


def test_a_checkpoint_continues_bit_for_bit(executor, tmp_path):
    tiny_policy().save(tmp_path / "model")
    config = replace(SMALL, model=str(tmp_path / "model"), dtype="float32")
    whole, one = played(executor, config, TrainState.create(config))
    run, state = Run.create(tmp_path / "run", config), TrainState.create(config)
    next(train(config, state, executor, advantages=by_position))
    run.checkpoint(state)
    again = TrainState.create(config, tmp_path / "run" / "checkpoint")
    assert again.step == 1
    rest, other = played(executor, config, again)
    assert torch.equal(weights_of(one), weights_of(other))
    assert [s.rollouts for s in rest] == [s.rollouts for s in whole[1:]]
    assert [lasting(s) for s in rest] == [lasting(s) for s in whole[1:]]  # kl: the same base


def test_an_interrupted_step_leaves_the_state_as_it_was(executor):
    class Interrupted(Sampler):
        def generate(self, prompt_ids, **kwargs):
            if kwargs.get("num_completions", 1) > 1:
                raise KeyboardInterrupt
            return super().generate(prompt_ids, **kwargs)

    state = new_state()
    before, size = weights_of(state), len(state.buffer)
    with pytest.raises(KeyboardInterrupt):
        next(train(SMALL, state, executor, sampler=Interrupted(state.policy)))
    assert torch.equal(weights_of(state), before)
    assert (state.step, len(state.buffer)) == (0, size)


def test_the_loop_rejects_what_is_in_the_heldout_file(executor, tmp_path):
    path = tmp_path / "heldout.jsonl"
    path.write_text(json.dumps({"program": "def f(b):\n    return b + 100"}) + "\n")
    config = replace(CONFIG, num_steps=1, heldout_path=str(path))
    (step,) = train(config, new_state(), executor, sampler=Player().sampler)
    verdicts = [r.verdict for r in step.rollouts if r.group == (PROPOSE, ABDUCTION)]
    assert verdicts == ["heldout", "heldout"]


def test_seed_tasks_are_made_before_step_zero(executor):  # definition 15
    player = Player()
    count = iter(range(100, 1000))

    def script(prompt, row):
        if kind(prompt) == "induction":
            return answer("".join(f"<input>{next(count)}" for _ in range(6)) + "<message>m")
        return answer(f"<program>def f(a):\n    return a + {next(count)}<input>1")

    player.sampler.script = script
    state = new_state()
    list(train(replace(CONFIG, num_steps=0, seed_tasks=4), state, executor, sampler=player.sampler))
    assert [state.buffer.size(type) for type in TaskType] == [4, 4, 4] and state.step == 0


# ---- the state


def test_a_new_state_holds_the_model_and_the_seeds(tmp_path):
    tiny_policy().save(tmp_path)
    state = TrainState.create(replace(SMALL, model=str(tmp_path), weight_decay=0.03))
    assert (state.step, len(state.buffer)) == (0, 3)
    assert torch.equal(weights_of(state), weights_of(new_state()))
    assert type(state.optimizer) is torch.optim.AdamW
    (group,) = state.optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (SMALL.learning_rate, 0.03)
    assert state.policy.dialect.value == "nano"
    plain = TrainState.create(replace(SMALL, model=str(tmp_path), dialect="plain"))
    assert plain.policy.dialect.value == "chat" and not plain.policy.in_template


def test_an_adapter_starts_the_same_and_trains_alone(tmp_path):
    tiny_policy().save(tmp_path)
    config = replace(SMALL, model=str(tmp_path), lora_rank=2)
    one, other = TrainState.create(config), TrainState.create(config)
    assert torch.equal(weights_of(one), weights_of(other)) and one.reference is None
    assert weights_of(one).numel() < weights_of(new_state()).numel()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"seed_path": "nowhere.json"}, "nowhere.json.*--seed-path"),
        ({"model": "no such model"}, "no such model"),
        ({"dtype": "int4"}, "int4"),
        ({"max_prompt_tokens": 5000}, "max_prompt_tokens is 5000.*1024 positions"),
        ({"dialect": "chat"}, "has no chat template: use --dialect plain"),
    ],
)
def test_what_cannot_be_loaded_is_one_clear_sentence(tmp_path, change, message):
    tiny_policy().save(tmp_path)
    config = replace(SMALL, **{"model": str(tmp_path), **change})
    with pytest.raises(ValueError, match=message) as caught:
        TrainState.create(config)
    assert "\n" not in str(caught.value)


# ---- the page


def test_the_loop_reads_on_one_page():
    source = inspect.getsource(train)
    body = ast.parse(source).body[0].body[1:]  # without the docstring
    assert 25 <= body[-1].end_lineno - body[0].lineno + 1 <= 45
    words = [source.index(f"# {word}") for word in ("PROPOSE", "VALIDATE", "SOLVE", "UPDATE")]
    assert words == sorted(words)
    assert "print(" not in inspect.getsource(train_module)
