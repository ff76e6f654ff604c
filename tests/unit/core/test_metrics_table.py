"""The table of metrics: each once, with a name that its kind may have."""

from __future__ import annotations

import pytest

from lockstep_core.protocol import metrics
from lockstep_core.protocol.metrics import Metric, MetricKind

pytestmark = pytest.mark.unit

TABLES = {
    "encoder": metrics.ENCODER,
    "index": metrics.INDEX,
    "monitor": metrics.MONITOR,
    "job": metrics.JOB,
}


def test_every_metric_is_in_the_table_of_its_program_once() -> None:
    said = [value for value in vars(metrics).values() if isinstance(value, Metric)]
    listed = [metric for table in TABLES.values() for metric in table]
    assert sorted(map(str, said)) == sorted(map(str, listed))
    assert len({metric.name for metric in listed}) == len(listed)


@pytest.mark.parametrize("program", TABLES)
def test_a_name_says_the_program_and_the_kind(program: str) -> None:
    for metric in TABLES[program]:
        assert metric.name.startswith(f"lockstep_{program}_") and f"{metric}" == metric.name
        assert metric.name.endswith("_total") == (metric.kind is MetricKind.COUNTER)
        assert metric.help.endswith(".")
