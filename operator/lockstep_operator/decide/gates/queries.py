"""The reading `QUERY`: what a Prometheus server answers to the gate's own query."""

from __future__ import annotations

from lockstep_operator.decide.gates.live import GateCheck, Judge, Look, measured
from lockstep_operator.decide.snapshot.measurements import Query


def queried(check: GateCheck, judge: Judge) -> Look:
    """The elements that the query gave, judged as an `Answer`."""
    asked = check.gate.prometheus
    assert asked is not None
    return measured(check, Query(asked.url, _filled(check, asked.query)), judge)


def _filled(check: GateCheck, query: str) -> str:
    """The query of this release. Names of objects hold nothing that PromQL would read.

    After a promotion, stable is what it replaced.
    """
    stable, watch = check.context.stable, check.release.status.watch
    serves = stable is not None and stable.name == check.release.name
    beside = watch.replaced if serves and watch else stable.name if stable else ""
    values = {
        "namespace": check.release.namespace,
        "model": check.release.spec.model,
        "release": check.release.name,
        "stable": beside,
    }
    for name, value in values.items():
        query = query.replace(f"$({name})", value)
    return query
