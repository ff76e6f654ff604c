"""The result of a loss over one batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from lockstep_trainer.mining import Comparison


@dataclass(frozen=True)
class Outcome:
    """What one batch gave.

    `loss`: differentiable scalar. `active`: share of the terms that still teach, 0..1, a scalar on
    the device. `skipped`: anchors without a positive or without a negative.
    """

    loss: Tensor
    active: Tensor
    skipped: int


Term = Callable[[Comparison], Outcome]
"""A loss over a batch and what it is compared with."""

TAUGHT = 0.99
"""A softmax never reaches zero: from this probability of the right answer it teaches no more."""
