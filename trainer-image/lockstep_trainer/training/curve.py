"""What is seen of a run on its way: loss, active terms, gradients, variance."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

REPORT_EVERY = 10
"""Steps between two readings of the loss: each waits for the accelerator."""

FINAL_STEPS = 20
"""The final loss is the mean over the last steps: a single batch says little."""


@dataclass(frozen=True)
class CurvePoint:
    """The state of training after `step` steps.

    `loss` and `active_triplets` (share of terms that still teach) are means since the point
    before; `variance` is 1 - |mean embedding|^2 of the step's batch, near 0 on collapse.
    """

    step: int
    loss: float
    active_triplets: float
    variance: float
    learning_rate: float

    def to_wire(self) -> dict[str, float]:
        return {key: round(float(value), 6) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class NotFinite:
    """The first number that was none: `what` is "loss" or "gradient's norm"."""

    step: int
    what: str
    value: float


def batch_variance(embeddings: Tensor) -> float:
    """1 - |mean|^2 of L2-normalised rows [B, D]: 0 when they all coincide."""
    return 1.0 - float(embeddings.to(torch.float32).mean(dim=0).square().sum())


class Curve:
    """Numbers of every step, brought over from the device only now and then."""

    def __init__(self) -> None:
        self.points: list[CurvePoint] = []
        self.skipped = 0
        self._on_device: list[tuple[int, Tensor]] = []
        self._since_point: list[tuple[float, float]] = []
        self._last: deque[tuple[float, float]] = deque(maxlen=FINAL_STEPS)

    def add(self, step: int, loss: Tensor, active: Tensor, norm: Tensor, skipped: int) -> None:
        """One step; `norm` is that of the gradient before it was clipped. All are scalars."""
        numbers = [value.detach().to(torch.float32) for value in (loss, active, norm)]
        self._on_device.append((step, torch.stack(numbers)))
        self.skipped += skipped

    def fetch(self) -> NotFinite | None:
        """Brings the numbers over; the first one that is not finite."""
        if not self._on_device:
            return None
        steps, numbers = zip(*self._on_device, strict=True)
        self._on_device = []
        for step, (loss, active, norm) in zip(steps, torch.stack(numbers).tolist(), strict=True):
            for what, value in (("loss", loss), ("gradient's norm", norm)):
                if not math.isfinite(value):
                    return NotFinite(step, what, value)
            self._since_point.append((loss, active))
        return None

    def close(self, step: int, variance: float, rate: float) -> CurvePoint:
        """The point of all steps since the one before; they must have been fetched."""
        self._last.extend(self._since_point)
        loss, active = _means(self._since_point)
        self._since_point = []
        point = CurvePoint(step, loss, active, variance, float(rate))
        self.points.append(point)
        return point

    def final(self) -> tuple[float, float]:
        """Loss and share of active terms, means over the last `FINAL_STEPS` steps."""
        return _means([*self._last, *self._since_point][-FINAL_STEPS:])

    def cut(self, step: int) -> None:
        """Forgets what came after `step`."""
        self.points = [point for point in self.points if point.step <= step]
        self._on_device, self._since_point = [], []
        self._last.clear()

    def state(self) -> dict[str, Any]:
        """JSON-ready; everything must have been fetched."""
        return {
            "points": [asdict(point) for point in self.points],
            "skipped": self.skipped,
            "sincePoint": self._since_point,
            "last": list(self._last),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.points = [CurvePoint(**point) for point in state["points"]]
        self.skipped = int(state["skipped"])
        self._on_device = []
        self._since_point = [(loss, active) for loss, active in state["sincePoint"]]
        self._last = deque(((loss, active) for loss, active in state["last"]), maxlen=FINAL_STEPS)


def _means(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    if not pairs:
        return math.nan, math.nan
    losses, active = zip(*pairs, strict=True)
    return sum(losses) / len(losses), sum(active) / len(active)
