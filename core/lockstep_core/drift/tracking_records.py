"""The state of a tracker as JSON, strict and bounded, so that a restart goes on where it was.

Reports are part of it: what was told last is known before the next window closes.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, ValidationError

from lockstep_core.drift import baseline_file, evidence_record
from lockstep_core.drift.calm import Calm
from lockstep_core.drift.errors import DriftError
from lockstep_core.drift.geometry import Gauge, GeometryState
from lockstep_core.drift.role_tracking import MOST_LEARNED, RoleState
from lockstep_core.drift.sketch_wire import sketch_from_wire, sketch_to_wire
from lockstep_core.drift.span_sums import PARTS, SpanSums
from lockstep_core.drift.tracking import TrackingState
from lockstep_core.protocol.base import Contract, Sha256
from lockstep_core.protocol.drift import (
    BaselineKind,
    Measured,
    OutOfBand,
    RoleReport,
    Seen,
)
from lockstep_core.protocol.monitoring import TrafficRole

SCHEMA: Literal["lockstep.dev/drift-tracking/v1"] = "lockstep.dev/drift-tracking/v1"
MAX_BYTES = 1_048_576


class ReportWire(Contract):
    """A `RoleReport`; see there."""

    role: TrafficRole
    samples: int
    invalid: int
    learned: int
    needed: int
    tolerance: float | None = None
    block_calibrated: bool
    measured: list[tuple[int, int, float, float, float, float]] = Field(max_length=8)
    evidence_log10: float
    threshold_log10: float
    out_of_band: list[tuple[str, float, float, float]] = Field(max_length=len(Gauge))
    geometry_streak: int
    seen: list[Seen] = Field(max_length=len(Seen))
    began: int | None = None
    trouble: str = Field(max_length=2000)


class SpanWire(Contract):
    windows: int = Field(ge=1)
    parts: list[dict[str, Any]] = Field(max_length=PARTS + 1)


class RoleWire(Contract):
    role: TrafficRole
    learned: list[dict[str, Any]] = Field(max_length=MOST_LEARNED)
    baseline: dict[str, Any] | None = None
    evidence: dict[str, Any] | None = None
    geometry: dict[Gauge, int]
    spans: list[SpanWire] = Field(max_length=8)
    # Of before windows were added up: the count alone is begun anew.
    quiet: int = Field(ge=0)
    calm: dict[str, Any] | None = None
    began: int | None = None
    trouble: str = Field(max_length=2000)


class StateWire(Contract):
    schema_: Literal["lockstep.dev/drift-tracking/v1"] = Field(alias="schema")
    key: str = Field(max_length=128)
    release: str = Field(max_length=253)
    baseline: BaselineKind
    window_seconds: int = Field(ge=1, le=86_400)
    epoch: str = Field(max_length=128)
    features_digest: Sha256 | None = None
    window: int | None = None
    roles: list[RoleWire] = Field(max_length=len(TrafficRole))
    reports: list[ReportWire] = Field(max_length=len(TrafficRole))


def state_to_json(state: TrackingState) -> str:
    """Compact; the same state gives the same text."""
    wire = {
        "schema": SCHEMA,
        "key": state.key,
        "release": state.release,
        "baseline": str(state.baseline),
        "windowSeconds": state.window_seconds,
        "epoch": state.epoch,
        "featuresDigest": state.features_digest,
        "window": state.window,
        "roles": [_role_to_wire(role, one) for role, one in sorted(state.roles.items())],
        "reports": [_report_to_wire(report) for report in state.reports],
    }
    return json.dumps(wire, separators=(",", ":"), allow_nan=False)


def state_from_json(text: str) -> TrackingState:
    """Raises DriftError for what `state_to_json` did not write, or wrote in another version."""
    if len(text) > MAX_BYTES:
        raise DriftError(f"drift state: {len(text)} bytes, above {MAX_BYTES}; it begins anew")
    try:
        wire = StateWire.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise DriftError(f"drift state: `{where}`: {first['msg']}; it begins anew") from None
    return TrackingState(
        key=wire.key,
        release=wire.release,
        baseline=wire.baseline,
        window_seconds=wire.window_seconds,
        epoch=wire.epoch,
        features_digest=wire.features_digest,
        window=wire.window,
        roles={one.role: _role_of(one) for one in wire.roles},
        reports=tuple(_report_of(one) for one in wire.reports),
    )


def _role_to_wire(role: TrafficRole, state: RoleState) -> dict[str, Any]:
    baseline, known = state.baseline, state.evidence
    digest = baseline.features_digest if baseline is not None else ""
    return {
        "role": str(role),
        "learned": [sketch_to_wire(sketch) for sketch in state.learned],
        "baseline": None if baseline is None else baseline_file.to_wire(baseline),
        "evidence": None if known is None else evidence_record.to_wire(known, digest),
        "geometry": {str(gauge): count for gauge, count in sorted(state.geometry.outside.items())},
        "spans": [
            {"windows": sums.windows, "parts": [sketch_to_wire(part) for part in sums.parts]}
            for sums in state.spans
        ],
        "quiet": state.calm.windows,
        "calm": None if state.calm.total is None else sketch_to_wire(state.calm.total),
        "began": state.began,
        "trouble": state.trouble[:2000],
    }


def _role_of(wire: RoleWire) -> RoleState:
    return RoleState(
        learned=tuple(sketch_from_wire(one) for one in wire.learned),
        baseline=None if wire.baseline is None else baseline_file.from_wire(wire.baseline),
        evidence=None if wire.evidence is None else evidence_record.from_wire(wire.evidence),
        geometry=GeometryState(wire.geometry),
        spans=tuple(
            SpanSums(span.windows, tuple(sketch_from_wire(part) for part in span.parts))
            for span in wire.spans
        ),
        calm=Calm() if wire.calm is None else Calm(wire.quiet, sketch_from_wire(wire.calm)),
        began=wire.began,
        trouble=wire.trouble,
    )


def _report_to_wire(report: RoleReport) -> dict[str, Any]:
    return {
        "role": str(report.role),
        "samples": report.samples,
        "invalid": report.invalid,
        "learned": report.learned,
        "needed": report.needed,
        "tolerance": report.tolerance,
        "blockCalibrated": report.block_calibrated,
        "measured": [
            [one.windows, one.samples, one.value, one.lower, one.upper, one.min_detectable]
            for one in report.measured
        ],
        "evidenceLog10": report.evidence_log10,
        "thresholdLog10": report.threshold_log10,
        "outOfBand": [[one.name, one.value, one.low, one.high] for one in report.out_of_band],
        "geometryStreak": report.geometry_streak,
        "seen": sorted(report.seen),
        "began": report.began,
        "trouble": report.trouble[:2000],
    }


def _report_of(wire: ReportWire) -> RoleReport:
    return RoleReport(
        role=wire.role,
        samples=wire.samples,
        invalid=wire.invalid,
        learned=wire.learned,
        needed=wire.needed,
        tolerance=wire.tolerance,
        block_calibrated=wire.block_calibrated,
        measured=tuple(Measured(*one) for one in wire.measured),
        evidence_log10=wire.evidence_log10,
        threshold_log10=wire.threshold_log10,
        out_of_band=tuple(OutOfBand(*one) for one in wire.out_of_band),
        geometry_streak=wire.geometry_streak,
        seen=frozenset(wire.seen),
        began=wire.began,
        trouble=wire.trouble,
    )
