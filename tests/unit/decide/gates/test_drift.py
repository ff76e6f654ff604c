"""The distance that stable does not explain, line for line."""

from __future__ import annotations

import math

import pytest

from lockstep_core.protocol.drift import Embedded, SquaredDistance
from lockstep_operator.api.gates import Gate
from lockstep_operator.decide.gates import drift
from lockstep_operator.decide.snapshot.measurements import Sketched

pytestmark = pytest.mark.unit

GATE = {
    "name": "far",
    "type": "Drift",
    "maxDistance": "0.030",
    "minSamples": 1000,
    "inconclusiveLimit": 0,
}


def of(release: str, mmd: float, *, lambda1: float = 0.02, error: float = 1e-5) -> Embedded:
    distance = SquaredDistance(math.copysign(mmd**2, mmd), error, lambda1)
    return Embedded(release, 4000, 4000, distance=distance)


def line(own: Embedded, stable: Embedded | None, alone: str = "") -> tuple[str, str]:
    found = Sketched(own, 1, 300, stable, alone)
    said = drift.judge(Gate.model_validate(GATE), found)
    assert (said.samples, said.bound) == (own.n, "0.030")
    return str(said.verdict), said.line


def test_quiet_traffic_passes_and_a_candidate_that_moves_alone_fails() -> None:
    assert line(of("glyphs-r2", 0.012), of("glyphs-r1", 0.011)) == (
        "Pass",
        "query drift MMD 0.005 beyond r1 <= 0.030 OK (95% [0.000, 0.009]); own 0.012, r1 0.011;"
        " n=4,000 in 1 window of 300 s",
    )
    verdict, said = line(of("glyphs-r2", 0.06), of("glyphs-r1", 0.011))
    assert verdict == "Fail" and "MMD 0.059 beyond r1 > 0.030 FAIL" in said
    # Negative estimates are no distance, and explain nothing.
    assert line(of("glyphs-r2", -0.004), of("glyphs-r1", -0.004))[0] == "Pass"


def test_traffic_that_moves_both_decides_nothing_and_says_what_could() -> None:
    verdict, said = line(of("glyphs-r2", 0.12), of("glyphs-r1", 0.118))
    assert verdict == "Inconclusive"
    assert "more windows do not decide, a `maxDistance` above 0.072 could" in said


def test_an_encoder_with_wider_axes_is_moved_further_by_the_same_traffic() -> None:
    own, stable = of("glyphs-r2", 0.1, lambda1=0.06), of("glyphs-r1", 0.0577)
    assert own.distance is not None and stable.distance is not None
    assert drift.excess(own.distance, stable.distance, 0.05).value == pytest.approx(0, abs=0.005)


def test_what_embeddings_leave_open_more_of_them_decide() -> None:
    verdict, said = line(of("glyphs-r2", 0.029, error=1e-4), of("glyphs-r1", 0.0))
    assert verdict == "Inconclusive" and "more windows would decide" in said


def test_alone_or_with_too_little_it_never_decides() -> None:
    verdict, said = line(of("glyphs-r2", 0.5), None, "nothing serves beside it")
    assert verdict == "Inconclusive" and "not measured: nothing serves beside it" in said
    few = Embedded("glyphs-r1", 999, 999, distance=SquaredDistance(0.0, 0.1, 0.02))
    verdict, said = line(of("glyphs-r2", 0.5), few)
    assert verdict == "Inconclusive" and "r1 has 999 of 1,000 embeddings needed" in said
    nothing = Embedded("glyphs-r2")
    assert line(nothing, of("glyphs-r1", 0.0))[0] == "Inconclusive"
