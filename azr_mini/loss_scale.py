"""What a loss in float16 is multiplied with, so that its gradient is neither 0 nor infinite.

A token counts about 1e-5 in our loss, and float16 has no number between 0 and 6e-8: without a scale
most of the gradient inside the model would be 0.
"""

from dataclasses import dataclass

import torch

FIRST = 2.0**16  # brings the weight of a token near 1
LOWER = 2.0**4  # by so much after an overflow: before five in a row end a run it has reached LEAST
LEAST = 2.0
RAISE_AFTER = 50  # updates without one


@dataclass
class LossScale:
    """A power of two, so that scaling rounds nothing; 1 switches it off."""

    value: float = 1.0
    clean: int = 0  # updates without overflow since it last changed

    @classmethod
    def of(cls, dtype: torch.dtype) -> "LossScale":
        """The scale with which a run in that arithmetic starts."""
        return cls(FIRST if dtype is torch.float16 else 1.0)

    def lower(self) -> None:
        """To be called after an update whose gradient was not finite."""
        if self.value > 1:
            self.value, self.clean = max(LEAST, self.value / LOWER), 0

    def keep(self) -> None:
        """To be called after an update with a finite gradient; in time it raises a low scale."""
        if 1 < self.value < FIRST:
            self.clean += 1
            if self.clean == RAISE_AFTER:
                self.value, self.clean = self.value * 2, 0
