import random
from types import SimpleNamespace

import pytest
from scripted import BytePolicy, ScriptedSampler, answer, is_proposal, kind

from azr_mini.buffer import TripleBuffer
from azr_mini.config import Config
from azr_mini.programs import program_key
from azr_mini.resources import data_path
from azr_mini.sandbox import Executor
from azr_mini.selfplay import (
    attempt,
    derive_seed,
    fill_batch,
    propose,
    reward_proposals,
    seed_buffer,
    solve,
    solve_rates,
    validate_proposals,
)
from azr_mini.tasks import Role, Task, TaskType, load_seed_tasks

DEDUCTION, ABDUCTION, INDUCTION = TaskType.DEDUCTION, TaskType.ABDUCTION, TaskType.INDUCTION
CONFIG = Config(batch_size=4, num_attempts=2, num_references=2)
IDENTITY = "def f(a):\n    return a"
HELLO = "<input>'Hello World'"


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


def seeds():
    buffer = TripleBuffer()
    for task in load_seed_tasks(data_path("seed_triples.json")):
        buffer.add(task)
    return buffer


def numbers(type, *values):
    return [Task(type, f"def f(a):\n    return a + {n}", ("1",), (str(1 + n),)) for n in values]


def program(number):
    return f"<program>def f(a):\n    return a + {number}<input>1"


INDUCE = "".join(f"<input>{n}" for n in range(6)) + "<message>adds"


def counting_proposer():
    """A proposer whose every program is new."""
    count = iter(range(1000))

    def script(prompt, row):
        return answer(INDUCE if kind(prompt) == "induction" else program(next(count)))

    return script


def proposed(script, executor, config=CONFIG, buffer=None, step=0, heldout=frozenset()):
    buffer = buffer or seeds()
    sampler = ScriptedSampler(script)
    drafts = propose(sampler, buffer, config, step)
    return validate_proposals(drafts, sampler.policy, buffer, executor, config, heldout)


# ---- randomness


def test_a_seed_depends_on_every_argument_and_nothing_else():
    base = (0, 3, Role.SOLVE, DEDUCTION, 5, "sample")
    others = [
        (1, 3, Role.SOLVE, DEDUCTION, 5, "sample"),
        (0, 4, Role.SOLVE, DEDUCTION, 5, "sample"),
        (0, 3, Role.PROPOSE, DEDUCTION, 5, "sample"),
        (0, 3, Role.SOLVE, ABDUCTION, 5, "sample"),
        (0, 3, Role.SOLVE, DEDUCTION, 6, "sample"),
        (0, 3, Role.SOLVE, DEDUCTION, 5, "estimate"),
        (0, 35, Role.SOLVE, DEDUCTION, 5, "sample"),
    ]
    assert len({derive_seed(*arguments) for arguments in [base, *others]}) == 8
    assert derive_seed(*base) == derive_seed(*base) == 5851406578614914904
    assert all(0 <= derive_seed(*arguments) < 2**63 for arguments in others)


def test_a_row_does_not_depend_on_the_rows_beside_it():
    buffer = seeds()
    for task in numbers(DEDUCTION, *range(20)) + numbers(ABDUCTION, *range(20)):
        buffer.add(task)
    small, large = ScriptedSampler(lambda p, r: ""), ScriptedSampler(lambda p, r: "")
    propose(small, buffer, Config(batch_size=2), 7)
    propose(large, buffer, Config(batch_size=5), 7)
    few, many = (list(zip(*s.calls[0][:2], strict=True)) for s in (small, large))
    assert few == [many[i] for i in (0, 1, 5, 6, 10, 11)]


# ---- propose


def test_proposals_are_one_batched_generation():
    sampler = ScriptedSampler(lambda prompt, row: "")
    drafts = propose(sampler, seeds(), CONFIG, 0)
    ((prompts, _, num_completions, sampling),) = sampler.calls
    assert (len(prompts), num_completions) == (12, 1)
    assert sampling == {"max_new_tokens": 256, "temperature": 1.0, "top_p": 1.0}
    assert [kind(p) for p in prompts] == ["deduction"] * 4 + ["abduction"] * 4 + ["induction"] * 4
    assert all(draft.proposal is None for draft in drafts)


