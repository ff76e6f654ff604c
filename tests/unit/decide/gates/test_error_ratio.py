"""The share of failed requests against its bound, line for line."""

from __future__ import annotations

import pytest

from lockstep_operator.api.gates import Gate
from lockstep_operator.decide.gates import error_ratio
from tests.unit.tallies import tally_of

pytestmark = pytest.mark.unit

ERRORS = {"name": "errors", "type": "ErrorRatio", "maxRatio": "0.01", "minSamples": 200}


@pytest.mark.parametrize(
    ("codes", "verdict", "line"),
    [
        (
            {"200": 1200, "429": 3, "409": 1},
            "Pass",
            "5xx 0% <= 1% OK (95% over 4 looks: upper 0.363%); no errors, but refused: 429: 3,"
            " 409: 1; n=1204",
        ),
        (
            {"200": 1000, "503": 30, "500": 10},
            "Fail",
            "5xx 3.85% > 1% FAIL (95% over 4 looks: lower 2.63%); n=1040; read the log of its"
            " pods, or raise"
            " `maxRatio` of gate errors",
        ),
        (
            {"200": 299, "500": 1},
            "Inconclusive",
            "5xx 0.333% <= 1% not shown (95% over 4 looks: from 0.00419% to 2.11%); n=300: about"
            " 2,126 would decide",
        ),
        (
            {},
            "Inconclusive",
            "5xx no requests <= 1% not shown (95% over 4 looks: from 0% to 100%); n=0 of 200 needed"
            " (`minSamples`): send it more traffic",
        ),
    ],
)
def test_error_ratio(codes: dict[str, int], verdict: str, line: str) -> None:
    said = error_ratio.judge(Gate.model_validate(ERRORS), tally_of(codes))
    assert (said.verdict, said.line) == (verdict, line)


def test_a_gate_with_one_look_says_the_confidence_alone() -> None:
    said = error_ratio.judge(
        Gate.model_validate(ERRORS | {"inconclusiveLimit": 0}), tally_of({"200": 1204})
    )
    assert said.line == "5xx 0% <= 1% OK (95% upper 0.249%); n=1204"
