"""`Latency`: a quantile of the seconds that requests took, as a share of slow requests.

p95 <= bound says that at most 5 % of the requests are slower than the bound, and a share of
requests has an exact interval. A histogram counts at its edges alone: where the bound lies between
two of them, the lower edge must show a pass, and the upper one a failure.
"""

from __future__ import annotations

from decimal import Decimal

from lockstep_core.protocol.metrics import ENCODER_REQUEST_SECONDS
from lockstep_core.quality.verdicts import Judgement, Verdict
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates.shares import judge_share, lacking, percent, sides
from lockstep_operator.decide.snapshot.measurements import Tally
from lockstep_operator.decide.vocabulary.formatting import word_of


def judge(gate: Gate, tally: Tally) -> GateVerdict:
    """The share of requests slower than `maxMilliseconds` against that of the quantile."""
    assert gate.max_milliseconds and gate.quantile
    within, timed = tally.within(ENCODER_REQUEST_SECONDS), tally.total(ENCODER_REQUEST_SECONDS)
    edges = sorted(within)
    bound = gate.max_milliseconds / 1000
    below = max((edge for edge in edges if edge <= bound), default=None)
    above = min((edge for edge in edges if edge >= bound), default=None)
    at_most = timed - (within[below] if below is not None else 0)
    at_least = timed - (within[above] if above is not None else timed)
    passing, failing = _slow(gate, at_most, timed), _slow(gate, at_least, timed)
    judgement, edge = passing, below
    if failing.verdict is Verdict.FAIL:
        judgement, edge = failing, above
    elif passing.verdict is Verdict.FAIL:
        # Slow by the lower edge and not by the upper one: the truth lies between them.
        return _between(gate, passing, below, above)
    than = "" if edge is None else f" than {edge * 1000:g} ms"
    line = (
        f"{_name(gate)} <= {gate.max_milliseconds} ms {word_of(judgement.verdict)}:"
        f" {_share(judgement)} slower{than}, {percent(judgement.bound)} allowed"
        f" ({sides(gate, judgement)}); n={judgement.n}"
    )
    if judgement.verdict is Verdict.FAIL:
        line += f"; make it faster, or raise `maxMilliseconds` of gate {gate.name}"
    elif judgement.verdict is Verdict.INCONCLUSIVE:
        line += lacking(gate, judgement)
    return _verdict(gate, judgement, line)


def _between(
    gate: Gate, judgement: Judgement, below: float | None, above: float | None
) -> GateVerdict:
    """Requests are slower than one edge and not shown to be slower than the next."""
    low, high = f"{(below or 0) * 1000:g} ms", f"{(above or 0) * 1000:g} ms"
    if above is None:
        why = f"no edge beyond {low}: set `maxMilliseconds` to at most that"
    elif below is None:
        why = f"no edge below {high}: set `maxMilliseconds` to at least that"
    else:
        why = f"no edge between {low} and {high}: set `maxMilliseconds` to one of them"
    line = (
        f"{_name(gate)} <= {gate.max_milliseconds} ms not shown: {_share(judgement)} slower"
        f" than {low}, and the encoder counts at {why}; n={judgement.n}"
    )
    return _verdict(gate, judgement, line, Verdict.INCONCLUSIVE)


def _name(gate: Gate) -> str:
    """`p95`, `p99.9`."""
    return f"p{(Decimal(gate.quantile or '0') * 100).normalize():f}"


def _slow(gate: Gate, slow: int, n: int) -> Judgement:
    return judge_share(gate, slow, n, float(1 - Decimal(gate.quantile or "0")))


def _share(judgement: Judgement) -> str:
    return f"{percent(judgement.value or 0)} of {judgement.n:,} requests"


def _verdict(
    gate: Gate, judgement: Judgement, line: str, verdict: Verdict | None = None
) -> GateVerdict:
    return GateVerdict(
        name=gate.name,
        verdict=verdict or judgement.verdict,
        line=line,
        value=None if judgement.value is None else percent(judgement.value),
        bound=percent(judgement.bound),
        samples=judgement.n,
    )