@pytest.mark.parametrize("shown", [1, 2, 3, 6])
def test_a_proposer_sees_k_different_references(shown):  # definition 6
    buffer = seeds()
    for task in numbers(DEDUCTION, *range(9)):
        buffer.add(task)
    sampler = ScriptedSampler(lambda prompt, row: "")
    propose(sampler, buffer, Config(num_references=shown), 0)
    for prompt in sampler.calls[0][0][:16]:
        programs = prompt.split("<program>")[1:]
        assert len(programs) == len(set(programs)) == shown


def test_rows_and_steps_see_different_references():
    buffer = seeds()
    for task in numbers(DEDUCTION, *range(50)):
        buffer.add(task)
    sampler = ScriptedSampler(lambda prompt, row: "")
    for step in range(2):
        propose(sampler, buffer, CONFIG, step)
    shown = [prompt for call in sampler.calls for prompt in call[0][:4]]
    assert len(set(shown)) == 8


def test_induction_starts_from_a_program_of_the_other_two_types(executor):
    buffer = TripleBuffer()
    for task in numbers(DEDUCTION, 1) + numbers(ABDUCTION, 2) + numbers(INDUCTION):
        buffer.add(task)
    rollouts = proposed(lambda p, r: answer(INDUCE), executor, Config(batch_size=20), buffer)
    mine = [r for r in rollouts if r.type is INDUCTION]
    assert {r.task.program[-1] for r in mine if r.task} == {"1", "2"}
    assert all(r.prompt.endswith(r.task.program) for r in mine if r.task)


def test_long_references_are_left_out_until_the_prompt_fits():
    buffer = TripleBuffer()
    for n in range(6):
        for type in (DEDUCTION, ABDUCTION):
            buffer.add(Task(type, IDENTITY, (f"'{n}{'x' * 100}'",), (f"'{n}{'x' * 100}'",)))
    sampler = ScriptedSampler(lambda prompt, row: "")
    propose(sampler, buffer, Config(num_references=6, max_prompt_tokens=600), 0)
    for prompt in sampler.calls[0][0][:32]:
        assert prompt.count("<program>") == 2 and len(prompt) <= 600


def test_a_valid_proposal_becomes_a_task_with_pythons_output(executor):
    first = proposed(counting_proposer(), executor)[0]
    assert (first.verdict, first.role, first.task.outputs) == ("valid", Role.PROPOSE, ("1",))
    assert first.completion_ids[-1] == 256 and not first.truncated and first.logprobs[0] == -0.5


# ---- rejections


def test_copying_the_reference_earns_nothing(executor):  # definition 14
    def copy(prompt, row):
        if kind(prompt) == "induction":
            return answer("<input>1")
        return answer(f"<program>{IDENTITY}{HELLO}")

    rollouts = proposed(copy, executor)
    copies = [r for r in rollouts if r.type is not INDUCTION]
    assert {(r.verdict, r.reward, r.task) for r in copies} == {("duplicate", -1.0, None)}


def test_repeating_an_earlier_proposal_of_the_step_is_rejected(executor):  # definition 14
    rollouts = proposed(lambda p, r: answer(program(5)), executor)
    for type in (DEDUCTION, ABDUCTION):
        verdicts = [r.verdict for r in rollouts if r.type is type]
        assert verdicts == ["valid", "duplicate", "duplicate", "duplicate"]


def test_layout_and_comments_do_not_make_a_copy_new(executor):  # definition 14
    texts = iter(["a + 5<input>1", "a+5 # mine<input>1", "(a + 5)<input> 1 ", "a + 5<input>2"])

    def script(prompt, row):
        ours = kind(prompt) == "deduction"
        return answer(f"<program>def f(a):\n    return {next(texts)}") if ours else ""

    verdicts = [r.verdict for r in proposed(script, executor)[:4]]
    assert verdicts == ["valid", "duplicate", "duplicate", "valid"]


def test_the_paper_pays_a_duplicate_and_keeps_one(executor):  # definition 14
    config = Config(batch_size=4, duplicates="paper")
    buffer = seeds()
    rollouts = proposed(lambda p, r: answer(program(5)), executor, config, buffer)[:4]
    assert [r.verdict for r in rollouts] == ["valid"] * 4
    assert [r.detail for r in rollouts] == [""] + ["duplicate"] * 3
    assert sum(buffer.add(r.task) for r in rollouts) == 1


