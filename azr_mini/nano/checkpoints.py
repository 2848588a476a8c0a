"""What pre-training writes: the model in Hugging Face format, and what it goes on from.

`config` is a `pretrain.PretrainConfig`.
"""

from dataclasses import asdict, dataclass

import torch

from azr_mini.nano.processes import rank

STATE = "training_state.pt"


@dataclass
class Progress:
    """How far pre-training has come."""

    pool: int = 0
    seen: int = 0  # tokens
    step: int = 0
    seconds: float = 0.0


def load_state(model, optimizers, config) -> Progress:
    """Restores what `save` wrote; ValueError if there is nothing to go on with."""
    path = config.out / STATE
    if not path.is_file():
        raise ValueError(f"{path} does not exist: start without --resume")
    state = torch.load(path, map_location=config.device, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return Progress(**state["progress"])


def save(model, tokenizer, optimizers, progress: Progress, config) -> None:
    """Writes the model in bfloat16 with its tokenizer in Hugging Face format, and the state."""
    from transformers import LlamaForCausalLM

    if rank() > 0:
        return
    config.out.mkdir(parents=True, exist_ok=True)
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy.to(torch.bfloat16).save_pretrained(config.out)
    tokenizer.save_pretrained(config.out)
    state = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "progress": asdict(progress),
    }
    torch.save(state, config.out / (STATE + ".new"))
    (config.out / (STATE + ".new")).replace(config.out / STATE)
