"""Row: a 3B shape at the paper's batch, 64 tasks of each type, in the learner and the samplers."""

import importlib.util
import tempfile
from collections.abc import Iterator

from benchmarks.gpu.build import Sizes, random_policy, random_prompts, random_rollouts, state_of
from benchmarks.gpu.measure import seconds
from benchmarks.gpu.shapes import described, generation, learning

SIZE, BATCH_SIZE, ATTEMPTS = "3B", 64, 8
ROWS_AT_ONCE = 512


def paper_batch(sizes: Sizes) -> Iterator[dict]:
    """An update on the rollouts of `fresh` (a proposal and an attempt for each task) and of `reuse`
    (a proposal and 8 attempts); then the sampler's part: proposals, and one wave of attempts.
    """
    shape = sizes.shape(SIZE)
    batch_size, attempts = (1, 2) if sizes.tiny else (BATCH_SIZE, ATTEMPTS)
    most = 4 if sizes.tiny else ROWS_AT_ONCE
    config = sizes.config(
        batch_size=batch_size, num_attempts=attempts, max_batch=most, solve_batch="fresh"
    )
    policy, tasks = random_policy(shape, config), 3 * batch_size
    found = {"size": SIZE, "config": described(config), "tasks": tasks}

    def rollouts(role: str, rows: int) -> list:
        return random_rollouts(
            shape.vocabulary, role, tasks, rows, sizes.prompt, sizes.new, len(role)
        )

    proposals = rollouts("propose", 1)
    for name, rows in (("fresh", 1), ("reuse", attempts)):
        state = state_of(policy, config)
        found[f"update_{name}"] = learning(
            state, proposals + rollouts("solve", rows), config, shape
        )
        del state
        yield found
    found["sample_proposals"] = generation(policy, shape, sizes, tasks, 1, most)
    yield found
    wave = max(1, most // attempts)
    found["sample_attempts"] = generation(policy, shape, sizes, wave, attempts, most)
    yield found
    if importlib.util.find_spec("vllm") is None:
        found["vllm"] = {"missing": "vllm is not installed"}
    else:
        found["vllm"] = by_vllm(policy, shape, sizes, config, wave, attempts)
    yield found


def by_vllm(policy, shape, sizes: Sizes, config, prompts: int, attempts: int) -> dict:
    """Seconds and tokens a second of one call of vLLM with random weights in 16 bits of its own."""
    from dataclasses import replace

    from transformers import AutoConfig

    from azr_mini import sampler_vllm

    architecture = {"qwen2": "Qwen2ForCausalLM"}[shape.architecture]
    options, policy.stop_ids = sampler_vllm.engine_options, ()
    with tempfile.TemporaryDirectory() as folder:
        AutoConfig.for_model(
            shape.architecture,
            **shape.settings,
            max_position_embeddings=32_768,
            architectures=[architecture],
            dtype=str(policy.dtype).removeprefix("torch."),
        ).save_pretrained(folder)
        policy.model.peft_config["default"].base_model_name_or_path = folder
        sampler_vllm.engine_options = lambda *given: options(*given) | {"load_format": "dummy"}
        try:
            config = replace(config, sampler="vllm")
            starting, sampler = seconds(sampler_vllm.VllmSampler, policy, config)
        finally:
            sampler_vllm.engine_options = options
        ids = random_prompts(shape.vocabulary, prompts, sizes.prompt)
        sampler.generate(ids[:1], seeds=[0], max_new_tokens=4)
        asked = {"seeds": range(prompts), "num_completions": attempts}
        took, rows = seconds(sampler.generate, ids, **asked, max_new_tokens=sizes.new)
    tokens = sum(len(row.ids) for completions in rows for row in completions)
    return {"seconds": took, "tokens": tokens, "tokens_per_s": tokens / took, "start": starting}
