"""Figures of the machine: is the policy healthy, and where does the time go."""

import pandas as pd
from matplotlib.figure import Figure

from azr_mini.runs import Run
from azr_mini.viz.style import PANEL, curve, name_steps, panels, say_missing, smooth

POLICY = (  # metric, what to see
    ("entropy", "entropy (falls, not to 0)"),
    ("kl", "KL to the base (grows slowly)"),
    ("grad_norm", "gradient norm (no spikes)"),
    ("clip_fraction", "clipped tokens (0 with one update)"),
    ("logp_gap", "sampler against learner (near 0)"),
)
PHASES = {  # of a step, and their colours: the palette's yellow is too pale for lines
    "propose": "#E69F00",
    "validate": "#56B4E9",
    "solve": "#CC79A7",
    "update": "#7F7F7F",
}


def policy(run: Run) -> Figure:
    """Entropy, KL to the base, gradient norm, clipping, sampler against learner, dead groups."""
    metrics = run.metrics
    title = "Policy health: slow drifts are learning, jumps and floors are trouble"
    figure, grid = panels(title, 2, 3, sharex=True)
    for axes, (key, label) in zip(grid.flat, POLICY, strict=False):
        if not curve(axes, metrics, key, color="#333333"):
            say_missing(axes, key)
        else:
            axes.set_ylim(0, max(1.05 * metrics[key].max(), 1e-9 if key == "logp_gap" else 0.01))
        axes.set_title(label)
    dead = [key for key in metrics.columns if key.startswith("frac_reward_zero_std/solve/")]
    last = grid[1, 2]
    if dead:
        curve(last, pd.DataFrame({"dead": metrics[dead].mean(axis=1)}), "dead", color="#333333")
        last.set_ylim(-0.02, 1.02)
        last.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    else:
        say_missing(last, "frac_reward_zero_std")
    last.set_title("tasks with all rewards equal")
    name_steps(grid[-1])
    return figure


def timing(run: Run) -> Figure:
    """Seconds of each phase of a step, stacked; tokens a second; memory."""
    metrics = run.metrics
    title = "Time and memory: flat is good; a slope in memory is a leak"
    figure, (row,) = panels(title, 1, 3)
    figure.set_size_inches(PANEL[0] * 3, PANEL[1] * 1.5)
    seconds, speed, memory = row
    phases = [phase for phase in PHASES if f"time/{phase}" in metrics]
    if phases:
        layers = [smooth(metrics[f"time/{phase}"].fillna(0.0)) for phase in phases]
        colours = [PHASES[phase] for phase in phases]
        seconds.stackplot(metrics.index, *layers, labels=phases, colors=colours)
        top = sum(layers).max()
        seconds.set_ylim(0, top * 1.45)  # room for the legend
        seconds.legend(loc="upper center", ncols=2)
        seconds.margins(x=0)
    else:
        say_missing(seconds, "time")
    seconds.set(title="seconds a step, by phase")
    for phase in ("propose", "solve", "update"):
        key = f"tokens_per_second/{phase}"
        curve(speed, metrics, key, color=PHASES[phase], label=phase)
    speed.set_title("completion tokens a second")
    for key, colour in (("memory/rss", "#333333"), ("memory/vram", "#56B4E9")):
        if key in metrics:
            gigabytes = pd.DataFrame({key: metrics[key] / 1e9})
            curve(memory, gigabytes, key, color=colour, label=key.partition("/")[2])
    memory.set_title("memory, GB")
    for axes in (speed, memory):
        if axes.lines:
            axes.set_ylim(0, 1.15 * axes.dataLim.ymax)
            axes.legend(loc="lower left")
        else:
            say_missing(axes, axes.get_title())
    name_steps(row)
    return figure
