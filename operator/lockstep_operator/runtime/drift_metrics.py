"""Series of the drift policies: a row each, made of the last report when they are asked for.

What a policy no longer has is not exported: absent is neither 0 nor NaN. Thresholds stand beside
values, so that an alert needs no copy of a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lockstep_core.protocol.drift import DriftReport, Measured, RecallReport, RoleReport
from lockstep_operator.runtime.metrics import REGISTRY

LABELS = ("namespace", "model", "policy", "release", "role")
SPAN = "window_seconds"
OF_RECALL = ("namespace", "model", "policy", "release", "index", "k")


@dataclass(frozen=True)
class Watched:
    """The last report of a policy."""

    namespace: str
    model: str
    policy: str
    report: DriftReport


@dataclass(frozen=True)
class Row:
    """A series of a role, of each of its spans, or of an index that is judged."""

    name: str
    help: str
    of_role: Callable[[Watched, RoleReport], float | None] | None = None
    of_span: Callable[[Measured], float] | None = None
    of_recall: Callable[[RecallReport], float] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        if self.of_recall is not None:
            return OF_RECALL
        return LABELS if self.of_span is None else (*LABELS, SPAN)


ROWS = (
    Row(
        "lockstep_drift_mmd",
        "Distance (MMD, 0 to 1.41) of live embeddings from their baseline.",
        of_span=lambda span: span.value,
    ),
    Row(
        "lockstep_drift_mmd_lower",
        "Lower end of its 95 % interval.",
        of_span=lambda span: span.lower,
    ),
    Row(
        "lockstep_drift_mmd_upper",
        "Upper end of its 95 % interval.",
        of_span=lambda span: span.upper,
    ),
    Row(
        "lockstep_drift_min_detectable_mmd",
        "The least distance that a span of so many embeddings shows, with 80 % power.",
        of_span=lambda span: span.min_detectable,
    ),
    Row(
        "lockstep_drift_samples",
        "Embeddings of a span, of all pods together.",
        of_span=lambda span: float(span.samples),
    ),
    Row(
        "lockstep_drift_tolerance_mmd",
        "Distance that is no drift yet.",
        of_role=lambda _, role: role.tolerance,
    ),
    Row(
        "lockstep_drift_evidence_log10",
        "Evidence of drift beyond the tolerance: log10 of what the bets against it won.",
        of_role=lambda _, role: role.evidence_log10 if role.tolerance is not None else None,
    ),
    Row(
        "lockstep_drift_evidence_threshold_log10",
        "Evidence at which there is an alarm, by the budget of false alarms.",
        of_role=lambda _, role: role.threshold_log10 if role.tolerance is not None else None,
    ),
    Row(
        "lockstep_drift_window_samples",
        "Embeddings of the last window, of all pods together.",
        of_role=lambda _, role: float(role.samples),
    ),
    Row(
        "lockstep_drift_invalid_samples",
        "Embeddings of the last window that are invalid.",
        of_role=lambda _, role: float(role.invalid),
    ),
    Row(
        "lockstep_drift_drifting",
        "1 while something is seen that actions answer to.",
        of_role=lambda _, role: float(bool(role.seen)),
    ),
    Row(
        "lockstep_drift_last_window_timestamp_seconds",
        "End of the last window that was judged: older than two windows, nothing is watched.",
        of_role=lambda watched, _: float(watched.report.ends_at),
    ),
    Row(
        "lockstep_drift_recall",
        "Index recall@k of live searches, over the span of the policy.",
        of_recall=lambda recall: recall.value,
    ),
    Row(
        "lockstep_drift_recall_lower",
        "Lower end of its 95 % interval.",
        of_recall=lambda recall: recall.lower,
    ),
    Row(
        "lockstep_drift_recall_upper",
        "Upper end of its 95 % interval: below the bound, recall is low.",
        of_recall=lambda recall: recall.upper,
    ),
    Row(
        "lockstep_drift_recall_min",
        "The bound of the policy.",
        of_recall=lambda recall: recall.bound.minimum,
    ),
    Row(
        "lockstep_drift_recall_queries",
        "Searches of the span, of all pods together.",
        of_recall=lambda recall: float(recall.n),
    ),
)


class DriftSeries(Collector):
    """What is watched now. A policy that goes takes its series with it."""

    def __init__(self) -> None:
        self._watched: dict[str, Watched] = {}

    def note(self, uid: str, watched: Watched) -> None:
        self._watched[uid] = watched

    def forget(self, uid: str) -> None:
        self._watched.pop(uid, None)

    def collect(self) -> Iterator[Metric]:
        for row in ROWS:
            family = GaugeMetricFamily(row.name, row.help, labels=list(row.labels))
            for watched in list(self._watched.values()):
                _add_recall(family, row, watched)
                for role in watched.report.roles:
                    _add(family, row, watched, role)
            yield family


def _add_recall(family: GaugeMetricFamily, row: Row, watched: Watched) -> None:
    if row.of_recall is None:
        return
    own = [watched.namespace, watched.model, watched.policy, watched.report.release]
    for recall in watched.report.recalls:
        if recall.judged:
            family.add_metric([*own, recall.index, str(recall.bound.k)], row.of_recall(recall))


def _add(family: GaugeMetricFamily, row: Row, watched: Watched, role: RoleReport) -> None:
    report = watched.report
    own = [watched.namespace, watched.model, watched.policy, report.release, role.role.value]
    if row.of_role is not None:
        value = row.of_role(watched, role)
        if value is not None:
            family.add_metric(own, value)
    if row.of_span is not None:
        for span in role.measured:
            length = str(span.windows * report.window_seconds)
            family.add_metric([*own, length], row.of_span(span))


SERIES = DriftSeries()
REGISTRY.register(SERIES)
