"""Prometheus metrics of a Job."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from lockstep_core.protocol import metrics
from lockstep_core.protocol.progress import Phase, Progress


class JobMetrics:
    """Gauges in a registry of their own, labelled with program and release."""

    def __init__(self, program: str, release: str) -> None:
        self._registry = CollectorRegistry()
        self._common = {"program": program, "release": release}
        self._gauges = {
            row: Gauge(row.name, row.help, row.labels, registry=self._registry)
            for row in metrics.JOB
        }

    def update(self, progress: Progress) -> None:
        for phase in Phase:
            self._set(metrics.JOB_PHASE, float(phase is progress.phase), phase=phase.value)
        self._set(metrics.JOB_DONE, progress.done)
        self._set(metrics.JOB_TOTAL, progress.total)
        self._set(metrics.JOB_RATE, progress.items_per_second or 0.0)
        self._set(metrics.JOB_ETA, _or_nan(progress.eta_seconds))
        self._set(metrics.JOB_WARNINGS, len(progress.warnings))
        for name, value in progress.metrics.items():
            self._set(metrics.JOB_VALUE, value, name=name)

    def _set(self, gauge: metrics.Metric, value: float, **labels: str) -> None:
        self._gauges[gauge].labels(**self._common, **labels).set(value)

    def render(self) -> bytes:
        """Text exposition format."""
        return generate_latest(self._registry)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
