"""The latency of a tally against its bound, line for line."""

from __future__ import annotations

from itertools import accumulate

import pytest

from lockstep_operator.api.gates import Gate
from lockstep_operator.decide.gates import latency
from lockstep_operator.decide.snapshot.measurements import Tally
from tests.unit.tallies import tally_of

pytestmark = pytest.mark.unit

EDGES = (0.05, 0.075, 0.1, 0.25)


def traffic(slow: int, n: int, *, middle: int = 0, codes: dict[str, int] | None = None) -> Tally:
    """`n` timed requests: `slow` of them over 100 ms, `middle` between 75 and 100 ms."""
    fast = n - slow - middle
    within = dict(zip(EDGES, accumulate([0, fast, middle, slow]), strict=True))
    return tally_of(codes or {"200": n}, within, n)


SLOW = {"name": "latency", "type": "Latency", "quantile": "0.95", "minSamples": 200}
LATENCIES = [
    (
        "80",
        traffic(0, 1204, middle=14),
        "Pass",
        "p95 <= 80 ms OK: 1.16% of 1,204 requests slower than 75 ms, 5% allowed (95%"
        " over 4 looks: upper 2.07%); n=1204",
    ),
    (
        "80",
        traffic(120, 1204),
        "Fail",
        "p95 <= 80 ms FAIL: 9.97% of 1,204 requests slower than 100 ms, 5% allowed (95% over"
        " 4 looks: lower 8.12%); n=1204; make it faster, or raise `maxMilliseconds` of gate"
        " latency",
    ),
    (
        "100",
        traffic(16, 400),
        "Inconclusive",
        "p95 <= 100 ms not shown: 4% of 400 requests slower than 100 ms, 5% allowed (95% over"
        " 4 looks: from 2.12% to 6.79%); n=400: about 3,108 would decide",
    ),
    (
        "100",
        traffic(0, 50),
        "Inconclusive",
        "p95 <= 100 ms not shown: 0% of 50 requests slower than 100 ms, 5% allowed (95% over 4"
        " looks: from 0% to 8.39%); n=50 of 200 needed (`minSamples`): send it more traffic",
    ),
    (
        "80",
        traffic(0, 1000, middle=900),
        "Inconclusive",
        "p95 <= 80 ms not shown: 90% of 1,000 requests slower than 75 ms, and the encoder counts at"
        " no edge between 75 ms and 100 ms: set `maxMilliseconds` to one of them; n=1000",
    ),
    (
        "10",
        tally_of({}, {0.05: 1000}, 1000),
        "Inconclusive",
        "p95 <= 10 ms not shown: 100% of 1,000 requests slower than 0 ms, and the encoder counts at"
        " no edge below 50 ms: set `maxMilliseconds` to at least that; n=1000",
    ),
    (
        "400",
        tally_of({}, {0.25: 100}, 1000),
        "Inconclusive",
        "p95 <= 400 ms not shown: 90% of 1,000 requests slower than 250 ms, and the encoder counts"
        " at no edge beyond 250 ms: set `maxMilliseconds` to at most that; n=1000",
    ),
]


@pytest.mark.parametrize(("bound", "tally", "verdict", "line"), LATENCIES)
def test_latency(bound: str, tally: Tally, verdict: str, line: str) -> None:
    gate = Gate.model_validate(SLOW | {"maxMilliseconds": int(bound)})
    said = latency.judge(gate, tally)
    assert (said.verdict, said.line) == (verdict, line)
