"""The operator's metrics, in the form that Prometheus expects."""

from __future__ import annotations

import subprocess

import pytest
from prometheus_client import generate_latest

from devcluster.host import packages
from lockstep_operator.runtime import metrics

pytestmark = pytest.mark.unit


PROMTOOL = packages.found("promtool")


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool: `make promtool` fetches it")
def test_promtool_accepts_the_metrics() -> None:
    metrics.WATCH_AGES.touch("Job")
    metrics.API_CALLS.labels(verb="get", resource="jobs", code="200").inc()
    checked = subprocess.run(
        [str(PROMTOOL), "check", "metrics"],
        input=generate_latest(metrics.REGISTRY),
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr.decode() + checked.stdout.decode()


def test_names_of_metrics_are_units_and_totals() -> None:
    for family in metrics.REGISTRY.collect():
        if family.name.startswith("process_"):
            continue
        assert family.name.startswith("lockstep_"), family.name
        assert family.documentation.endswith("."), family.name