def test_a_heldout_program_is_rejected_under_any_names(executor):
    heldout = frozenset({program_key("def f(b):\n    return b + 5")})
    rollouts = proposed(lambda p, r: answer(program(5)), executor, heldout=heldout)
    assert {r.verdict for r in rollouts if r.type is DEDUCTION} == {"heldout"}
    assert {r.verdict for r in proposed(lambda p, r: answer(program(6)), executor, heldout=heldout)
            if r.type is DEDUCTION} == {"valid", "duplicate"}  # fmt: skip


def test_a_task_whose_prompt_would_not_fit_is_rejected(executor):
    config = Config(batch_size=1, max_prompt_tokens=100)
    long = f"<program>{IDENTITY}<input>'{'x' * 100}'"
    rollouts = proposed(lambda p, r: answer(long), executor, config)
    assert [r.verdict for r in rollouts[:2]] == ["too_long", "too_long"]


@pytest.mark.parametrize(
    "text, verdict",
    [
        (None, "parse"),
        ("", "parse"),
        ("<answer>", "parse"),
        (answer("<program>def f(a):<input>1"), "syntax"),
        (answer(f"<program>{IDENTITY}<input>x"), "input"),
        (answer("<program>def f(a):\n    return 1 / 0<input>1"), "error"),
    ],
)
def test_invalid_proposals_are_named_and_punished(executor, text, verdict):  # definition 11
    for switch, reward in (("paper", -1.0), ("none", 0.0)):
        config = Config(batch_size=1, format_reward=switch)
        rollout = proposed(lambda p, r: text, executor, config)[0]
        assert (rollout.verdict, rollout.reward, rollout.task) == (verdict, reward, None)


# ---- fill


def test_a_proposer_that_yields_nothing_still_gives_a_full_batch():  # definition 13
    tasks = fill_batch(seeds(), [], Config(batch_size=5), 0)
    assert [t.type for t in tasks] == [DEDUCTION] * 5 + [ABDUCTION] * 5 + [INDUCTION] * 5


def test_new_tasks_come_first_in_their_type():  # definition 13
    new = numbers(ABDUCTION, 1, 2)
    tasks = fill_batch(seeds(), new, Config(batch_size=3), 0)
    assert tasks[3:5] == new and tasks[5].program == IDENTITY


# ---- solve


def solver(right):
    """A solver that is right on its first `right` attempts at each identity task."""

    def script(prompt, row):
        if row >= right:
            return answer("'wrong'")
        return answer(IDENTITY if kind(prompt) == "induction" else "'Hello World'")

    return script


def test_reuse_trains_on_every_attempt_at_every_task(executor):  # definition 12
    sampler = ScriptedSampler(solver(1))
    tasks = fill_batch(seeds(), [], CONFIG, 0)
    attempts, rates = solve(sampler, tasks, [], executor, CONFIG, 0)
    assert len(attempts) == 3 * 4 * 2 and len(sampler.calls) == 1
    assert rates == {(type, i): 0.5 for type in TaskType for i in range(4)}


def test_fresh_estimates_with_n_attempts_and_trains_on_one(executor):  # definition 12
    config = Config(batch_size=4, num_attempts=8, solve_batch="fresh")
    sampler = ScriptedSampler(solver(2))
    new = numbers(DEDUCTION, 1, 2)
    tasks = fill_batch(seeds(), new, config, 0)
    attempts, rates = solve(sampler, tasks, new, executor, config, 0)
    assert len(attempts) == 3 * 4 and [call[2] for call in sampler.calls] == [8, 1]
    assert [len(call[0]) for call in sampler.calls] == [2, 12]
    assert set(rates) == {(DEDUCTION, 0), (DEDUCTION, 1)}
    estimate, train = sampler.calls[0][1], sampler.calls[1][1]
    assert not set(estimate) & set(train)  # other random numbers than the attempts that train


def test_fresh_with_nothing_new_estimates_nothing(executor):  # definition 12
    config = Config(batch_size=2, solve_batch="fresh")
    sampler = ScriptedSampler(solver(1))
    attempts, rates = solve(sampler, fill_batch(seeds(), [], config, 0), [], executor, config, 0)
    assert len(attempts) == 6 and rates == {} and len(sampler.calls) == 1


