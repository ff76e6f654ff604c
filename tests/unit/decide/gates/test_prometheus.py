"""The answer of a query against its bounds, line for line."""

from __future__ import annotations

import pytest

from lockstep_operator.api.gates import Gate
from lockstep_operator.decide.gates import prometheus
from lockstep_operator.decide.snapshot.measurements import Answer

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("values", "verdict", "line"),
    [
        ((0.31,), "Pass", "0.31 >= 0.1 and <= 0.5 OK"),
        ((0.5,), "Pass", "0.5 >= 0.1 and <= 0.5 OK"),
        ((0.62,), "Fail", "0.62 > 0.5 FAIL"),
        ((-1.0,), "Fail", "-1 < 0.1 FAIL"),
        ((float("inf"),), "Fail", "inf > 0.5 FAIL"),
        ((), "Inconclusive", "the query gave no data: check that it finds series of this release"),
        (
            (float("nan"),),
            "Inconclusive",
            "the query gave NaN, which is no data: check that it finds series of this release",
        ),
        (
            (1.0, 2.0),
            "Error",
            "the query gave 2 elements, must give one: aggregate it, as in `sum(...)`",
        ),
    ],
)
def test_prometheus(values: tuple[float, ...], verdict: str, line: str) -> None:
    gate = Gate.model_validate(
        {
            "name": "load",
            "type": "Prometheus",
            "prometheus": {"url": "http://prometheus:9090", "query": "x"},
            "minValue": "0.1",
            "maxValue": "0.5",
        }
    )
    said = prometheus.judge(gate, Answer(values))
    assert (said.verdict, said.line) == (verdict, line)
