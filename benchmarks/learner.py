"""The learner's step against TRL's GRPOTrainer on the same rollouts, in one run.

    python benchmarks/learner.py    # two minutes on two cores; needs trl (in the dev extra)

Both take one clipped policy-gradient step of AdamW on the rollouts of a nano step, with the same
model, in the same arithmetic, without reference policy and generation. TRL pads; it gets rows
sorted by length, its best number of rows a micro-batch, and two threads, which are faster than one.
Peak memory is of a process of its own for each. Writes docs/results/learner.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.recording import RESULTS, header, write  # noqa: E402

ROWS = (4, 8, 16, 32)  # a micro-batch of TRL; the best counts
THREADS = (2,)


def make_rollouts(num_steps: int) -> list:
    """The rollouts of the last of so many nano steps."""
    from azr_mini.sandbox import Executor
    from azr_mini.train import Config, TrainState, train

    config = Config(num_steps=num_steps)
    with Executor() as executor:
        for step in train(config, TrainState.create(config), executor):
            rollouts = step.rollouts
    return rollouts


def ours(rollouts: list, repeats: int) -> list[float]:
    """Seconds of each update with our learner."""
    from azr_mini import learner, micro_batches
    from azr_mini.train import Config, TrainState

    config = Config()
    state = TrainState.create(config)
    micro_batches.watched_rows = lambda *_: {
        0
    }  # no reference to speak of: TRL has none (beta is 0)
    return [seconds(learner.update, state, rollouts, config) for _ in range(repeats)]


def theirs(rollouts: list, rows: int, threads: int, repeats: int) -> list[float]:
    """Seconds of each update with TRL's trainer, micro-batches of `rows` rollouts."""
    import torch
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from azr_mini.hub import find_model
    from azr_mini.models import choose_dtype, load_model

    torch.set_num_threads(threads)
    dtype = choose_dtype("auto", "cpu")
    model, tokenizer = load_model("nano", None, torch.float32, dtype, "cpu")
    model.name_or_path = find_model("nano")
    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=dtype is torch.bfloat16,
            per_device_train_batch_size=rows,
            num_generations=2,
            beta=0.0,
            loss_type="bnpo",
            gradient_checkpointing=False,
            report_to="none",
        )
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            args=settings,
            train_dataset=Dataset.from_list([{"prompt": "1"}] * rows),
            processing_class=tokenizer,
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4)
        rollouts = sorted(rollouts, key=lambda r: len(r.prompt_ids) + len(r.completion_ids))
        batches = [rollouts[i : i + rows] for i in range(0, len(rollouts), rows)]
        inputs = [padded(batch, tokenizer.pad_token_id) for batch in batches]
        tokens = sum(len(rollout.completion_ids) for rollout in rollouts)
        model.train()
        trainer.current_gradient_accumulation_steps = 1

        def step() -> None:
            for batch in inputs:
                batch["num_items_in_batch"] = torch.tensor(tokens)
                with trainer.compute_loss_context_manager():
                    loss = trainer.compute_loss(model, batch)
                trainer.accelerator.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return [seconds(step) for _ in range(repeats)]


def padded(batch: list, pad: int) -> dict:
    """A micro-batch as TRL makes it: prompts padded on the left, completions on the right."""
    import torch

    def grid(rows, left):
        sequence, side = torch.nn.utils.rnn.pad_sequence, "left" if left else "right"
        ids = [torch.tensor(row) for row in rows]
        mask = [torch.ones_like(row) for row in ids]
        return (
            sequence(ids, batch_first=True, padding_value=pad, padding_side=side),
            sequence(mask, batch_first=True, padding_side=side),
        )

    prompt_ids, prompt_mask = grid([r.prompt_ids for r in batch], left=True)
    completion_ids, completion_mask = grid([r.completion_ids for r in batch], left=False)
    return {
        "prompt_ids": prompt_ids,
        "prompt_mask": prompt_mask,
        "completion_ids": completion_ids,
        "completion_mask": completion_mask,
        "advantages": torch.tensor([r.advantage for r in batch]),
    }


