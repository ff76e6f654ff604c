"""Prometheus metrics of a Job. The table is the contract with rules and dashboards."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from lockstep_core.protocol.progress import Phase, Progress

PHASE = "lockstep_job_phase"
DONE = "lockstep_job_done_units"
TOTAL = "lockstep_job_total_units"
RATE = "lockstep_job_units_per_second"
ETA = "lockstep_job_eta_seconds"
VALUE = "lockstep_job_value"
WARNINGS = "lockstep_job_warnings"

TABLE: dict[str, tuple[str, tuple[str, ...]]] = {
    PHASE: ("1 for the phase that the Job is in, else 0.", ("phase",)),
    DONE: ("Units (steps, rows or queries) of the phase that are done.", ()),
    TOTAL: ("Units of the phase; 0 when unknown.", ()),
    RATE: ("Units per second since the phase began.", ()),
    ETA: ("Seconds until the phase ends, at that rate; NaN when unknown.", ()),
    VALUE: ("The latest value of a measure of the work, such as loss.", ("name",)),
    WARNINGS: ("Warnings so far.", ()),
}


class JobMetrics:
    """Gauges in a registry of their own, labelled with program and release."""

    def __init__(self, program: str, release: str) -> None:
        self._registry = CollectorRegistry()
        self._common = {"program": program, "release": release}
        self._gauges = {
            name: Gauge(name, text, (*self._common, *labels), registry=self._registry)
            for name, (text, labels) in TABLE.items()
        }

    def update(self, progress: Progress) -> None:
        for phase in Phase:
            self._set(PHASE, float(phase is progress.phase), phase=phase.value)
        self._set(DONE, progress.done)
        self._set(TOTAL, progress.total)
        self._set(RATE, progress.items_per_second or 0.0)
        self._set(ETA, _or_nan(progress.eta_seconds))
        self._set(WARNINGS, len(progress.warnings))
        for name, value in progress.metrics.items():
            self._set(VALUE, value, name=name)

    def _set(self, gauge: str, value: float, **labels: str) -> None:
        self._gauges[gauge].labels(**self._common, **labels).set(value)

    def render(self) -> bytes:
        """Text exposition format."""
        return generate_latest(self._registry)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
