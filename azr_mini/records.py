"""What a run writes about its configuration and its rollouts: plain JSON values."""

import json
from dataclasses import asdict, fields

from azr_mini.config import Config
from azr_mini.files import plain
from azr_mini.tasks import Rollout, Task


def config_record(config: Config) -> dict:
    """The fields of a configuration as plain JSON values."""
    return json.loads(json.dumps(asdict(config), default=plain))


def rollout_record(step: int, rollout: Rollout) -> dict:
    """A rollout as plain JSON values. Prompt ids follow from the prompt, so they are left out."""
    record = {"step": step}
    for field in fields(rollout):
        value = getattr(rollout, field.name)
        if field.name == "prompt_ids":
            continue
        if field.name == "logprobs":
            value = [round(logprob, 4) for logprob in value]  # for the eye; training has its own
        record[field.name] = value.to_json() if isinstance(value, Task) else value
    return record