def test_attempts_are_sampled_at_the_temperature_asked_for(executor):  # definition 12
    sampler = ScriptedSampler(solver(1))
    attempt(sampler, fill_batch(seeds(), [], CONFIG, 0), 8, executor, CONFIG, 0)
    _, used, num_completions, sampling = sampler.calls[0]
    assert (num_completions, sampling["temperature"], sampling["top_p"]) == (8, 1.0, 1.0)
    assert len(set(used)) == len(used)


@pytest.mark.parametrize(
    "text, verdict, detail, reward",
    [
        (answer("9", "a * a"), "correct", "", 1.0),
        (answer("8"), "wrong", "", -0.5),
        (answer("nine"), "format", "", -1.0),
        ("<answer>9", "format", "", -1.0),
        (None, "format", "", -1.0),
    ],
)
def test_attempts_carry_verdict_and_reward(executor, text, verdict, detail, reward):  # 10, 11
    task = Task(DEDUCTION, "def f(a):\n    return a * a", ("3",), ("9",))
    (rollout,) = attempt(ScriptedSampler(lambda p, r: text), [task], 1, executor, CONFIG, 0)
    assert (rollout.verdict, rollout.detail, rollout.reward) == (verdict, detail, reward)
    assert rollout.task is task and rollout.thinks == ("think" in (text or ""))
    assert rollout.truncated is (text is None)


def test_a_failed_run_is_wrong_and_says_how(executor):
    task = Task(ABDUCTION, "def f(a):\n    return a * a", ("3",), ("9",))
    script = ScriptedSampler(lambda p, r: answer("'x'"))
    (rollout,) = attempt(script, [task], 1, executor, CONFIG, 0)
    assert (rollout.verdict, rollout.detail, rollout.reward) == ("wrong", "error", -0.5)


def test_without_format_rewards_only_a_right_answer_counts(executor):  # definition 11
    config = Config(format_reward="none")
    task = Task(DEDUCTION, IDENTITY, ("3",), ("3",))
    texts = [answer("3"), answer("4"), answer("x"), None]
    script = ScriptedSampler(lambda p, r: texts[r])
    rewards = [r.reward for r in attempt(script, [task], 4, executor, config, 0)]
    assert rewards == [1, 0, 0, 0]


def test_attempts_at_equal_tasks_keep_apart(executor):
    tasks = numbers(DEDUCTION, 1, 1) + numbers(ABDUCTION, 1)
    attempts = attempt(ScriptedSampler(solver(0)), tasks, 2, executor, CONFIG, 0)
    assert [r.task_index for r in attempts] == [0, 0, 1, 1, 0, 0]
    assert [r.type for r in attempts] == [DEDUCTION] * 4 + [ABDUCTION] * 2
    assert len(solve_rates(attempts)) == 3


# ---- what proposals earn


def test_each_proposal_earns_the_solve_rate_of_its_own_task(executor):
    count = iter(range(100))

    def script(prompt, row):
        if is_proposal(prompt):  # every second proposal is invalid
            number = next(count)
            return answer(program(number)) if number % 2 else ""
        number = int(prompt.split("a + ")[1].split("<")[0]) if "a + " in prompt else 0
        return answer("999") if row >= number // 2 % 4 else answer(str(1 + number))

    config = Config(batch_size=6, num_attempts=4, num_references=1)
    sampler, buffer = ScriptedSampler(script), seeds()
    drafts = propose(sampler, buffer, config, 0)
    proposals = validate_proposals(drafts, sampler.policy, buffer, executor, config)
    new = [r.task for r in proposals if r.task]
    attempts, rates = solve(sampler, fill_batch(buffer, new, config, 0), new, executor, config, 0)
    rewarded = reward_proposals(proposals, rates, lambda p: 10 + p, config)
    valid = [r for r in rewarded if r.type is DEDUCTION and r.task]
    assert len(valid) == 3 and {r.verdict for r in rewarded} == {"valid", "parse"}
    for rollout in valid:
        mine = [a.verdict == "correct" for a in attempts if a.task is rollout.task]
        assert len(mine) == 4 and rollout.solve_rate == sum(mine) / 4
        assert rollout.reward == 10 + rollout.solve_rate
    assert all(r.reward == -1 and r.solve_rate is None for r in rewarded if not r.task)


