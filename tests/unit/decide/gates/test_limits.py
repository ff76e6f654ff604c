"""Limits of a series of measurements: when a gate is decided, and how often that errs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates import error_ratio
from lockstep_operator.decide.gates.limits import looks, settle
from lockstep_operator.decide.snapshot.measurements import Beside
from tests.unit.tallies import tally_of

pytestmark = pytest.mark.unit

ERRORS = {"name": "errors", "type": "ErrorRatio", "maxRatio": "0.01", "minSamples": 200}


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({}, 300),
        ({}, 1000),
        ({"inconclusiveLimit": 10}, 300),
        ({"count": 2, "failureLimit": 1}, 500),
    ],
)
def test_looking_again_and_again_errs_no_more_often_than_the_gate_says(
    changes: dict[str, Any], step: int
) -> None:
    """A true share of exactly the bound, judged at every look over all requests so far.

    At 95 % each, four looks err in about 10 % of the analyses on either side.
    """
    gate = limits(**{"maxRatio": "0.05", "minSamples": 200} | changes)
    draws = np.random.default_rng(5).binomial(step, 0.05, size=(1500, looks(gate)))
    ends = [_analysis(gate, tuple(row), step) for row in np.cumsum(draws, axis=1)]
    for wrong in ("Pass", "Fail"):
        rate = sum(end == wrong for end in ends) / len(ends)
        # Nominal .05, three standard errors of 1500 analyses, and never toothless.
        assert 0.01 < rate < 0.05 + 0.017, (wrong, rate)


def _analysis(gate: Gate, failed: tuple[int, ...], step: int) -> str | None:
    measured = [
        error_ratio.judge(gate, Beside(tally_of({"500": bad, "200": step * at - bad})))
        for at, bad in enumerate(map(int, failed), start=1)
    ]
    found = settle(gate, measured)
    return found.verdict if found else None


WORDS = {"P": "Pass", "F": "Fail", "I": "Inconclusive", "E": "Error"}


def measured(letters: str) -> list[GateVerdict]:
    return [
        GateVerdict(name="g", verdict=WORDS[letter], line=f"{letter}{at}")
        for at, letter in enumerate(letters, start=1)
    ]


def limits(**changes: Any) -> Gate:
    return Gate.model_validate(ERRORS | changes)


@pytest.mark.parametrize(
    ("changes", "letters", "verdict", "line"),
    [
        ({}, "", None, None),
        ({}, "P", "Pass", "P1"),
        ({}, "F", "Fail", "F1"),
        ({}, "III", None, None),
        ({}, "IIIP", "Pass", "P4"),
        ({}, "IIII", "Inconclusive", "I4; inconclusive 4 times, 3 allowed (`inconclusiveLimit`)"),
        ({}, "EEEE", None, None),
        ({}, "EEEEE", "Error", "E5; not measured 5 times in a row, 4 allowed (`errorLimit`)"),
        ({}, "EEEEIEEEE", None, None),
        ({"count": 3}, "PP", None, None),
        ({"count": 3}, "PIPEP", "Pass", "P5; 3 measurements passed"),
        ({"count": 3, "failureLimit": 1}, "PFPP", "Pass", "P4; 3 measurements passed"),
        ({"count": 3, "failureLimit": 1}, "PFPF", "Fail", "F4; 2 measurements failed"),
        ({"inconclusiveLimit": 0}, "I", "Inconclusive", None),
        ({"errorLimit": 0}, "E", "Error", None),
        ({"errorLimit": 0, "onInconclusive": "Fail"}, "E", "Fail", None),
        ({"inconclusiveLimit": 0, "onInconclusive": "Fail"}, "I", "Fail", None),
        # What comes after the decision changes nothing.
        ({}, "PFFFF", "Pass", "P1"),
        ({}, "FPPPP", "Fail", "F1"),
    ],
)
def test_limits(
    changes: dict[str, Any], letters: str, verdict: str | None, line: str | None
) -> None:
    found = settle(limits(**changes), measured(letters))
    assert (found.verdict if found else None) == verdict
    assert line is None or (found is not None and found.line == line)


@given(
    st.text("PFIE", max_size=30),
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_a_gate_passes_only_by_measurements_that_passed_and_stays_decided(
    letters: str, count: int, failures: int, inconclusives: int, in_a_row: int
) -> None:
    gate = limits(
        count=count, failureLimit=failures, inconclusiveLimit=inconclusives, errorLimit=in_a_row
    )
    history = [settle(gate, measured(letters[:end])) for end in range(len(letters) + 1)]
    decided = [found for found in history if found is not None]
    assert len(set(map(repr, decided))) <= 1
    first = next((at for at, found in enumerate(history) if found is not None), None)
    if first is None:
        assert letters.count("P") < count and letters.count("F") <= failures
        assert letters.count("I") <= inconclusives and "E" * (in_a_row + 1) not in letters
        return
    seen, verdict = letters[:first], decided[0].verdict
    assert (verdict == "Pass") == (seen.count("P") == count)
    assert (verdict == "Fail") == (seen.count("F") == failures + 1)
    assert (verdict == "Error") == seen.endswith("E" * (in_a_row + 1))
    assert (verdict == "Inconclusive") == (seen.count("I") == inconclusives + 1)
