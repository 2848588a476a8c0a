"""The command `pretrain-nano`: makes the nano base."""

import json
import shlex
import time

from azr_mini.commands.console import PROGRAM, parse, say


def pretrain_nano(arguments: list[str]) -> int:
    """Makes the nano base, or goes on making it."""
    from azr_mini.environment import hardware, software
    from azr_mini.nano.pretrain import PretrainConfig, pretrain
    from azr_mini.nano.processes import rank, world_size

    config = parse(PretrainConfig, "pretrain-nano", arguments)
    if not config.resume and (config.out / "model.safetensors").exists():
        raise ValueError(f"{config.out} holds a model: name another folder with --out")
    speaks = rank() == 0  # one process speaks for all
    if speaks:
        amount = f"{config.minutes:g} minutes" if config.minutes else f"{config.tokens:,} tokens"
        say(f"pre-training for {amount}; --resume goes on from the last save")
    started = record = None
    for record in pretrain(config):
        now = (time.time(), record["tokens"])
        started = started or now
        rate = (now[1] - started[1]) / max(1e-9, now[0] - started[0])
        left = ""
        if rate and not config.minutes:
            left = f", {(config.tokens - now[1]) / rate / 60:.0f} min left"
        if speaks:
            say(f"{now[1] / 1e6:7.2f} M tokens  loss {record['loss']:.3f}{left}")
    if speaks and record is not None:  # None: nothing was left to do
        launcher = f"torchrun --nproc-per-node {world_size()}" if world_size() > 1 else "python"
        words = PROGRAM.replace("python", launcher, 1).split() + ["pretrain-nano", *arguments]
        facts = {"command": shlex.join(words), "seed": config.seed, **record}
        (config.out / "pretraining.json").write_text(
            json.dumps(facts | {"hardware": hardware(), **software()}, indent=2) + "\n",
            encoding="utf-8",
        )
    if speaks:
        say(f"written: {config.out}")
    return 0
