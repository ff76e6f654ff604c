"""Sketches as JSON between pods and who watches them: strict, and bounded.

What comes from a pod may be torn or hostile. Every number has a bound, and those that depend on one
another are held against one another, before anything is summed.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np
from pydantic import Field

from lockstep_core.drift import vectors
from lockstep_core.drift.errors import SketchError
from lockstep_core.drift.features import MAX_DIM, MAX_SIZE
from lockstep_core.drift.reservoir import EIGENVALUES, FULL, ReservoirSums
from lockstep_core.drift.sketch import BetSums, Counters, Invalid, Sketch, Span
from lockstep_core.drift.wire import (
    Base64,
    Count,
    Key,
    NotNegative,
    Number,
    Role,
    parse,
)
from lockstep_core.protocol.base import Contract, Sha256

SKETCH_SCHEMA: Literal["lockstep.dev/drift-sketch/v1"] = "lockstep.dev/drift-sketch/v1"
MAX_BYTES = 512 * 1024
MAX_BETS = 16


class CountersWire(Contract):
    observed: Count = 0
    sampled: Count = 0
    dropped: Count = 0
    duplicates: Count = 0
    nan: Count = 0
    zero: Count = 0
    dim: Count = 0
    norm: Count = 0


class ReservoirWire(Contract):
    rows: Count = 0
    pairs: Count = 0
    cosine2: NotNegative = 0.0
    full: Count = 0
    rank: NotNegative = 0.0
    spectrum_rows: Count = 0
    trace2: Number = 0.0
    full_spectra: Count = 0
    eigenvalues: list[NotNegative] = Field(default_factory=list, max_length=EIGENVALUES)


class BetSumsWire(Contract):
    key: Key
    digest: Sha256
    n: Count
    sum_h: Number
    sum_h2: NotNegative
    sum_log1p: Number = Field(alias="sumLog1p")


class SketchWire(Contract):
    schema_: Literal["lockstep.dev/drift-sketch/v1"] = Field(alias="schema")
    features_digest: Sha256
    role: Role
    window: int = Field(ge=0, le=2**53)
    window_seconds: int = Field(ge=1, le=86_400)
    windows: int = Field(default=1, ge=1, le=100_000)
    size: int = Field(ge=2, le=MAX_SIZE)
    dim: int = Field(ge=1, le=MAX_DIM)
    n: Count
    sum_phi: Base64
    sum_unit: Base64
    sum_norm: NotNegative
    sum_norm2: NotNegative
    counters: CountersWire
    reservoir: ReservoirWire
    bets: list[BetSumsWire] = Field(default_factory=list, max_length=MAX_BETS)


def sketch_to_wire(sketch: Sketch) -> dict[str, Any]:
    """JSON-ready; sums of vectors are rounded to float32."""
    return {
        "schema": SKETCH_SCHEMA,
        "featuresDigest": sketch.features_digest,
        "role": sketch.role,
        "window": sketch.span.first,
        "windowSeconds": sketch.span.seconds,
        "windows": sketch.span.windows,
        "size": len(sketch.sum_phi),
        "dim": len(sketch.sum_unit),
        "n": sketch.n,
        "sumPhi": vectors.encode(sketch.sum_phi),
        "sumUnit": vectors.encode(sketch.sum_unit),
        "sumNorm": sketch.sum_norm,
        "sumNorm2": sketch.sum_norm2,
        "counters": _counters(sketch.counters),
        "reservoir": _reservoir(sketch.reservoir),
        "bets": [
            {
                "key": key,
                "digest": digest,
                "n": sums.n,
                "sumH": sums.sum_h,
                "sumH2": sums.sum_h2,
                "sumLog1p": sums.sum_log1p,
            }
            for (key, digest), sums in sorted(sketch.bets.items())
        ],
    }


def _counters(counters: Counters) -> dict[str, int]:
    return {
        "observed": counters.observed,
        "sampled": counters.sampled,
        "dropped": counters.dropped,
        "duplicates": counters.duplicates,
        **{str(reason): counters.invalid.get(reason, 0) for reason in Invalid},
    }


def _reservoir(held: ReservoirSums) -> dict[str, Any]:
    return {
        "rows": held.rows,
        "pairs": held.pairs,
        "cosine2": held.cosine2,
        "full": held.full,
        "rank": held.rank,
        "spectrumRows": held.spectrum_rows,
        "trace2": held.trace2,
        "fullSpectra": held.full_spectra,
        "eigenvalues": held.eigenvalues.tolist() if held.full_spectra else [],
    }


def sketch_from_json(data: bytes | str) -> Sketch:
    """As `sketch_from_wire`, of at most 512 KiB of JSON."""
    if len(data) > MAX_BYTES:
        raise SketchError(f"sketch: {len(data)} bytes, above {MAX_BYTES}; ask its sender again")
    try:
        return sketch_from_wire(json.loads(data))
    except SketchError:
        raise
    except (ValueError, RecursionError) as error:
        raise SketchError(f"sketch: is no JSON ({error}); ask its sender again") from None


def sketch_from_wire(content: object) -> Sketch:
    """A sketch of parsed JSON. Raises SketchError, naming the field, for what is not of the schema,
    out of bounds, or contradicts itself."""
    wire = parse(SketchWire, content, "sketch")
    counts, held = wire.counters, wire.reservoir
    invalid = {reason: count for reason in Invalid if (count := getattr(counts, reason))}
    eigenvalues = np.zeros(EIGENVALUES)
    eigenvalues[: len(held.eigenvalues)] = held.eigenvalues
    sketch = Sketch(
        wire.features_digest,
        wire.role,
        Span(wire.window, wire.window_seconds, wire.windows),
        wire.n,
        vectors.decode(wire.sum_phi, wire.size, "sumPhi"),
        vectors.decode(wire.sum_unit, wire.dim, "sumUnit"),
        wire.sum_norm,
        wire.sum_norm2,
        Counters(counts.observed, counts.sampled, counts.dropped, counts.duplicates, invalid),
        ReservoirSums(
            held.rows,
            held.pairs,
            held.cosine2,
            held.full,
            held.rank,
            held.spectrum_rows,
            held.trace2,
            held.full_spectra,
            eigenvalues,
        ),
        {
            (bet.key, bet.digest): BetSums(bet.n, bet.sum_h, bet.sum_h2, bet.sum_log1p)
            for bet in wire.bets
        },
    )
    for holds, what in _relations(sketch):
        if not holds:
            raise SketchError(f"sketch: {what}; leave it out, and ask its sender again")
    if len(sketch.bets) < len(wire.bets):
        raise SketchError("sketch: `bets` names one bet twice; leave it out")
    return sketch


def _relations(sketch: Sketch) -> list[tuple[bool, str]]:
    """What holds of every sketch, and what is wrong where it does not."""
    n, counters, held = sketch.n, sketch.counters, sketch.reservoir
    used = n + counters.duplicates + counters.invalid_total
    above = n * (1 + 1e-4) + 1e-6
    return [
        (used == counters.sampled, f"`sampled` is {counters.sampled}, not {used} as its parts"),
        (
            counters.sampled + counters.dropped <= counters.observed,
            f"`observed` is {counters.observed}, below what was sampled and dropped",
        ),
        (float(np.linalg.norm(sketch.sum_phi)) <= above, f"`sumPhi` is longer than n {n}"),
        (float(np.linalg.norm(sketch.sum_unit)) <= above, f"`sumUnit` is longer than n {n}"),
        (
            sketch.sum_norm**2 <= n * sketch.sum_norm2 * (1 + 1e-4),
            f"`sumNorm` {sketch.sum_norm} is too large for `sumNorm2` {sketch.sum_norm2}",
        ),
        (n > 0 or sketch.sum_norm2 == 0, f"`sumNorm2` is {sketch.sum_norm2} of n 0"),
        (held.rows <= n, f"`rows` is {held.rows}, above n {n}"),
        (held.spectrum_rows <= held.rows, f"`spectrumRows` {held.spectrum_rows} is above `rows`"),
        (2 * held.pairs <= held.rows * (held.rows - 1), f"`pairs` {held.pairs} is too large"),
        (held.cosine2 <= held.pairs * (1 + 1e-4), f"`cosine2` {held.cosine2} is above `pairs`"),
        (FULL * held.full <= held.rows, f"`full` {held.full} is too large for `rows`"),
        (held.rank <= FULL * held.full, f"`rank` {held.rank} is too large for `full`"),
        (held.full_spectra <= held.full, f"`fullSpectra` {held.full_spectra} is above `full`"),
        (abs(held.trace2) <= 2 * held.spectrum_rows, f"`trace2` {held.trace2} is too large"),
        (
            float(held.eigenvalues.sum()) <= 1.1 * held.full_spectra,
            "`eigenvalues` are more than `fullSpectra` can have",
        ),
        *(_of_bet(key, bet, n) for (key, _), bet in sketch.bets.items()),
    ]


def _of_bet(key: str, bet: BetSums, n: int) -> tuple[bool, str]:
    holds = (
        bet.n <= n
        and abs(bet.sum_h) <= 4 * bet.n
        and bet.sum_h2 <= 16 * bet.n
        and -0.7 * bet.n <= bet.sum_log1p <= 0.5 * bet.n
    )
    return holds, f"`bets` {key}: {bet} is no sum of {n}"
