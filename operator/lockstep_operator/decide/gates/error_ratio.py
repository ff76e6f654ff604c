"""`ErrorRatio`: the shares of requests that the encoder failed (5xx) or refused (4xx).

Failures are held against `maxRatio` alone. Refusals are held against those of stable on the same
traffic: clients send what is wrong to both, but a candidate that refuses what stable answers is
worse. Of these 429 (it is busy), 409 (a client asked for another space) and 499 (a client gave up)
are none: they depend on what a client expects of one release, or how long it waits.
"""

from __future__ import annotations

from collections.abc import Mapping

from lockstep_core.protocol.metrics import ENCODER_REQUESTS
from lockstep_core.quality.intervals import share_interval
from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates.limits import confidence_of_a_look
from lockstep_operator.decide.gates.shares import judge_share, lacking, percent, sides
from lockstep_operator.decide.snapshot.measurements import Beside
from lockstep_operator.decide.vocabulary.formatting import word_of

EXPECTED = ("429", "409")
NO_REFUSALS = (*EXPECTED, "499")


def judge(gate: Gate, answers: Beside) -> GateVerdict:
    """The share of 5xx against `maxRatio`, and that of 4xx against stable's and `maxRatio`."""
    assert gate.max_ratio
    codes = answers.own.by(ENCODER_REQUESTS, "code")
    n = sum(codes.values())
    failed = sum(count for code, count in codes.items() if code.startswith("5"))
    judgement = judge_share(gate, failed, n, float(gate.max_ratio))
    verdict = judgement.verdict
    share = "no requests" if judgement.value is None else percent(judgement.value)
    sign = "<=" if (judgement.value or 0.0) <= judgement.bound else ">"
    expected = [f"{code}: {codes[code]:,}" for code in EXPECTED if codes.get(code)]
    line = (
        f"5xx {share} {sign} {percent(judgement.bound)} {word_of(judgement.verdict)}"
        f" ({sides(gate, judgement)})"
        + (f"; no errors, but refused: {', '.join(expected)}" if expected else "")
    )
    refusals = _refusals(gate, answers)
    if refusals is not None:
        worse, words = refusals
        line, verdict = f"{line}; {words}", Verdict.FAIL if worse else verdict
    line += f"; n={n}"
    if refusals is not None and refusals[0]:
        line += "; it refuses what stable answers: compare their indexes, and what they take"
    elif verdict is Verdict.FAIL:
        line += f"; read the log of its pods, or raise `maxRatio` of gate {gate.name}"
    elif verdict is Verdict.INCONCLUSIVE:
        line += lacking(gate, judgement)
    return GateVerdict(
        name=gate.name,
        verdict=verdict,
        line=line,
        value=None if judgement.value is None else percent(judgement.value),
        bound=percent(judgement.bound),
        samples=n,
    )


def _refusals(gate: Gate, answers: Beside) -> tuple[bool, str] | None:
    """Whether it refuses more than stable, and the words that say so; None: nothing to compare.

    Worse is what both intervals show: the least share that it can have lies above the largest that
    stable can have, by more than `maxRatio`.
    """
    own = answers.own.by(ENCODER_REQUESTS, "code")
    refused = _refused(own)
    if answers.stable is None or not refused:
        return None
    theirs = answers.stable.by(ENCODER_REQUESTS, "code")
    n, others, allowed = sum(own.values()), sum(theirs.values()), float(gate.max_ratio or 0)
    confidence = confidence_of_a_look(gate)
    lower, _ = share_interval(sum(refused.values()), n, confidence)
    _, upper = share_interval(sum(_refused(theirs).values()), others, confidence)
    worse = n >= gate.samples_needed and lower > upper + allowed
    shown = ", ".join(f"{code}: {count:,}" for code, count in sorted(refused.items()))
    share = percent(sum(_refused(theirs).values()) / others) if others else "nothing yet"
    words = f"4xx {percent(sum(refused.values()) / n)} ({shown}), stable {share}"
    return worse, f"{words}, {percent(allowed)} more allowed {'FAIL' if worse else 'OK'}"


def _refused(codes: Mapping[str, int]) -> dict[str, int]:
    return {c: n for c, n in codes.items() if c.startswith("4") and c not in NO_REFUSALS and n}
