"""`Latency`: a quantile of the seconds that requests took, as a share of slow requests.

p95 <= bound says that at most 5 % of the requests are slower than the bound, and a share of
requests has an exact interval. A histogram counts at its edges alone: where the bound lies between
two of them, the lower edge must show a pass, and the upper one a failure.
"""

from __future__ import annotations

from decimal import Decimal

from lockstep_core.quality.verdicts import Judgement, Verdict
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates.live import GateCheck, Look, measured
from lockstep_operator.decide.gates.shares import judge_share, lacking, percent, sides
from lockstep_operator.decide.gates.traffic import scrape
from lockstep_operator.decide.snapshot.measurements import Answer, Tally
from lockstep_operator.decide.vocabulary.formatting import word_of


def latency(check: GateCheck) -> Look:
    return measured(check, scrape(check), judge)


def judge(gate: Gate, reading: Tally | Answer) -> GateVerdict:
    assert isinstance(reading, Tally) and gate.max_milliseconds and gate.quantile
    edges = sorted(reading.within)
    bound = gate.max_milliseconds / 1000
    below = max((edge for edge in edges if edge <= bound), default=None)
    above = min((edge for edge in edges if edge >= bound), default=None)
    at_most = reading.timed - (reading.within[below] if below is not None else 0)
    at_least = reading.timed - (reading.within[above] if above is not None else reading.timed)
    passing, failing = _slow(gate, at_most, reading.timed), _slow(gate, at_least, reading.timed)
    found, edge = passing, below
    if failing.verdict is Verdict.FAIL:
        found, edge = failing, above
    elif passing.verdict is Verdict.FAIL:
        # Slow by the lower edge and not by the upper one: the truth lies between them.
        return _between(gate, passing, below, above)
    than = "" if edge is None else f" than {edge * 1000:g} ms"
    line = (
        f"{_name(gate)} <= {gate.max_milliseconds} ms {word_of(found.verdict)}:"
        f" {_share(found)} slower{than}, {percent(found.bound)} allowed"
        f" ({sides(gate, found)}); n={found.n}"
    )
    if found.verdict is Verdict.FAIL:
        line += f"; make it faster, or raise `maxMilliseconds` of gate {gate.name}"
    elif found.verdict is Verdict.INCONCLUSIVE:
        line += lacking(gate, found)
    return _verdict(gate, found, line)


def _between(gate: Gate, found: Judgement, below: float | None, above: float | None) -> GateVerdict:
    """Requests are slower than one edge and not shown to be slower than the next."""
    low, high = f"{(below or 0) * 1000:g} ms", f"{(above or 0) * 1000:g} ms"
    if above is None:
        why = f"no edge beyond {low}: set `maxMilliseconds` to at most that"
    elif below is None:
        why = f"no edge below {high}: set `maxMilliseconds` to at least that"
    else:
        why = f"no edge between {low} and {high}: set `maxMilliseconds` to one of them"
    line = (
        f"{_name(gate)} <= {gate.max_milliseconds} ms not shown: {_share(found)} slower than {low},"
        f" and the encoder counts at {why}; n={found.n}"
    )
    return _verdict(gate, found, line, Verdict.INCONCLUSIVE)


def _name(gate: Gate) -> str:
    """`p95`, `p99.9`."""
    return f"p{(Decimal(gate.quantile or '0') * 100).normalize():f}"


def _slow(gate: Gate, slow: int, n: int) -> Judgement:
    return judge_share(gate, slow, n, float(1 - Decimal(gate.quantile or "0")))


def _share(found: Judgement) -> str:
    return f"{percent(found.value or 0)} of {found.n:,} requests"


def _verdict(
    gate: Gate, found: Judgement, line: str, verdict: Verdict | None = None
) -> GateVerdict:
    return GateVerdict(
        name=gate.name,
        verdict=verdict or found.verdict,
        line=line,
        value=None if found.value is None else percent(found.value),
        bound=percent(found.bound),
        samples=found.n,
    )
