"""Checks of notebook 07: half the memory for the same gradient, a run that was killed, cards."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path

from azr_mini.config import Config
from azr_mini.estimate import GB, estimate
from azr_mini.exercises.answer import Checked, ask
from azr_mini.runs import ROLLOUTS, Run
from azr_mini.shapes import Shape

CARDS = (8, 16, 24, 40, 80, 141)  # GB
MEMORY_ONLY = ("gradient_checkpointing", "max_batch", "micro_batch_tokens")  # same result
PASSING = ("time/", "tokens_per_second/", "memory/")  # metrics of the machine, not of the run
SAME = 1e-4  # largest difference of two gradients, as a share of the gradient: rounding


def check_halved(answer: Mapping, config: Config, shape: Shape, gradient: Callable) -> Checked:
    """Exercise 1: changes of the configuration that halve its memory and leave its batch alone.

    gradient: the gradient of one fixed batch, a vector, under such changes.
    """
    return ask(lambda changes: _halved(changes, config, shape, gradient), answer)


def check_resumed(answer: Run, whole: Run) -> Checked:
    """Exercise 2: a run of the same configuration that ended like the one that nobody killed."""
    return ask(lambda run: _resumed(run, whole), answer)


def check_cards(answer: Mapping[str, int], plans: Mapping[str, tuple[Config, Shape]]) -> Checked:
    """Exercise 3: the smallest card, in GB, that the estimate of each plan fits."""
    return ask(lambda cards: _cards(cards, plans), answer)


def _halved(changes, config: Config, shape: Shape, gradient: Callable) -> Checked:
    if not isinstance(changes, Mapping):
        return Checked(False, "give a dict of fields, such as {'micro_batch_tokens': 1024}")
    if not changes or ... in changes.values():
        return Checked(None, "name the fields and their values and run the cell again")
    known = {field.name for field in fields(Config)}
    for name in changes:
        if name not in known:
            return Checked(False, f"there is no field {name!r}")
        if name not in MEMORY_ONLY:
            return Checked(False, f"{name} changes what is trained, not only its memory")
    before = estimate(config, shape)
    after = estimate(replace(config, **changes), shape)
    sides = {"sampling": after.sampling, "learning": after.learning}
    side = max(sides, key=sides.get)
    numbers = f"{before.peak / GB:.1f} GB before, {after.peak / GB:.1f} GB now"
    if after.peak > before.peak / 2:
        return Checked(False, f"{numbers}: the larger side is {side}, with {_largest(after, side)}")
    kept, changed = gradient({}), gradient(dict(changes))
    distance = float((changed - kept).norm() / kept.norm())
    if distance > SAME:
        return Checked(False, f"the gradient is another: it differs by {distance:.0e} of itself")
    return Checked(True, f"{numbers}, and the gradient differs by {distance:.0e} of itself")


def _largest(found, side: str) -> str:
    part = max(found.parts, key=lambda part: getattr(part, side))
    return f"{part.name} as its largest part ({getattr(part, side) / GB:.1f} GB)"


def _resumed(run, whole: Run) -> Checked:
    if not isinstance(run, Run):
        return Checked(False, "give the Run that `resume` returned")
    if run.folder.resolve() == whole.folder.resolve():
        return Checked(False, "that is the run that nobody killed; kill and resume another")
    if run.config != whole.config:
        return Checked(False, "its configuration is another, so it has to end elsewhere")
    if run.step < whole.step:
        return Checked(False, f"it holds {run.step} of {whole.step} steps: resume it")
    if found := differences(run, whole):
        return Checked(False, f"it is not the same run, look at {', '.join(found)}")
    return Checked(True, "the same bits; nothing in its folder tells that it was killed")


def differences(one: Run, other: Run) -> list[str]:
    """What is not the same, bit for bit, in two runs: names of files, of what the optimizer holds,
    and of metrics but those of the machine.
    """
    import torch

    folders = one.checkpoint_folder, other.checkpoint_folder
    if None in folders:
        return ["checkpoint"]
    found = [
        name for name in (ROLLOUTS, "buffer.jsonl") if _bytes(one, name) != _bytes(other, name)
    ]
    weights = sorted({path.name for folder in folders for path in folder.glob("*.safetensors")})
    found += [name for name in weights if len({_content(f / name) for f in folders}) > 1]
    moments = [torch.load(f / "optimizer.pt", weights_only=True)["state"] for f in folders]
    if not _same_moments(*moments):
        found.append("optimizer.pt")
    tables = one.metrics, other.metrics
    names = sorted({n for table in tables for n in table if not n.startswith(PASSING)})
    columns = {n: [table.reindex(columns=[n])[n] for table in tables] for n in names}
    return found + [n for n, (mine, theirs) in columns.items() if not mine.equals(theirs)]


def _bytes(run: Run, name: str) -> bytes | None:
    return _content(run.folder / name)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _same_moments(one: dict, other: dict) -> bool:
    import torch

    return one.keys() == other.keys() and all(
        torch.equal(value, other[number][name])
        for number, values in one.items()
        for name, value in values.items()
    )


def _cards(cards, plans: Mapping[str, tuple[Config, Shape]]) -> Checked:
    if not isinstance(cards, Mapping) or cards.keys() != plans.keys():
        return Checked(False, f"give a dict with the keys {', '.join(plans)}")
    if all(card is ... for card in cards.values()):
        return Checked(None, "replace each ... above and run the cell again")
    for name, card in cards.items():
        if card not in CARDS:
            return Checked(False, f"{name}: choose one of {', '.join(map(str, CARDS))}")
        peak = estimate(*plans[name]).peak
        if peak > card * GB:
            return Checked(False, f"{name} does not fit: one of its two sums is above {card} GB")
        if any(other < card and peak <= other * GB for other in CARDS):
            return Checked(False, f"{name} fits a smaller card as well")
    peaks = ", ".join(f"{estimate(*plan).peak / GB:.1f}" for plan in plans.values())
    return Checked(True, f"the larger sums are {peaks} GB")
