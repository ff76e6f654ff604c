"""The sketch of one window: sums, so that the sketch of several pods, or of a longer span, is the
merge of theirs. Merge first, compare after: means of the pods' own distances lose the signal.

No embedding leaves a pod: a sketch holds sums over at least all of a window's embeddings, and
numbers of pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import reduce

import numpy as np

from lockstep_core.drift.errors import MismatchError
from lockstep_core.drift.reservoir import ReservoirSums
from lockstep_core.drift.vectors import Float64


class Invalid(StrEnum):
    """Why an embedding was not counted."""

    NAN = "nan"
    ZERO = "zero"
    DIM = "dim"
    NORM = "norm"


@dataclass(frozen=True)
class Counters:
    """Embeddings of a window. Of those `observed`, some were `sampled`, and some of the rest were
    `dropped` because a queue was full. A sampled one was used, or a duplicate, or invalid."""

    observed: int = 0
    sampled: int = 0
    dropped: int = 0
    duplicates: int = 0
    invalid: Mapping[Invalid, int] = field(default_factory=dict)

    @property
    def invalid_total(self) -> int:
        return sum(self.invalid.values())

    def __add__(self, other: Counters) -> Counters:
        reasons = {
            reason: count
            for reason in Invalid
            if (count := self.invalid.get(reason, 0) + other.invalid.get(reason, 0))
        }
        return Counters(
            self.observed + other.observed,
            self.sampled + other.sampled,
            self.dropped + other.dropped,
            self.duplicates + other.duplicates,
            reasons,
        )


@dataclass(frozen=True)
class BetSums:
    """Of the payoffs h of `n` embeddings under one bet: sum h, sum h^2, sum log(1 + lambda h)."""

    n: int = 0
    sum_h: float = 0.0
    sum_h2: float = 0.0
    sum_log1p: float = 0.0

    def __add__(self, other: BetSums) -> BetSums:
        return BetSums(
            self.n + other.n,
            self.sum_h + other.sum_h,
            self.sum_h2 + other.sum_h2,
            self.sum_log1p + other.sum_log1p,
        )


@dataclass(frozen=True)
class Span:
    """`windows` windows of `seconds` each, the first of which is number `first`: window w lasts
    from w * seconds to (w + 1) * seconds of Unix time, so that pods agree on it."""

    first: int
    seconds: int
    windows: int = 1

    @property
    def last(self) -> int:
        return self.first + self.windows - 1

    @property
    def start_unix(self) -> int:
        return self.first * self.seconds

    @property
    def end_unix(self) -> int:
        return (self.last + 1) * self.seconds


@dataclass(frozen=True, eq=False)
class Sketch:
    """Of `n` distinct valid embeddings x [dim], with their features phi [D].

    `sum_phi` [D]; `sum_unit` [dim], of x/||x||; `sum_norm`, `sum_norm2` of ||x|| and its square;
    `bets` by key (who asked) and digest (what was asked).
    """

    features_digest: str
    role: str
    span: Span
    n: int
    sum_phi: Float64
    sum_unit: Float64
    sum_norm: float = 0.0
    sum_norm2: float = 0.0
    counters: Counters = field(default_factory=Counters)
    reservoir: ReservoirSums = field(default_factory=ReservoirSums)
    bets: Mapping[tuple[str, str], BetSums] = field(default_factory=dict)

    @property
    def mean_phi(self) -> Float64:
        """[D]. Only of a sketch with n >= 1."""
        mean: Float64 = self.sum_phi / self.n
        return mean

    def bet(self, key: str, digest: str) -> BetSums:
        """What was won and lost by this bet. One that no pod knew gives zeros, which is a bet of
        nothing: the evidence stays valid."""
        return self.bets.get((key, digest), BetSums())


def empty(features_digest: str, size: int, dim: int, span: Span, role: str = "Query") -> Sketch:
    """The sketch of no embedding: merged with any of its kind, it changes nothing."""
    return Sketch(features_digest, role, span, 0, np.zeros(size), np.zeros(dim))


def merge(one: Sketch, other: Sketch) -> Sketch:
    """The sketch of the embeddings of both, which are of one span. Associative and commutative.

    Raises MismatchError, naming both, for other features, roles or spans.
    """
    if one.span != other.span:
        raise MismatchError("span", one.span, other.span, "merge sketches of one window")
    return _sum(one, other, one.span)


def merge_all(sketches: Iterable[Sketch]) -> Sketch:
    """Of one or more sketches of one span. Raises as `merge` does, and ValueError for none."""
    many = list(sketches)
    if not many:
        raise ValueError("there is no sketch to merge; give at least one")
    return reduce(merge, many)


def join(sketches: Iterable[Sketch]) -> Sketch:
    """The sketch of a longer span, of windows in their order; windows between may be absent, and
    count as part of the span.

    Raises MismatchError for other features, roles or lengths of window, and for spans that overlap.
    """
    many = sorted(sketches, key=lambda sketch: sketch.span.first)
    if not many:
        raise ValueError("there is no sketch to join; give at least one")
    return reduce(_after, many)


def _after(one: Sketch, other: Sketch) -> Sketch:
    if one.span.seconds != other.span.seconds:
        raise MismatchError(
            "window seconds", one.span.seconds, other.span.seconds, "join windows of one length"
        )
    if other.span.first <= one.span.last:
        raise MismatchError("span", one.span, other.span, "join windows that do not overlap")
    span = replace(one.span, windows=other.span.last - one.span.first + 1)
    return _sum(one, other, span)


def _sum(one: Sketch, other: Sketch, span: Span) -> Sketch:
    same_kind(one.features_digest, other.features_digest)
    if one.role != other.role:
        raise MismatchError("role", one.role, other.role, "merge sketches of one role")
    for name in ("sum_phi", "sum_unit"):
        lengths = len(getattr(one, name)), len(getattr(other, name))
        if lengths[0] != lengths[1]:
            raise MismatchError(f"length of {name}", *lengths, "ask the sender again")
    keys = {**one.bets, **other.bets}
    return Sketch(
        one.features_digest,
        one.role,
        span,
        one.n + other.n,
        one.sum_phi + other.sum_phi,
        one.sum_unit + other.sum_unit,
        one.sum_norm + other.sum_norm,
        one.sum_norm2 + other.sum_norm2,
        one.counters + other.counters,
        one.reservoir + other.reservoir,
        {key: one.bet(*key) + other.bet(*key) for key in keys},
    )


def same_kind(one: str, other: str) -> None:
    """Raises MismatchError where two digests of features differ."""
    if one != other:
        raise MismatchError(
            "features digest", one, other, "compare embeddings of one release's own features"
        )
