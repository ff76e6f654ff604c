"""Baselines as JSON, for an artifact or a ConfigMap: about 6 KiB at D = 1,024."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field

from lockstep_core.drift import vectors
from lockstep_core.drift.baseline import Baseline, BlockNull, Source
from lockstep_core.drift.errors import BaselineError, DriftError
from lockstep_core.drift.features import MAX_SIZE
from lockstep_core.drift.geometry import Bands, Gauge
from lockstep_core.drift.wire import Base64, Count, Number, Role, parse
from lockstep_core.protocol.base import Contract, Sha256

FILE = "baseline.json"
MAX_BYTES = 256 * 1024
_AGAIN = "make the baseline again"

Variance = Annotated[float, Field(gt=0, le=1.01, allow_inf_nan=False)]
Pair = Annotated[list[Number], Field(min_length=2, max_length=2)]


class BlockNullWire(Contract):
    count: int = Field(ge=2, le=1_000_000)
    n: int = Field(ge=2)
    q50: Number
    q95: Number
    q99: Number


class BandsWire(Contract):
    n: int = Field(ge=2)
    bands: dict[str, Pair] = Field(max_length=16)


class BaselineWire(Contract):
    schema_: Literal["lockstep.dev/drift-baseline/v1"] = Field(alias="schema")
    source: Literal["HeldOut", "Traffic"]
    role: Role
    features_digest: Sha256
    mean: Base64
    size: int = Field(ge=2, le=MAX_SIZE)
    n: Count
    trace: Variance
    trace2: Variance
    lambda1: Variance
    quantiles: list[Pair] = Field(min_length=2, max_length=64)
    blocks: BlockNullWire | None = None
    geometry: BandsWire | None = None
    digest: Sha256


def to_wire(baseline: Baseline) -> dict[str, Any]:
    """JSON-ready, with the digest."""
    return {**baseline.content, "digest": baseline.digest}


def to_json(baseline: Baseline) -> bytes:
    """Canonical: the same baseline makes the same bytes."""
    return vectors.canonical(to_wire(baseline))


def from_json(data: bytes | str, name: str = FILE) -> Baseline:
    """Raises BaselineError, naming the file and the fix, for what is torn, of another schema, out
    of bounds, or not what its digest says."""
    if len(data) > MAX_BYTES:
        raise BaselineError(f"{name}: {len(data)} bytes, above {MAX_BYTES}; {_AGAIN}")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"{name}: is no JSON ({error}); {_AGAIN}") from None
    return from_wire(content, name)


def from_wire(content: object, name: str = FILE) -> Baseline:
    """As `from_json`, of parsed JSON."""
    try:
        baseline, digest = _read(parse(BaselineWire, content, "baseline"))
    except DriftError as error:
        raise BaselineError(f"{name}: {error}; {_AGAIN}") from None
    if baseline.digest != digest:
        raise BaselineError(f"{name}: is {baseline.digest}, not {digest}; {_AGAIN}")
    return baseline


def _read(wire: BaselineWire) -> tuple[Baseline, str]:
    levels = [level for level, _ in wire.quantiles]
    values = [value for _, value in wire.quantiles]
    if not all(0 < level < 1 for level in levels) or any(b <= a for a, b in pairwise(levels)):
        raise BaselineError("`quantiles`: levels do not rise within 0 and 1")
    if any(b < a for a, b in pairwise(values)):
        raise BaselineError("`quantiles`: values fall")
    if wire.n < 2:
        raise BaselineError(f"`n` is {wire.n}, below 2")
    blocks, geometry = wire.blocks, wire.geometry
    baseline = Baseline(
        Source(wire.source),
        wire.role,
        wire.features_digest,
        vectors.decode(wire.mean, wire.size, "mean"),
        wire.n,
        wire.trace,
        wire.trace2,
        wire.lambda1,
        dict(zip(levels, values, strict=True)),
        None
        if blocks is None
        else BlockNull(blocks.count, blocks.n, blocks.q50, blocks.q95, blocks.q99),
        None if geometry is None else _bands(geometry),
    )
    return baseline, wire.digest


def _bands(wire: BandsWire) -> Bands:
    known = {str(gauge) for gauge in Gauge}
    # A gauge that a later version added is none that this one can judge.
    if unknown := wire.bands.keys() - known:
        raise BaselineError(f"`geometry`: {min(unknown)} is no gauge of {sorted(known)}")
    return Bands({Gauge(name): (low, high) for name, (low, high) in wire.bands.items()}, wire.n)
