"""What gates say of what was measured: lines word for word, limits, and the offline gate."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep_core.protocol.result import EvaluationFacts, SampleStatistics
from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide import gates
from lockstep_operator.decide.gates import error_ratio, latency, prometheus
from lockstep_operator.decide.gates.limits import looks, settle
from lockstep_operator.decide.snapshot.measurements import Answer, Tally
from tests.unit.tallies import tally_of

pytestmark = pytest.mark.unit

DIGEST = f"sha256:{'a' * 64}"
NOW = "2026-01-31T12:00:00Z"
RELEVANCE = {"name": "relevance", "type": "Recall", "k": 10, "minSamples": 500}


def stats(mean: float, spread: float, n: int = 1000) -> SampleStatistics:
    return SampleStatistics(n=n, mean=mean, standard_deviation=spread)


def facts(
    candidate: float, stable: float | None = None, *, spread: float = 0.1, n: int = 1000
) -> EvaluationFacts:
    """Recall@10 of both, and the spread of their paired differences."""
    paired = None if stable is None else stats(round(candidate - stable, 6), spread, n)
    recall = {
        "k": 10,
        "candidate": stats(candidate, 0.25, n),
        "baseline": stats(0.5, 0.4, n),
        "gain_over_baseline": stats(candidate - 0.5, 0.3, n),
        "stable": None if stable is None else stats(stable, 0.25, n),
        "gain_over_stable": paired,
    }
    return EvaluationFacts.model_validate(
        {
            "artifact_digest": DIGEST,
            "dataset_digest": DIGEST,
            "items": n,
            "classes": 10,
            "recall": [recall],
            "variance": 0.9,
            "mean_cosine": 0.1,
        }
    )


def judged(gate: dict[str, Any], found: EvaluationFacts, stable: str | None = "r1") -> GateVerdict:
    (verdict,) = gates.judge([Gate.model_validate(gate)], found, [], NOW, stable)
    return verdict


NOT_WORSE = RELEVANCE | {"maxRegression": "0.01"}
OFFLINE = [
    (
        RELEVANCE | {"min": "0.9", "maxRegression": "0.01"},
        facts(0.921, 0.923),
        "Pass",
        "recall@10 0.921 >= 0.900 OK (95% lower 0.906); vs stable 0.923 -0.2pt, 90% CI"
        " [-0.7, +0.3], allowed -1.0 OK; n=1000",
    ),
    (
        NOT_WORSE,
        facts(0.913, 0.921, spread=0.13),
        "Inconclusive",
        "recall@10 0.913; vs stable 0.921 -0.8pt, 90% CI [-1.5, -0.1], allowed -1.0 not shown"
        " (could be -1.5); n=1000: about 26,122 would decide; hold out more classes",
    ),
    (
        NOT_WORSE,
        facts(0.884, 0.921),
        "Fail",
        "recall@10 0.884; vs stable 0.921 -3.7pt, 90% CI [-4.2, -3.2], allowed -1.0 FAIL; n=1000;"
        " train better, or lower gate relevance in `spec.rollout.gates`",
    ),
    (
        NOT_WORSE,
        facts(0.911, 0.921),
        "Inconclusive",
        "recall@10 0.911; vs stable 0.921 -1.0pt, 90% CI [-1.5, -0.5], allowed -1.0 not shown"
        " (could be -1.5); n=1000: too few queries to show that it fails; hold out more classes",
    ),
    (
        NOT_WORSE,
        facts(0.921, 0.923, n=200),
        "Inconclusive",
        "recall@10 0.921; vs stable 0.923 -0.2pt, 90% CI [-1.7, +1.3], allowed -1.0 not shown"
        " (could be -1.7); n=200 of 500 needed (`minSamples`): hold out more classes",
    ),
]


@pytest.mark.parametrize(("gate", "found", "verdict", "line"), OFFLINE)
def test_a_release_must_be_shown_to_be_no_worse_than_stable(
    gate: dict[str, Any], found: EvaluationFacts, verdict: str, line: str
) -> None:
    said = judged(gate, found)
    assert (said.verdict, said.line) == (verdict, line)


def test_without_a_stable_release_the_other_bounds_decide() -> None:
    both = judged(NOT_WORSE | {"min": "0.9"}, facts(0.921), None)
    assert both.verdict == "Pass" and "no stable release to compare with" in both.line
    assert judged(NOT_WORSE | {"min": "0.95"}, facts(0.921), None).verdict == "Fail"
    alone = judged(NOT_WORSE, facts(0.921), None)
    assert alone.verdict == "Pass"
    assert alone.line == "recall@10 0.921; no stable release to compare with; n=1000"


def test_a_stable_release_that_was_not_measured_is_an_error_and_no_pass() -> None:
    said = judged(NOT_WORSE | {"min": "0.9"}, facts(0.921))
    assert said.verdict == "Error" and "stable r1 was not measured" in said.line
    worse = judged(NOT_WORSE | {"min": "0.95"}, facts(0.921))
    assert worse.verdict == "Fail"


def test_what_the_data_do_not_decide_fails_where_the_gate_says_so() -> None:
    open_one = facts(0.913, 0.921, spread=0.13)
    said = judged(NOT_WORSE | {"onInconclusive": "Fail"}, open_one)
    assert said.verdict == "Fail" and said.line.endswith("; fails (`onInconclusive: Fail`)")
    assert judged(NOT_WORSE | {"onInconclusive": "Fail"}, facts(0.92, None)).verdict == "Fail"
    assert judged(NOT_WORSE, open_one).verdict == "Inconclusive"


def test_a_dry_run_is_shown_and_never_in_the_way() -> None:
    bad = [NOT_WORSE | {"dryRun": True}, RELEVANCE | {"name": "floor", "min": "0.9"}]
    said = gates.judge([Gate.model_validate(g) for g in bad], facts(0.93, 0.99), [], NOW, "r1")
    assert [verdict.verdict for verdict in said] == ["Fail", "Pass"]
    assert said[0].line.endswith("; dry run: not in the way") and said[0].dry_run
    assert gates.overall(said) is Verdict.PASS and gates.summary(said) == "1/1"
    assert gates.overall(said[:1]) is Verdict.PASS and gates.summary(said[:1]) == "0/0"


# -- live gates

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
        error_ratio.judge(gate, tally_of({"500": bad, "200": step * at - bad}))
        for at, bad in enumerate(map(int, failed), start=1)
    ]
    found = settle(gate, measured)
    return found.verdict if found else None


def test_a_gate_with_one_look_says_the_confidence_alone() -> None:
    said = error_ratio.judge(limits(inconclusiveLimit=0), tally_of({"200": 1204}))
    assert said.line == "5xx 0% <= 1% OK (95% upper 0.249%); n=1204"


# -- limits

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


def test_a_verdict_that_says_what_it_said_keeps_its_time() -> None:
    gate = Gate.model_validate(NOT_WORSE)
    first = gates.judge([gate], facts(0.921, 0.923), [], NOW, "r1")
    later = datetime(2026, 1, 31, 13, tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert gates.judge([gate], facts(0.921, 0.923), first, later, "r1") == first
    other = gates.judge([gate], facts(0.93, 0.923), first, later, "r1")
    assert other[0].observed_at == later
    assert gates.merged(first, other) == other
