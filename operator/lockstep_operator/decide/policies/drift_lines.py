"""A report of the tracker as a person reads it: value, bound, verdict, evidence.

Distances have three decimals and evidence one: a quiet stream looks the same from window to window
but for what really moves.
"""

from __future__ import annotations

from lockstep_core.protocol.drift import DriftReport, OutOfBand, RecallReport, RoleReport, Seen
from lockstep_operator.api.drift_policy import DriftPolicySpec

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def length_text(seconds: int) -> str:
    """`5m`, `30d`, `90s`."""
    size, unit = next((s, u) for s, u in _UNITS if seconds % s == 0)
    return f"{seconds // size}{unit}"


def budget_text(spec: DriftPolicySpec) -> str:
    """`1 false alarm/30d`."""
    budget = spec.false_alarm_budget
    alarms = "alarm" if budget.count == 1 else "alarms"
    return f"{budget.count} false {alarms}/{length_text(budget.per_seconds)}"


def role_line(spec: DriftPolicySpec, report: DriftReport, role: RoleReport) -> str:
    """Everything that is known of one role, in one line."""
    name, parts = role.role.lower(), []
    if role.tolerance is None:
        parts.append(_learning(spec, role))
    elif is_just_learned(spec, role):
        parts.append(f"{name}: the baseline is learned, and the next window is judged")
    elif role.judged is None:
        parts.append(
            f"{name} drift has no verdict: {role.samples} of {spec.min_samples} embeddings in the"
            " last window"
        )
    else:
        parts.append(_judged(report, role))
    if role.tolerance is not None:
        parts.append(
            f"evidence 10^{role.evidence_log10:.1f} of 10^{role.threshold_log10:.1f}"
            f" ({budget_text(spec)})"
        )
        if role.judged is not None:
            parts.append(f"detects >= {role.judged.min_detectable:.3f}")
    parts += [role.trouble] if role.trouble else []
    parts += [_shape(one) for one in role.out_of_band if Seen.GEOMETRY in role.seen]
    if role.invalid:
        parts.append(f"{role.invalid} embeddings of the last window are invalid")
    return "; ".join(parts)


def is_just_learned(spec: DriftPolicySpec, role: RoleReport) -> bool:
    """Whether the last window, which is not lacking, completed the baseline: it judges none of its
    own windows."""
    return role.tolerance is not None and role.judged is None and role.samples >= spec.min_samples


def recall_lines(report: DriftReport) -> list[str]:
    """Each index that was asked, in a line."""
    alone = len(report.recalls) == 1
    return [_recall(report, one, "" if alone else f" {one.index}") for one in report.recalls]


def _recall(report: DriftReport, one: RecallReport, name: str) -> str:
    bound, length = one.bound, length_text(one.bound.windows * report.window_seconds)
    what = f"index{name} recall@{bound.k}"
    if not one.judged:
        return f"{what} has no verdict: {one.n} of {bound.min_queries} searches in {length}"
    sign = ">=" if one.value >= bound.minimum else "<"
    return (
        f"{what} {one.value:.3f} [{one.lower:.3f}, {one.upper:.3f}] {sign} {bound.minimum:.3f}"
        f" {_recall_word(one)}; n={one.n}/{length}"
    )


def _recall_word(one: RecallReport) -> str:
    if one.seen:
        return "LOW"
    if one.value < one.bound.minimum:
        return "not shown"
    return "OK" if one.lower >= one.bound.minimum else "OK (not shown)"


def _learning(spec: DriftPolicySpec, role: RoleReport) -> str:
    lacking = ""
    if role.samples < spec.min_samples:
        lacking = f" (the last one had {role.samples}, a window counts from {spec.min_samples} on)"
    return f"{role.role.lower()}: {role.learned} of {role.needed} windows are learned{lacking}"


def _judged(report: DriftReport, role: RoleReport) -> str:
    found, tolerance = role.judged, role.tolerance
    assert found is not None and tolerance is not None
    sign = "<=" if found.value <= tolerance else ">"
    length = length_text(found.windows * report.window_seconds)
    return (
        f"{role.role.lower()} drift MMD {found.value:.3f} [{found.lower:.3f}, {found.upper:.3f}]"
        f" {sign} {tolerance:.3f} {_word(role)}; n={found.samples}/{length}"
    )


def _word(role: RoleReport) -> str:
    found, tolerance = role.judged, role.tolerance
    assert found is not None and tolerance is not None
    if {Seen.EVIDENCE, Seen.LOWER_BOUND} & role.seen:
        return "DRIFT"
    if found.value <= tolerance:
        return "OK" if found.upper <= tolerance else "OK (not shown)"
    return "not shown"


def _shape(one: OutOfBand) -> str:
    return f"{one.name} {one.value:.3f} is outside of [{one.low:.3f}, {one.high:.3f}]"
