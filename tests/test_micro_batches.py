"""When memory runs out in the learner, micro-batches become smaller and nothing is lost."""

import json
from dataclasses import replace

import pytest
import torch
from test_learner import BIG, ROLLOUTS, rollouts_for, sgd_state, weights_of
from tiny import tiny_policy

from azr_mini.checkpoints import save
from azr_mini.config import Config
from azr_mini.diagnose import diagnose
from azr_mini.learner import update
from azr_mini.runs import Run
from azr_mini.train import Step, TrainState

MANY = rollouts_for(tiny_policy(), 40, seed=3)
WHOLE = replace(BIG, micro_batch_tokens=400, kl_coef=0.1, entropy_coef=0.1)


FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
FULL_BESIDE = [
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    torch.AcceleratorError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation'", 2),
]


def small_memory(state, tokens, in_backward=False, error=FULL):
    """Passes of more than so many tokens run out of memory, as torch says it; notes the others."""
    passed = []

    def check(size):
        if size > tokens:
            raise error

    def enter(module, inputs, keywords):
        size = keywords["input_ids"].numel()
        if not in_backward:
            check(size)
        elif torch.is_grad_enabled():
            keywords["inputs_embeds"] = module.get_input_embeddings()(keywords.pop("input_ids"))
            keywords["inputs_embeds"].register_hook(lambda gradient: check(size))
        passed.append(size)
        return inputs, keywords

    for policy in (state.policy, state.reference):
        if policy is not None:
            policy.model.model.register_forward_pre_hook(enter, with_kwargs=True)
    return passed


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("in_backward", [False, True])
def test_a_batch_that_does_not_fit_is_split_and_nothing_is_lost(in_backward, threads):
    config = replace(WHOLE, updates_per_step=2, threads=threads)
    roomy, narrow = sgd_state(), sgd_state()
    expected = update(roomy, MANY, config)
    passed = small_memory(narrow, 100, in_backward)
    found = update(narrow, MANY, config)
    assert max(passed) > 100 if in_backward else 0 < max(passed) <= 100
    torch.testing.assert_close(
        weights_of(narrow.policy), weights_of(roomy.policy), atol=1e-6, rtol=0
    )
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    assert found["micro_batch_tokens"] == narrow.micro_batch_tokens == 100
    assert "micro_batch_tokens" not in expected and roomy.micro_batch_tokens is None


@pytest.mark.parametrize("error", FULL_BESIDE)
def test_memory_that_a_library_beside_torch_misses_is_memory_too(error):
    state = sgd_state()
    passed = small_memory(state, 100, error=error)
    update(state, MANY, WHOLE)
    assert max(passed) <= 100


def test_any_other_error_of_a_pass_ends_the_update():
    state = sgd_state()
    small_memory(state, 100, error=RuntimeError("CUDA error: an illegal memory access"))
    with pytest.raises(RuntimeError, match="illegal"):
        update(state, MANY, WHOLE)


def test_the_next_step_starts_with_what_fitted():
    state = sgd_state()
    small_memory(state, 100)
    update(state, MANY, WHOLE)
    passed = small_memory(state, 10**9)
    metrics = update(state, MANY, WHOLE)
    assert max(passed) <= 100 and metrics["micro_batch_tokens"] == 100


