"""What `train` says of memory, licence and time before it loads anything."""

from azr_mini import options as opt
from azr_mini.commands.console import say

UNNAMED_GPU, OLDER = "a GPU", 16  # of --gpu-memory; GB up to which it is taken to be as old as a T4


def say_estimate(options: opt.TrainOptions) -> None:
    """Prints the memory that the run needs and the licence of its base; ValueError, saying what to
    do, if it does not fit.
    """
    from azr_mini.estimate import GB, estimate
    from azr_mini.fit import machine_memory, require_fit, runs_on_cpu, wants_cpu
    from azr_mini.held_memory import number_width
    from azr_mini.licences import licence_in_words
    from azr_mini.presets import arrangement
    from azr_mini.report import estimate_table
    from azr_mini.shapes import find_shape

    config, shape = options.config, find_shape(options.config.model)
    base = f"base: {config.model}, licence: {licence_in_words(config.model)}"
    if shape is None:
        say(base)
        say(f"no estimate of the memory for this kind of model: {config.model}")
        return
    card, ram = _card(options), machine_memory()
    goes_to_cpu = wants_cpu(config) or config.device is None and runs_on_cpu(shape)
    on_cpu = card is None and goes_to_cpu
    device = "cpu" if on_cpu else "cuda"
    of_card = (card.memory, card.segmented) if card else ()
    found = estimate(config, shape, device, *of_card)
    say(estimate_table(f"Memory on a {'CPU' if on_cpu else 'GPU'}, estimated", found))
    say(base)
    # on a CPU a frozen base stays in 32 bits
    say(f"arrangement: {arrangement(config, 32 if on_cpu else 8 * number_width(config, device))}")
    if card or on_cpu or not options.estimate:
        require_fit(config, shape, card, ram)
    needs = f"needs about {found.peak / GB:.1f} GB of"
    if card:
        say(f"{needs} {card}")
        _say_time(config, shape, card)
    elif on_cpu:
        say(f"{needs} this machine's memory")
    else:
        say(f"{needs} a GPU: --gpu-memory GB says whether a card of that size will do")


def _card(options: opt.TrainOptions):
    """The GPU that the run is for: of that memory, or the one that is here; None for a CPU."""
    from azr_mini.estimate import GB
    from azr_mini.fit import AMPERE, TURING, Card, find_cards, wants_cpu

    if options.gpu_memory:  # a small one may be older, and then needs more
        capability = TURING if options.gpu_memory <= OLDER else AMPERE
        return Card(UNNAMED_GPU, options.gpu_memory * GB, capability)
    return None if wants_cpu(options.config) else next(iter(find_cards()), None)


def _say_time(config, shape, card) -> None:
    """Prints about how long a step takes on a card whose data sheet is known."""
    from azr_mini.estimate import GB
    from azr_mini.progress import duration
    from azr_mini.step_time import TYPICAL, step_seconds

    name = card.name if card.name != UNNAMED_GPU else TYPICAL.get(round(card.memory / GB), "")
    if seconds := step_seconds(config, shape, name):
        say(
            f"a step takes about {duration(seconds)} on {name} if every completion is as long "
            "as it may be (arithmetic from its data sheet and two speeds that an H200 showed; "
            "docs/gpu.md has what was measured)"
        )
