"""`Drift`: how far a candidate's live embeddings lie from its held-out ones, beyond what the same
traffic does to stable's.

Two encoders have two spaces, so each is compared with its own baseline: Tc and Ts, squared MMD.
What traffic does to both is the same change in two kernels. Its size in one as a multiple of the
other would be fitted on quiet blocks that both embedded, and a canary has none before it is judged.
So it is taken from the largest eigenvalues of the two
covariances, along which traffic moves the mean, and known to a factor of `SLOPE` alone: from
b / SLOPE to b SLOPE with b = lambda1c / lambda1s. What lies between is for a person to decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

from lockstep_core.protocol.drift import SquaredDistance
from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates.sketches import level, of_windows, too_few, wrong_at_a_look
from lockstep_operator.decide.snapshot.measurements import Sketched
from lockstep_operator.manifests import short_name

SLOPE = 1.5


@dataclass(frozen=True)
class Excess:
    """MMD that stable does not explain, and its bounds. From `least` to `most` is what would be
    left between them with any number of embeddings."""

    value: float
    lower: float
    upper: float
    least: float
    most: float


def judge(gate: Gate, seen: Sketched) -> GateVerdict:
    """The distance that stable does not explain, against `maxDistance`."""
    assert gate.max_distance is not None
    if seen.stable is None:
        line = (
            f"not measured: {seen.alone}, and without another release on the same traffic what"
            " traffic does cannot be told from what the release does"
        )
        return _verdict(gate, seen, Verdict.INCONCLUSIVE, line)
    few = too_few(gate, seen)
    own, beside = seen.own.distance, seen.stable.distance
    if few is not None or own is None or beside is None:
        return _verdict(gate, seen, Verdict.INCONCLUSIVE, few or "has no distance")
    bound, found = float(gate.max_distance), excess(own, beside, wrong_at_a_look(gate))
    verdict = Verdict.INCONCLUSIVE
    if found.upper <= bound:
        verdict = Verdict.PASS
    elif found.lower > bound:
        verdict = Verdict.FAIL
    short = short_name(seen.stable.release)
    sign = "<=" if found.value <= bound else ">"
    word = {Verdict.PASS: "OK", Verdict.FAIL: "FAIL"}.get(verdict, "not shown")
    line = (
        f"MMD {found.value:.3f} beyond {short} {sign} {bound:.3f} {word} ({level(gate)}"
        f" [{found.lower:.3f}, {found.upper:.3f}]); own {_root(own.value):.3f},"
        f" {short} {_root(beside.value):.3f}"
    )
    line += _advice(gate, verdict, found, bound)
    return _verdict(gate, seen, verdict, line, f"{found.value:.3f}")


def excess(own: SquaredDistance, stable: SquaredDistance, wrong: float) -> Excess:
    """Tc - b Ts, of which each bound errs with probability `wrong` and has its own end of b."""
    z, slope = NormalDist().inv_cdf(1 - wrong), own.lambda1 / stable.lambda1
    explained = slope * max(0.0, stable.value)

    def bound(factor: float, side: float) -> float:
        error = sqrt(own.error**2 + (factor * slope * stable.error) ** 2)
        return _root(own.value - factor * explained + side * z * error)

    return Excess(
        _root(own.value - explained),
        bound(SLOPE, -1),
        bound(1 / SLOPE, 1),
        _root(own.value - SLOPE * explained),
        _root(own.value - explained / SLOPE),
    )


def _advice(gate: Gate, verdict: Verdict, found: Excess, bound: float) -> str:
    if verdict is Verdict.FAIL:
        return f"; it embeds this traffic unlike its held-out items, or raise gate {gate.name}"
    if verdict is Verdict.PASS:
        return ""
    if found.least <= bound < found.most:
        return (
            "; this traffic is far from the held-out items, and what that does to the candidate is"
            f" known to a factor of {SLOPE:g} alone: more windows do not decide, a `maxDistance`"
            f" above {ceil(found.most * 1000) / 1000:.3f} could"
        )
    return "; more windows would decide"


def _root(squared: float) -> float:
    return sqrt(max(0.0, squared))


def _verdict(
    gate: Gate, seen: Sketched, verdict: Verdict, line: str, value: str | None = None
) -> GateVerdict:
    return GateVerdict(
        name=gate.name,
        verdict=verdict,
        line=f"{gate.judged_role.lower()} drift {line}; {of_windows(seen)}",
        value=value,
        bound=gate.max_distance,
        samples=seen.own.n,
    )