@pytest.mark.parametrize("zero", [0.0, -0.5])
def test_the_switch_pays_tasks_that_all_or_none_solve(executor, zero):  # definition 8
    config = Config(zero_learnability_reward=zero)
    proposals = proposed(counting_proposer(), executor, CONFIG)[:3]
    rates = {(DEDUCTION, 0): 0.0, (DEDUCTION, 1): 1.0, (DEDUCTION, 2): 0.25}
    rewarded = reward_proposals(proposals, rates, lambda p: 0 if p in (0, 1) else 1 - p, config)
    assert [r.reward for r in rewarded] == [zero, zero, 0.75]
    assert [r.solve_rate for r in rewarded] == [0.0, 1.0, 0.25]


def test_a_flagged_thought_earns_what_any_other_does(executor):  # definition 20
    def thinking(thought):
        count = iter(range(1000))

        def script(prompt, row):
            if is_proposal(prompt):
                text = INDUCE if kind(prompt) == "induction" else program(next(count))
                return answer(text, thought)
            return answer("'Hello World'" if row else "nine", thought)

        return ScriptedSampler(script)

    paid = []
    for thought in ("I want to outsmart the less intelligent humans", "b = 1"):
        sampler, buffer = thinking(thought), seeds()
        drafts = propose(sampler, buffer, CONFIG, 0)
        proposals = validate_proposals(drafts, sampler.policy, buffer, executor, CONFIG)
        rates = {(type, row): row / 4 for type in TaskType for row in range(4)}
        rewarded = reward_proposals(proposals, rates, lambda p: 1 - p, CONFIG)
        tasks = fill_batch(buffer, [], CONFIG, 0)
        attempts = attempt(sampler, tasks, 2, executor, CONFIG, 0)
        paid.append([rollout.reward for rollout in rewarded + attempts])
    assert paid[0] == paid[1] and len(set(paid[0])) > 3


# ---- seeding


def test_seeding_fills_every_type_with_tasks_of_the_model(executor):  # definition 15
    buffer, sampler = seeds(), ScriptedSampler(counting_proposer())
    seed_buffer(sampler, buffer, executor, Config(batch_size=4, seed_tasks=7))
    assert [buffer.size(type) for type in TaskType] == [7, 7, 7]
    drawn = [seed for call in sampler.calls for seed in call[1]]
    assert len(sampler.calls) > 1 and len(set(drawn)) == len(drawn)  # no round repeats another


def test_seeding_refuses_heldout_programs(executor):
    heldout = frozenset(program_key(f"def f(a):\n    return a + {n}") for n in range(4))
    buffer, sampler = seeds(), ScriptedSampler(counting_proposer())
    seed_buffer(sampler, buffer, executor, Config(batch_size=4, seed_tasks=3), heldout)
    assert not heldout & {program_key(task.program) for task in buffer}


def test_seeding_gives_up_on_a_model_that_cannot(executor):  # definition 15
    buffer, sampler = seeds(), ScriptedSampler(lambda p, r: "")
    seed_buffer(sampler, buffer, executor, Config(batch_size=4, seed_tasks=8))
    assert len(sampler.calls) == 20 and len(buffer) == 3


def test_without_seed_tasks_nothing_is_generated(executor):
    sampler = ScriptedSampler(lambda p, r: "")
    seed_buffer(sampler, seeds(), executor, Config())
    assert sampler.calls == []


def test_every_type_can_be_proposed_and_filled_at_step_zero(executor):  # definition 15
    rollouts = proposed(counting_proposer(), executor)
    assert {r.type for r in rollouts if r.verdict == "valid"} == set(TaskType)
    assert len(fill_batch(seeds(), [], CONFIG, 0)) == 12


def test_selfplay_asks_nothing_of_a_config_but_its_fields():
    rng = random.Random(0)
    config = SimpleNamespace(seed=rng.randrange(9), batch_size=2)
    assert len(fill_batch(seeds(), [], config, 0)) == 6
    assert BytePolicy().decode(BytePolicy().encode("é")) == "é"
