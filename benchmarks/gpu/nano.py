"""Row: the nano loop on the GPU, and its greedy completions beside those of the CPU."""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.gpu.build import Sizes

STEPS, PROMPTS = 10, 60
PHASES = ("propose", "validate", "solve", "update")


def nano_loop(sizes: Sizes) -> Iterator[dict]:
    """How many greedy completions are the CPU's in float32; seconds of each phase of some steps of
    `train` with the nano preset, and the gap of its sampler's log-probabilities.
    """
    from azr_mini.presets import preset
    from azr_mini.sandbox import Executor
    from azr_mini.train import TrainState, train

    yield {"greedy": greedy(sizes)}
    config = replace(preset("nano"), num_steps=STEPS, device=sizes.device)
    if sizes.tiny:
        config = replace(
            config, num_steps=1, batch_size=1, num_attempts=2, max_new_tokens=sizes.new
        )
    state, steps = TrainState.create(config), []
    with Executor() as executor:
        for step in train(config, state, executor):
            kept = [f"time/{phase}" for phase in PHASES] + ["logp_gap", "update_skipped"]
            steps.append({key: step.metrics[key] for key in kept})
            yield {"dtype": str(state.policy.dtype).removeprefix("torch."), "steps": steps}


def greedy(sizes: Sizes) -> dict:
    """On how many prompts of held-out tasks the likeliest tokens are the CPU's, in float32."""
    from azr_mini.evaluate.heldout import first_of_each_type, load_heldout_tasks
    from azr_mini.policy import load_policy
    from azr_mini.prompts import solve_prompt
    from azr_mini.sampler import Sampler

    tasks = first_of_each_type(load_heldout_tasks(), 1 if sizes.tiny else PROMPTS // 3)
    written = []
    for device in ("cpu", sizes.device):
        policy = load_policy("nano", dtype="float32", device=device)
        prompts = [policy.encode(solve_prompt(task, policy.dialect)) for task in tasks]
        rows = Sampler(policy).generate(
            prompts, seeds=range(len(prompts)), max_new_tokens=8 if sizes.tiny else 128,
            temperature=0.0,
        )  # fmt: skip
        written.append([completion.ids for (completion,) in rows])
    equal = sum(a == b for a, b in zip(*written, strict=True))
    return {"prompts": len(tasks), "equal": equal, "tokens": sum(map(len, written[0]))}
