"""`ErrorRatio`: the share of requests that the encoder answered with a 5xx status.

Refusals are no errors: 429 says that it is busy, and 409 that a client asked for another space.
"""

from __future__ import annotations

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates.live import GateCheck, Look, measured
from lockstep_operator.decide.gates.shares import judge_share, lacking, percent, sides
from lockstep_operator.decide.gates.traffic import scrape
from lockstep_operator.decide.snapshot.measurements import Answer, Tally
from lockstep_operator.decide.vocabulary.formatting import word_of

TOLD = ("429", "409")


def error_ratio(check: GateCheck) -> Look:
    return measured(check, scrape(check), judge)


def judge(gate: Gate, reading: Tally | Answer) -> GateVerdict:
    assert isinstance(reading, Tally) and gate.max_ratio
    n = sum(reading.codes.values())
    failed = sum(count for code, count in reading.codes.items() if code.startswith("5"))
    found = judge_share(gate, failed, n, float(gate.max_ratio))
    share = "no requests" if found.value is None else percent(found.value)
    sign = "<=" if (found.value or 0.0) <= found.bound else ">"
    refused = [f"{code}: {reading.codes[code]:,}" for code in TOLD if reading.codes.get(code)]
    line = (
        f"5xx {share} {sign} {percent(found.bound)} {word_of(found.verdict)}"
        f" ({sides(gate, found)})"
        + (f"; no errors, but refused: {', '.join(refused)}" if refused else "")
        + f"; n={n}"
    )
    if found.verdict is Verdict.FAIL:
        line += f"; read the log of its pods, or raise `maxRatio` of gate {gate.name}"
    elif found.verdict is Verdict.INCONCLUSIVE:
        line += lacking(gate, found)
    return GateVerdict(
        name=gate.name,
        verdict=found.verdict,
        line=line,
        value=None if found.value is None else percent(found.value),
        bound=percent(found.bound),
        samples=n,
    )
