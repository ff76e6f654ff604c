"""One role of a policy: its baseline is learned, then each window is judged by it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from lockstep_core.drift import evidence, geometry, mmd
from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.baseline_making import LEAST_BLOCKS, from_windows
from lockstep_core.drift.calm import Calm
from lockstep_core.drift.errors import BaselineError, DriftError
from lockstep_core.drift.evidence import EvidenceState, Terms
from lockstep_core.drift.geometry import GeometryState
from lockstep_core.drift.sketch import Sketch
from lockstep_core.drift.sketch_wire import sketch_to_wire
from lockstep_core.drift.span_sums import SpanSums, as_stored
from lockstep_core.protocol.drift import (
    INVALID_LEAST,
    INVALID_SHARE,
    BaselineKind,
    Measured,
    OutOfBand,
    Parameters,
    RoleReport,
    Seen,
)
from lockstep_core.protocol.monitoring import TrafficRole

MOST_LEARNED = 64
"""Windows of a baseline, also where each has few embeddings; the record holds as many."""
LEARNED_BYTES = 700_000
"""Of the sketches that are kept while a baseline is learned, as JSON: the state must fit beside
what else it holds into one object of 1 MiB."""


@dataclass(frozen=True, eq=False)
class RoleState:
    """`learned` are the windows of a baseline that is being learned, empty once it is there.
    `calm` are the windows since the drift while there is an alarm; `began` is the window since
    which K is above 1."""

    learned: tuple[Sketch, ...] = ()
    baseline: Baseline | None = None
    evidence: EvidenceState | None = None
    geometry: GeometryState = field(default_factory=GeometryState)
    spans: tuple[SpanSums, ...] = ()
    calm: Calm = field(default_factory=Calm)
    began: int | None = None
    trouble: str = ""


def step_role(
    key: str,
    role: TrafficRole,
    before: RoleState,
    window: int,
    sketch: Sketch | None,
    parameters: Parameters,
    held_out: Baseline | None,
) -> tuple[RoleState, RoleReport]:
    samples = sketch.n if sketch is not None else 0
    shown = RoleReport(role, samples=samples, invalid=_invalid(sketch))
    if before.baseline is None:
        after = _with_baseline(before, sketch, parameters, held_out)
        needed = _needed(after, parameters)
        if after.trouble:
            needed = max(needed, len(after.learned) + 1)
        shown = replace(shown, learned=len(after.learned), needed=needed, trouble=after.trouble)
        if after.baseline is None:
            return after, replace(shown, seen=_invalid_seen(sketch))
        # The windows that it was learned from are not judged by it.
        before, sketch = after, sketch if held_out is not None else None
    return _judge(key, before, window, sketch, parameters, shown)


def _judge(
    key: str,
    before: RoleState,
    window: int,
    sketch: Sketch | None,
    parameters: Parameters,
    shown: RoleReport,
) -> tuple[RoleState, RoleReport]:
    """One window against the baseline that is there."""
    baseline = before.baseline
    assert baseline is not None
    after = replace(before, spans=_spans(before, window, sketch, parameters))
    shown = replace(shown, block_calibrated=baseline.block_calibrated)
    tolerance = parameters.tolerance
    if tolerance is None and not baseline.block_calibrated:
        why = f"sampling error alone explains a distance of {baseline.sampling_error:.3f}"
        return after, replace(shown, trouble=why, seen=_invalid_seen(sketch))
    tolerance = baseline.epsilon_auto if tolerance is None else tolerance
    after = _with_evidence(key, after, window, sketch, tolerance, parameters)
    after = _with_geometry(after, sketch)
    measured = tuple(_measured(after, parameters))
    after = _quietened(after, measured, tolerance, window, sketch)
    assert after.evidence is not None
    report = replace(
        shown,
        tolerance=tolerance,
        measured=measured,
        evidence_log10=after.evidence.log10_k,
        threshold_log10=after.evidence.log10_threshold,
        out_of_band=_out_of_band(after, sketch),
        geometry_streak=max(after.geometry.outside.values(), default=0),
        seen=_seen(after, measured, tolerance, sketch),
        began=after.began,
        trouble=after.trouble,
    )
    return after, report


# -- the baseline


def _with_baseline(
    before: RoleState, sketch: Sketch | None, parameters: Parameters, held_out: Baseline | None
) -> RoleState:
    if parameters.baseline is BaselineKind.HELD_OUT:
        return replace(before, baseline=held_out)
    if sketch is None or sketch.n < parameters.min_samples:
        return before
    plain = as_stored(sketch)
    # Those that are asked for may have too few embeddings together: then more of them are kept.
    learned = (*before.learned, plain)[-_room(plain, parameters) :]
    if len(learned) < _needed(before, parameters, plain):
        return replace(before, learned=learned, trouble="")
    try:
        # The same windows give the same table of quantiles.
        baseline = from_windows(learned, np.random.default_rng(0))
    except BaselineError as error:
        # Too few embeddings: the next window is added, and the oldest makes room where none is.
        return replace(before, learned=learned, trouble=str(error))
    return RoleState(baseline=baseline)


def _needed(state: RoleState, parameters: Parameters, sketch: Sketch | None = None) -> int:
    """Windows that a baseline is learned from: as many as are asked for and can be kept."""
    if parameters.baseline is BaselineKind.HELD_OUT:
        return 0
    one = next(iter(state.learned), sketch)
    if one is None:
        return parameters.baseline_windows
    return min(parameters.baseline_windows, _room(one, parameters))


def _room(one: Sketch, parameters: Parameters) -> int:
    """Windows like this one that can be kept while a baseline is learned."""
    wire = sketch_to_wire(replace(one, bets={}))
    size = len(wire["sumPhi"]) + len(wire["sumUnit"]) + 1_024
    return min(MOST_LEARNED, max(LEAST_BLOCKS, LEARNED_BYTES // (len(parameters.roles) * size)))


# -- evidence


def _with_evidence(
    key: str,
    state: RoleState,
    window: int,
    sketch: Sketch | None,
    tolerance: float,
    parameters: Parameters,
) -> RoleState:
    baseline = state.baseline
    assert baseline is not None
    terms = Terms(epsilon=tolerance, threshold=max(1.01, parameters.budget_windows))
    known = state.evidence
    if known is None or known.terms != terms or known.baseline_digest != baseline.digest:
        known, state = evidence.begin(key, baseline, terms), replace(state, began=None, calm=Calm())
    if sketch is None:
        return replace(state, evidence=known)
    try:
        after = evidence.step(known, sketch, baseline)
    except DriftError as error:
        return replace(state, evidence=known, trouble=str(error))
    grows = after.log_k > 0 or after.alarm
    began = (state.began if state.began is not None else window) if grows else None
    return replace(state, evidence=after, began=began, trouble="")


def _quietened(
    state: RoleState,
    measured: tuple[Measured, ...],
    tolerance: float,
    window: int,
    sketch: Sketch | None,
) -> RoleState:
    """Ends an alarm when the windows since the drift are shown to be within the tolerance:
    evidence begins anew. What was won during a long drift would otherwise take as long to be lost
    again."""
    known, baseline = state.evidence, state.baseline
    assert known is not None and baseline is not None
    if not known.alarm:
        return replace(state, calm=Calm())
    if sketch is None or not measured:
        return state
    calm = state.calm.add(sketch, shows_drift=measured[0].lower > tolerance)
    if not calm.is_shown(baseline, tolerance):
        return replace(state, calm=calm)
    fresh = evidence.begin(known.key, baseline, known.terms)
    return replace(state, evidence=replace(fresh, window=window), calm=Calm(), began=None)


# -- what is seen


def _spans(
    state: RoleState, window: int, sketch: Sketch | None, parameters: Parameters
) -> tuple[SpanSums, ...]:
    known = {sums.windows: sums for sums in state.spans}
    spans = (known.get(windows, SpanSums(windows)).at(window) for windows in parameters.spans)
    if sketch is None:
        return tuple(spans)
    return tuple(sums.add(sketch) for sums in spans)


def _measured(state: RoleState, parameters: Parameters) -> list[Measured]:
    """The distance of each span that has enough; none where the first has not."""
    assert state.baseline is not None
    found = list[Measured]()
    for sums in state.spans:
        total = sums.total
        distance = mmd.distance(total, state.baseline, parameters.min_samples) if total else None
        if distance is None:
            if not found:
                return []
            continue
        found.append(
            Measured(
                sums.windows,
                distance.n,
                distance.mmd,
                distance.lower,
                distance.upper,
                distance.detectable,
            )
        )
    return found


def _with_geometry(state: RoleState, sketch: Sketch | None) -> RoleState:
    assert state.baseline is not None
    bands = state.baseline.geometry
    if sketch is None or bands is None:
        return state
    return replace(state, geometry=geometry.step(state.geometry, geometry.read(sketch), bands))


def _out_of_band(state: RoleState, sketch: Sketch | None) -> tuple[OutOfBand, ...]:
    """Of the gauges that this window has, those that were outside for long enough."""
    if state.baseline is None or state.baseline.geometry is None or sketch is None:
        return ()
    bands, gauges = state.baseline.geometry.bands, geometry.read(sketch)
    found = (gauge for gauge in state.geometry.violations if gauge in gauges)
    return tuple(OutOfBand(str(gauge), gauges[gauge], *bands[gauge]) for gauge in found)


def _seen(
    state: RoleState, measured: tuple[Measured, ...], tolerance: float, sketch: Sketch | None
) -> frozenset[Seen]:
    seen = set(_invalid_seen(sketch))
    if state.evidence is not None and state.evidence.alarm:
        seen.add(Seen.EVIDENCE)
    if measured and measured[0].lower > tolerance:
        seen.add(Seen.LOWER_BOUND)
    if state.geometry.violations:
        seen.add(Seen.GEOMETRY)
    return frozenset(seen)


def _invalid(sketch: Sketch | None) -> int:
    return sketch.counters.invalid_total if sketch is not None else 0


def _invalid_seen(sketch: Sketch | None) -> frozenset[Seen]:
    invalid = _invalid(sketch)
    least = max(
        INVALID_LEAST, math.ceil(INVALID_SHARE * (sketch.counters.sampled if sketch else 0))
    )
    return frozenset({Seen.INVALID}) if invalid >= least else frozenset()