def test_memory_that_returns_late_costs_only_the_batches_that_are_left():
    """Gradients of micro-batches that were done before are kept, not computed again."""
    state, config = sgd_state(), replace(WHOLE, micro_batch_tokens=100, threads=1)
    calls = []

    def third_time(module, inputs, keywords):
        if torch.is_grad_enabled():
            calls.append(keywords["input_ids"].numel())
            if len(calls) == 3:
                raise torch.OutOfMemoryError("CUDA out of memory.")

    state.policy.model.model.register_forward_pre_hook(third_time, with_kwargs=True)
    update(state, MANY, config)
    roomy = sgd_state()
    passed = small_memory(roomy, 10**9)
    update(roomy, MANY, config)
    learned = passed[len(passed) // 2 :]  # after the passes of the base
    assert calls[:3] == learned[:3] and max(calls[3:]) < calls[2]
    torch.testing.assert_close(
        weights_of(state.policy), weights_of(roomy.policy), atol=1e-6, rtol=0
    )


def test_one_rollout_that_does_not_fit_is_one_sentence():
    state = sgd_state()
    before = weights_of(state.policy)
    small_memory(state, 10)
    with pytest.raises(
        ValueError,
        match="memory does not suffice to learn from one completion of "
        r"\d+ tokens after a prompt of \d+: lower --max-new-tokens",
    ) as caught:
        update(state, ROLLOUTS, WHOLE)
    assert "\n" not in str(caught.value) and caught.value.__context__ is None
    assert torch.equal(weights_of(state.policy), before)


def test_completions_of_one_token_after_one_token_are_taken_apart_too():
    """Together they are one token, which is no more than any limit."""
    short = [replace(r, prompt_ids=(20,), completion_ids=(1,), logprobs=(-1.0,)) for r in MANY[:2]]
    narrow, roomy = sgd_state(), sgd_state()
    update(roomy, short, WHOLE)
    check = narrow.policy.logprobs

    def logprobs(prompts, *others, **options):
        if len(prompts) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return check(prompts, *others, **options)

    narrow.policy.logprobs = logprobs
    update(narrow, short, WHOLE)
    torch.testing.assert_close(
        weights_of(narrow.policy), weights_of(roomy.policy), atol=1e-6, rtol=0
    )


def test_the_smaller_size_survives_a_checkpoint(tmp_path):
    tiny_policy().save(tmp_path / "model")
    config = Config(model=str(tmp_path / "model"), micro_batch_tokens=400, heldout_path="")
    state = TrainState.create(config)
    assert state.micro_batch_tokens == 400
    small_memory(state, 100)
    update(state, MANY, config)
    save(tmp_path, state, (), {})
    record = json.loads((tmp_path / "checkpoint" / "state.json").read_text())
    assert record["micro_batch_tokens"] == 100
    assert TrainState.create(config, tmp_path / "checkpoint").micro_batch_tokens == 100


def test_a_checkpoint_of_before_these_fields_is_gone_on_from(tmp_path):
    tiny_policy().save(tmp_path / "model")
    config = Config(model=str(tmp_path / "model"), heldout_path="")
    save(tmp_path, TrainState.create(config), (), {})
    path = tmp_path / "checkpoint" / "state.json"
    record = json.loads(path.read_text())
    for name in ("micro_batch_tokens", "loss_scale"):
        del record[name]
    path.write_text(json.dumps(record))
    state = TrainState.create(config, tmp_path / "checkpoint")
    assert state.micro_batch_tokens == 2048 and state.loss_scale.value == 1


def test_a_run_of_before_these_fields_is_opened_and_gone_on_with(tmp_path):
    tiny_policy().save(tmp_path / "model")
    config = Config(model=str(tmp_path / "model"), heldout_path="")
    run = Run.create(tmp_path / "run", config)
    del run.record["config"]["gradient_checkpointing"]
    run._write_record()
    again = Run.open(run.folder)
    assert again.config == config and again.state().step == 0
    again.check_same(config)
    with pytest.raises(ValueError, match="made with gradient_checkpointing = False, not True"):
        again.check_same(replace(config, gradient_checkpointing=True))


def test_diagnose_says_it_in_one_line(tmp_path):
    run = Run.create(tmp_path, replace(Config(), micro_batch_tokens=400))
    for step in range(3):
        smaller = {"micro_batch_tokens": 100} if step else {}
        run.append(Step(step, {"loss": 0.0, **smaller}, []))
    (found,) = diagnose(run.metrics, run.config)
    assert (found.rule, found.step) == ("memory_ran_out", 1)
    assert found.sentence.startswith("Memory ran out in the learner") and "1/4" in found.sentence
