"""What a DriftPolicy asks of the tracker of `lockstep_core.drift`, and what that reports.

Plain data: decisions read it without numpy. Distances are MMD, from 0 to about 1.4; windows are
numbered as `protocol.monitoring` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lockstep_core.protocol.monitoring import TrafficRole

GEOMETRY_STREAK = 3
"""Windows in a row outside of the band of a shape before that is told."""


INVALID_LEAST, INVALID_SHARE = 5, 0.01
"""Embeddings of a window that may be invalid, each alone: odd requests make a few."""


class BaselineKind(StrEnum):
    """What live embeddings are compared with."""

    TRAFFIC = "Traffic"
    HELD_OUT = "HeldOut"


class Seen(StrEnum):
    """What a tracker can see in a window; a policy's actions answer to these words."""

    EVIDENCE = "Evidence"
    LOWER_BOUND = "LowerBound"
    GEOMETRY = "Geometry"
    INVALID = "Invalid"
    RECALL_BELOW = "RecallBelow"


@dataclass(frozen=True)
class RecallBound:
    """The recall@k that every index of a release is held to, over the last `windows` windows and
    from `min_queries` queries on."""

    minimum: float
    k: int = 10
    windows: int = 12
    min_queries: int = 300


@dataclass(frozen=True)
class RecallReport:
    """Index recall@k of one index over the last windows, with its 95 % interval.

    Below `min_queries` it is not `judged`. `seen`: the whole interval is below the bound.
    """

    index: str
    bound: RecallBound
    n: int = 0
    value: float = 0.0
    lower: float = 0.0
    upper: float = 1.0

    @property
    def judged(self) -> bool:
        return self.n >= self.bound.min_queries

    @property
    def seen(self) -> bool:
        return self.judged and self.upper < self.bound.minimum


@dataclass(frozen=True)
class Parameters:
    """How a stream is judged.

    `tolerance` None: what the blocks of the baseline differ by. `spans` are lengths in windows, the
    first of which is judged. `budget_windows` is the number of windows in which one false alarm is
    borne: the threshold of the evidence. `epoch` names the baseline: another one learns anew.
    `recall` None: it is not judged.
    """

    release: str
    roles: tuple[TrafficRole, ...] = (TrafficRole.QUERY,)
    baseline: BaselineKind = BaselineKind.TRAFFIC
    window_seconds: int = 300
    baseline_windows: int = 24
    tolerance: float | None = None
    spans: tuple[int, ...] = (1,)
    budget_windows: float = 8640.0
    min_samples: int = 200
    epoch: str = ""
    recall: RecallBound | None = None


@dataclass(frozen=True)
class Measured:
    """The distance of one span, with its 95 % interval, and the least that the span could have
    shown."""

    windows: int
    samples: int
    value: float
    lower: float
    upper: float
    min_detectable: float


@dataclass(frozen=True)
class OutOfBand:
    """A shape of the embeddings outside of what the baseline had."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class RoleReport:
    """What is known of one role after a window.

    `samples` are those of the last window, `invalid` those of it that were no embeddings. While
    `tolerance` is None the baseline is being learned: `learned` of `needed` windows. `measured` is
    empty where too few came. `began` is the window in which the evidence began to grow. `trouble`
    says why no baseline can be had, in words that stay the same.
    """

    role: TrafficRole
    samples: int = 0
    invalid: int = 0
    learned: int = 0
    needed: int = 0
    tolerance: float | None = None
    block_calibrated: bool = False
    measured: tuple[Measured, ...] = ()
    evidence_log10: float = 0.0
    threshold_log10: float = 0.0
    out_of_band: tuple[OutOfBand, ...] = ()
    geometry_streak: int = 0
    seen: frozenset[Seen] = frozenset()
    began: int | None = None
    trouble: str = ""

    @property
    def judged(self) -> Measured | None:
        """The first span: what is compared with the tolerance."""
        return self.measured[0] if self.measured else None


@dataclass(frozen=True)
class DriftReport:
    """What is known of a policy after a window.

    `problem` says in words that stay the same why nothing came; without `watchable` nothing can
    come. `pods` are those that were asked, `answered` those that gave sketches. `note` tells what
    was left out, or cannot be kept. `recalls` are empty where no recall was asked for or nothing of
    it came.
    """

    release: str
    window: int
    window_seconds: int
    roles: tuple[RoleReport, ...] = ()
    problem: str = ""
    watchable: bool = True
    pods: int = 0
    answered: int = 0
    note: str = ""
    recalls: tuple[RecallReport, ...] = ()

    @property
    def ends_at(self) -> int:
        """Unix seconds at which the window ended."""
        return (self.window + 1) * self.window_seconds


@dataclass(frozen=True)
class Shape:
    """A gauge of live embeddings, and what it is of held-out ones. `error` is the standard error of
    the first by the second, from how many embeddings each is of."""

    value: float
    held_out: float
    error: float


@dataclass(frozen=True)
class SquaredDistance:
    """MMD^2 of live embeddings to the held-out ones, without bias: it may be negative. `error` is
    its standard error, `lambda1` the largest eigenvalue of the held-out features' covariance."""

    value: float
    error: float
    lambda1: float


@dataclass(frozen=True)
class Embedded:
    """What one release embedded in some windows, beside its own held-out baseline.

    Of those `sampled`, `n` are distinct and valid, and `invalid` counts others by reason. A gauge
    that so few embeddings do not have is absent, as is the distance of fewer than two.
    """

    release: str
    n: int = 0
    sampled: int = 0
    invalid: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    distance: SquaredDistance | None = None
