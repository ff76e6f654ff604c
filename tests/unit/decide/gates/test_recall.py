"""The offline gate: lines word for word, and a verdict's time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lockstep_core.protocol.result import EvaluationFacts, SampleStatistics
from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide import gates

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
    (verdict,) = gates.judge_offline([Gate.model_validate(gate)], found, [], NOW, stable)
    return verdict


NOT_WORSE = RELEVANCE | {"maxRegression": "0.01"}
OFFLINE = [
    (
        RELEVANCE | {"min": "0.9", "maxRegression": "0.01"},
        facts(0.921, 0.923),
        "Pass",
        "recall@10 0.921 >= 0.900 OK (95% lower 0.906); vs r1 0.923 -0.2pt, 90% CI"
        " [-0.7, +0.3], allowed -1.0 OK; n=1000",
    ),
    (
        NOT_WORSE,
        facts(0.913, 0.921, spread=0.13),
        "Inconclusive",
        "recall@10 0.913; vs r1 0.921 -0.8pt, 90% CI [-1.5, -0.1], allowed -1.0 not shown"
        " (could be -1.5); n=1000: about 26,122 would decide; hold out more classes",
    ),
    (
        NOT_WORSE,
        facts(0.884, 0.921),
        "Fail",
        "recall@10 0.884; vs r1 0.921 -3.7pt, 90% CI [-4.2, -3.2], allowed -1.0 FAIL; n=1000;"
        " train better, or lower gate relevance in `spec.rollout.gates`",
    ),
    (
        NOT_WORSE,
        facts(0.911, 0.921),
        "Inconclusive",
        "recall@10 0.911; vs r1 0.921 -1.0pt, 90% CI [-1.5, -0.5], allowed -1.0 not shown"
        " (could be -1.5); n=1000: too few queries to show that it fails; hold out more classes",
    ),
    (
        NOT_WORSE,
        facts(0.921, 0.923, n=200),
        "Inconclusive",
        "recall@10 0.921; vs r1 0.923 -0.2pt, 90% CI [-1.7, +1.3], allowed -1.0 not shown"
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
    assert alone.line == "recall@10 0.921; there was no stable release to compare with; n=1000"


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
    said = gates.judge_offline(
        [Gate.model_validate(g) for g in bad], facts(0.93, 0.99), [], NOW, "r1"
    )
    assert [verdict.verdict for verdict in said] == ["Fail", "Pass"]
    assert said[0].line.endswith("; dry run: not in the way") and said[0].dry_run
    assert gates.overall(said) is Verdict.PASS and gates.summary(said) == "1/1"
    assert gates.overall(said[:1]) is Verdict.PASS and gates.summary(said[:1]) == "0/0"


def test_a_verdict_that_says_what_it_said_keeps_its_time() -> None:
    gate = Gate.model_validate(NOT_WORSE)
    first = gates.judge_offline([gate], facts(0.921, 0.923), [], NOW, "r1")
    later = datetime(2026, 1, 31, 13, tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert gates.judge_offline([gate], facts(0.921, 0.923), first, later, "r1") == first
    other = gates.judge_offline([gate], facts(0.93, 0.923), first, later, "r1")
    assert other[0].observed_at == later
    assert gates.merged(first, other) == other
