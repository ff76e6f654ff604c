"""`ErrorRatio`: the share of requests that the encoder answered with a 5xx status.

Refusals are no errors: 429 says that it is busy, and 409 that a client asked for another space.
"""

from __future__ import annotations

from lockstep_core.protocol.metrics import ENCODER_REQUESTS
from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates.shares import judge_share, lacking, percent, sides
from lockstep_operator.decide.snapshot.measurements import Tally
from lockstep_operator.decide.vocabulary.formatting import word_of

REFUSED = ("429", "409")


def judge(gate: Gate, tally: Tally) -> GateVerdict:
    """The share of 5xx in all requests against `maxRatio`."""
    assert gate.max_ratio
    codes = tally.by(ENCODER_REQUESTS, "code")
    n = sum(codes.values())
    failed = sum(count for code, count in codes.items() if code.startswith("5"))
    judgement = judge_share(gate, failed, n, float(gate.max_ratio))
    share = "no requests" if judgement.value is None else percent(judgement.value)
    sign = "<=" if (judgement.value or 0.0) <= judgement.bound else ">"
    refused = [f"{code}: {codes[code]:,}" for code in REFUSED if codes.get(code)]
    line = (
        f"5xx {share} {sign} {percent(judgement.bound)} {word_of(judgement.verdict)}"
        f" ({sides(gate, judgement)})"
        + (f"; no errors, but refused: {', '.join(refused)}" if refused else "")
        + f"; n={n}"
    )
    if judgement.verdict is Verdict.FAIL:
        line += f"; read the log of its pods, or raise `maxRatio` of gate {gate.name}"
    elif judgement.verdict is Verdict.INCONCLUSIVE:
        line += lacking(gate, judgement)
    return GateVerdict(
        name=gate.name,
        verdict=judgement.verdict,
        line=line,
        value=None if judgement.value is None else percent(judgement.value),
        bound=percent(judgement.bound),
        samples=n,
    )
