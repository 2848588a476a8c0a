"""What a proposal and an attempt are worth (paper, equations 4 to 6; definitions 8 to 11)."""

from collections.abc import Callable

# `paper` is the paper's composite reward; `none` is plain accuracy, without a format term.
# A proposal that is valid earns its learnability instead of a number from here.
FORMAT_REWARDS = {
    "paper": {"correct": 1.0, "wrong": -0.5, "format": -1.0, "invalid": -1.0},
    "none": {"correct": 1.0, "wrong": 0.0, "format": 0.0, "invalid": 0.0},
}


def learnability_reward(solve_rate: float) -> float:
    """1 - solve_rate, but 0 if nobody or everybody solved the task (paper, equation 4)."""
    return 0.0 if solve_rate in (0, 1) else 1 - solve_rate


def variance_reward(solve_rate: float) -> float:
    """4p(1 - p): the spread of the solver's rewards, 1 at one half and 0 at both ends."""
    return 4 * solve_rate * (1 - solve_rate)


def tent_reward(solve_rate: float) -> float:
    """A straight rise to 1 at one half and a straight fall back to 0."""
    return 1 - abs(2 * solve_rate - 1)


def band_reward(solve_rate: float) -> float:
    """1 for a solve rate from a quarter to three quarters, 0 outside."""
    return 1.0 if 0.25 <= solve_rate <= 0.75 else 0.0


PROPOSER_REWARDS: dict[str, Callable[[float], float]] = {
    "one_minus": learnability_reward,
    "variance": variance_reward,
    "tent": tent_reward,
    "band": band_reward,
}


def solver_reward(verdict: str, format_reward: str = "paper") -> float:
    """The reward of an attempt that is "correct", "wrong" or "format" (paper, equation 6)."""
    return FORMAT_REWARDS[format_reward][verdict]


def proposal_reward(
    solve_rate: float | None,
    shape: Callable[[float], float] = learnability_reward,
    zero_learnability_reward: float = 0.0,
    format_reward: str = "paper",
) -> float:
    """The reward of a proposal: its learnability, or the penalty if it is invalid (no solve rate).

    A valid proposal that nothing can be learned from earns `zero_learnability_reward`: 0 in the
    paper, -0.5 in the official code.
    """
    if solve_rate is None:
        return FORMAT_REWARDS[format_reward]["invalid"]
    return shape(solve_rate) or zero_learnability_reward
