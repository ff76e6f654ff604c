"""The share of failed requests against its bound, line for line."""

from __future__ import annotations

import pytest

from lockstep_operator.api.gates import Gate
from lockstep_operator.decide.gates import error_ratio
from lockstep_operator.decide.snapshot.measurements import Beside
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
    said = error_ratio.judge(Gate.model_validate(ERRORS), Beside(tally_of(codes)))
    assert (said.verdict, said.line) == (verdict, line)


def test_a_gate_with_one_look_says_the_confidence_alone() -> None:
    said = error_ratio.judge(
        Gate.model_validate(ERRORS | {"inconclusiveLimit": 0}), Beside(tally_of({"200": 1204}))
    )
    assert said.line == "5xx 0% <= 1% OK (95% upper 0.249%); n=1204"


@pytest.mark.parametrize(
    ("own", "stable", "verdict", "words"),
    [
        # Clients send what is wrong to both.
        (
            {"200": 1000, "404": 200},
            {"200": 1000, "404": 210},
            "Pass",
            "4xx 16.7% (404: 200), stable 17.4%, 1% more allowed OK",
        ),
        # It refuses what stable answers.
        (
            {"200": 200, "422": 1000},
            {"200": 1200},
            "Fail",
            "4xx 83.3% (422: 1,000), stable 0%, 1% more allowed FAIL; n=1200; it refuses what"
            " stable answers: compare their indexes, and what they take",
        ),
        # A little more than stable, and no more than is allowed beyond it.
        (
            {"200": 1995, "400": 5},
            {"200": 2000},
            "Pass",
            "4xx 0.25% (400: 5), stable 0%, 1% more allowed OK",
        ),
        # 429 and 409 are no refusals of this kind.
        (
            {"200": 1000, "409": 300},
            {"200": 1300},
            "Pass",
            "no errors, but refused: 409: 300; n=1300",
        ),
        # Nor are clients that gave up.
        (
            {"200": 1000, "499": 300},
            {"200": 1300},
            "Pass",
            "5xx 0% <= 1% OK (95% over 4 looks: upper 0.337%); n=1300",
        ),
        # Nothing of stable was measured: nothing to compare with, and nothing that could fail.
        (
            {"200": 1000, "422": 300},
            None,
            "Pass",
            "5xx 0% <= 1% OK (95% over 4 looks: upper 0.337%); n=1300",
        ),
        (
            {"200": 1000, "422": 300},
            {},
            "Pass",
            "4xx 23.1% (422: 300), stable nothing yet, 1% more allowed OK",
        ),
    ],
)
def test_refusals_are_held_against_those_of_stable(
    own: dict[str, int], stable: dict[str, int] | None, verdict: str, words: str
) -> None:
    beside = Beside(tally_of(own), None if stable is None else tally_of(stable))
    said = error_ratio.judge(Gate.model_validate(ERRORS), beside)
    assert said.verdict == verdict
    assert words in said.line


def test_few_refusals_of_few_requests_show_nothing() -> None:
    beside = Beside(tally_of({"200": 90, "422": 100}), tally_of({"200": 190}))
    assert error_ratio.judge(Gate.model_validate(ERRORS), beside).verdict == "Inconclusive"
