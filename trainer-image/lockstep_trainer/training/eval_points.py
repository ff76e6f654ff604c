"""Evaluations during training: what was measured, which was best, and when it is enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lockstep_core.protocol.training import EarlyStoppingSpec, StoppingMetric


@dataclass(frozen=True)
class EvalPoint:
    """Held-out items after `step` steps, and as many training items beside them.

    `recall_at_1`, `map_at_r` and `variance` are of held-out items. `train_recall_at_1` is of a
    sample of training items, `contradicted` the share of it whose neighbours agree on another
    label than its own; both are None where they were not measured.
    """

    step: int
    recall_at_1: float
    map_at_r: float
    variance: float
    train_recall_at_1: float | None = None
    contradicted: float | None = None

    def value(self, metric: StoppingMetric) -> float:
        return self.recall_at_1 if metric is StoppingMetric.RECALL_AT_1 else self.map_at_r

    def is_sound(self, min_variance: float) -> bool:
        """Whether such an encoder may be used at all."""
        numbers = (self.recall_at_1, self.map_at_r, self.variance)
        return all(map(math.isfinite, numbers)) and self.variance >= min_variance

    def to_wire(self) -> dict[str, float]:
        known = {key: value for key, value in asdict(self).items() if value is not None}
        return {key: round(float(value), 6) for key, value in known.items()}


@dataclass(frozen=True)
class Standing:
    """The best evaluation so far, and how many in a row brought no gain over `reference`."""

    best: EvalPoint | None = None
    reference: float = -math.inf
    without_gain: int = 0

    def after(self, point: EvalPoint, metric: StoppingMetric, min_delta: float) -> Standing:
        """The standing once `point` is known, which must be sound. Of equals the first stays."""
        value = point.value(metric)
        better = self.best is None or value > self.best.value(metric)
        standing = replace(self, best=point) if better else self
        if value > self.reference + min_delta or self.reference == -math.inf:
            return replace(standing, reference=value, without_gain=0)
        return replace(standing, without_gain=self.without_gain + 1)

    def is_enough(self, spec: EarlyStoppingSpec | None) -> bool:
        """Whether early stopping ends the run here."""
        return spec is not None and self.without_gain >= spec.patience

    def to_state(self) -> dict[str, Any]:
        """JSON-ready."""
        reference = None if math.isinf(self.reference) else self.reference
        best = asdict(self.best) if self.best else None
        return {"best": best, "reference": reference, "withoutGain": self.without_gain}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Standing:
        reference = -math.inf if state["reference"] is None else float(state["reference"])
        best = EvalPoint(**state["best"]) if state["best"] else None
        return cls(best, reference, int(state["withoutGain"]))


def eval_points_since(eval_points: Sequence[EvalPoint], step: int) -> list[EvalPoint]:
    """Those after `step`: what came before a rewind says nothing of what came after it."""
    return [point for point in eval_points if point.step > step]