def seconds(function, *arguments) -> float:
    """Wall seconds of one call."""
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def in_its_own_process(contender: str, rollouts_file: Path, rows: int, threads: int, repeats: int):
    """Median seconds of the updates after the first, and the process's peak memory in bytes."""
    words = [sys.executable, __file__, "--contender", contender, "--rollouts", str(rollouts_file)]
    words += ["--rows", str(rows), "--threads", str(threads), "--repeats", str(repeats)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def contend(options) -> None:
    """The part of one process: prints its result as JSON."""
    rollouts = read_rollouts(options.rollouts)
    if options.contender == "ours":
        times = ours(rollouts, options.repeats)
    else:
        times = theirs(rollouts, options.rows, options.threads, options.repeats)
    median = round(statistics.median(times[1:]), 3)
    print(json.dumps({"seconds": median, "peak_memory": peak_memory()}))


def peak_memory() -> int:
    """The most bytes this process ever held (Linux). Not getrusage's: it counts its parent too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def write_rollouts(path: Path, rollouts: list) -> None:
    """What the learner needs of the rollouts, as JSON."""
    rows = [
        {
            "role": r.role.value,
            "type": r.type.value,
            "prompt_ids": r.prompt_ids,
            "completion_ids": r.completion_ids,
            "logprobs": r.logprobs,
            "advantage": r.advantage,
        }
        for r in rollouts
    ]
    path.write_text(json.dumps(rows), encoding="utf-8")


def read_rollouts(path: Path) -> list:
    """The rollouts that `write_rollouts` wrote."""
    from azr_mini.tasks import Role, Rollout, TaskType

    return [
        Rollout(
            Role(row["role"]),
            TaskType(row["type"]),
            "",
            "",
            tuple(row["prompt_ids"]),
            tuple(row["completion_ids"]),
            tuple(row["logprobs"]),
            False,
            "",
            reward=0.0,
            advantage=row["advantage"],
        )
        for row in json.loads(path.read_text(encoding="utf-8"))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4, help="the rollouts are of the last of them")
    parser.add_argument("--repeats", type=int, default=4, help="updates; the first is not counted")
    parser.add_argument("--out", type=Path, default=RESULTS / "learner.json")
    for name, kind in (("contender", str), ("rollouts", Path), ("rows", int), ("threads", int)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        return contend(options)
    record = header("learner.py")
    rollouts = make_rollouts(options.steps)
    record["rollouts"] = len(rollouts)
    lengths = [len(r.completion_ids) for r in rollouts]
    record["mean_completion_length"] = round(statistics.mean(lengths), 2)
    record["mean_prompt_length"] = round(statistics.mean(len(r.prompt_ids) for r in rollouts), 2)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "rollouts.json")
        write_rollouts(file, rollouts)
        mine = [in_its_own_process("ours", file, 0, 0, options.repeats)]
        record["trl"] = {
            f"{rows} rows, {threads} threads": in_its_own_process(
                "trl", file, rows, threads, options.repeats
            )
            for rows in ROWS
            for threads in THREADS
        }
        mine.append(in_its_own_process("ours", file, 0, 0, options.repeats))  # machines drift
    record["ours"] = min(mine, key=lambda found: found["seconds"])
    record["ratios"] = ratios(record)
    print(json.dumps({"ours": record["ours"], "trl": record["trl"]} | record["ratios"], indent=1))
    write(options.out, record)


def ratios(record: dict) -> dict[str, float]:
    """TRL's best over ours: seconds, and peak memory in that same setting."""
    best = min(record["trl"].values(), key=lambda found: found["seconds"])
    return {
        "times_as_fast": round(best["seconds"] / record["ours"]["seconds"], 2),
        "peak_memory_of_trl": round(best["peak_memory"] / record["ours"]["peak_memory"], 2),
    }


if __name__ == "__main__":
    main()
