"""The command `pretrain-nano`: makes the nano base."""

import time

from azr_mini.commands.console import parse, say


def pretrain_nano(arguments: list[str]) -> int:
    """Makes the nano base, or goes on making it."""
    from azr_mini.nano.pretrain import PretrainConfig, pretrain, rank

    config = parse(PretrainConfig, "pretrain-nano", arguments)
    if not config.resume and (config.out / "model.safetensors").exists():
        raise ValueError(f"{config.out} holds a model: name another folder with --out")
    say(f"pre-training on {config.tokens:,} tokens; --resume goes on from the last save")
    started = None
    for record in pretrain(config):
        if rank() > 0:  # one process speaks for all
            continue
        now = (time.time(), record["tokens"])
        started = started or now
        rate = (now[1] - started[1]) / max(1e-9, now[0] - started[0])
        left = (
            f", {(config.tokens - now[1]) / rate / 60:.0f} min left"
            if rate and not config.minutes
            else ""
        )
        say(f"{now[1] / 1e6:7.2f} M tokens  loss {record['loss']:.3f}{left}")
    say(f"written: {config.out}")
    return 0
