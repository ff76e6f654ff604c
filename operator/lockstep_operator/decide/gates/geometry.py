"""`Geometry`: whether a candidate's live embeddings keep the spread that its held-out ones had.

Live traffic is not the held-out set: a narrow mix of topics lowers the gauges of any encoder. So
a loss counts beyond what stable loses of its own on the same traffic, and towards collapse alone.
Without stable beside it a loss is told and decides nothing; invalid embeddings always do.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

from lockstep_core.protocol.drift import INVALID_LEAST, INVALID_SHARE, Embedded
from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates.shares import percent
from lockstep_operator.decide.gates.sketches import level, of_windows, too_few, wrong_at_a_look
from lockstep_operator.decide.snapshot.measurements import Sketched
from lockstep_operator.manifests import short_name

# By the name that a monitor's numbers have; the length may grow as well.
WORDS = {
    "spread": "total variance",
    "participationRatio": "participation ratio",
    "effectiveRank": "effective rank",
    "normMean": "mean length",
}
TWO_SIDED = ("normMean",)


@dataclass(frozen=True)
class Loss:
    """What share of a gauge was lost, below 0 where it grew, and its bounds. Each of several gauges
    may fail the gate, so `lower` errs as many times less; all must pass it, so `upper` does not."""

    gauge: str
    value: float
    lower: float
    upper: float


def judge(gate: Gate, seen: Sketched) -> GateVerdict:
    """The largest loss of any gauge against `maxLoss`, and the share of invalid embeddings."""
    assert gate.max_loss is not None
    if (line := _invalid(seen)) is not None:
        excused = seen.stable is not None and _has_invalid(seen.stable)
        verdict = Verdict.INCONCLUSIVE if excused else Verdict.FAIL
        return _verdict(gate, seen, verdict, line)
    if (line := too_few(gate, seen)) is not None:
        return _verdict(gate, seen, Verdict.INCONCLUSIVE, line)
    losses = losses_of(gate, seen)
    if not losses:
        short = short_name(seen.own.release)
        line = f"no gauge of {short} to compare: it has too few held-out items for a shape"
        return _verdict(gate, seen, Verdict.INCONCLUSIVE, line)
    bound = float(gate.max_loss)
    failed = [loss for loss in losses if loss.lower > bound]
    if failed and seen.stable is not None:
        worst = max(failed, key=lambda loss: loss.lower)
        return _told(gate, seen, Verdict.FAIL, worst)
    worst = max(losses, key=lambda loss: loss.upper)
    passed = worst.upper <= bound
    return _told(gate, seen, Verdict.PASS if passed else Verdict.INCONCLUSIVE, worst)


def losses_of(gate: Gate, seen: Sketched) -> list[Loss]:
    """Of the gauges that candidate and stable have both; of the candidate's own without stable."""
    wrong, found = wrong_at_a_look(gate), list[Loss]()
    gauges = [name for name in WORDS if name in seen.own.shapes]
    if seen.stable is not None:
        gauges = [name for name in gauges if name in seen.stable.shapes]
    for name in gauges:
        own = seen.own.shapes[name]
        kept, error = own.value / own.held_out, own.error
        if seen.stable is not None:
            beside = seen.stable.shapes[name]
            # A gauge of stable that is 0 is a collapse of stable, and excuses any.
            kept = kept / max(beside.value / beside.held_out, 1e-9)
            error = sqrt(error**2 + beside.error**2)
        loss = abs(1 - kept) if name in TWO_SIDED else 1 - kept
        one, many = (NormalDist().inv_cdf(1 - wrong / by) * error for by in (1, len(gauges)))
        found.append(Loss(name, loss, loss - kept * many, loss + kept * one))
    return found


def _told(gate: Gate, seen: Sketched, verdict: Verdict, worst: Loss) -> GateVerdict:
    bound = percent(float(gate.max_loss or 0))
    beside = f" beyond {short_name(seen.stable.release)}" if seen.stable is not None else ""
    changed = "changed by" if worst.gauge in TWO_SIDED else "lost"
    changed, share = ("gained", -worst.value) if worst.value < 0 else (changed, worst.value)
    what = f"{WORDS[worst.gauge]} {changed} {percent(share)}{beside}, loss of {bound} allowed"
    side = {
        Verdict.PASS: f"at most {percent(worst.upper)}",
        Verdict.FAIL: f"at least {percent(worst.lower)}",
    }.get(verdict, f"from {percent(worst.lower)} to {percent(worst.upper)}")
    word = {Verdict.PASS: "OK", Verdict.FAIL: "FAIL"}.get(verdict, "not shown")
    line = f"{what} {word} ({level(gate)} {side})"
    if verdict is Verdict.FAIL:
        line += "; its embeddings collapse where stable's do not: train it anew"
    elif (
        verdict is Verdict.INCONCLUSIVE
        and seen.stable is None
        and worst.lower > float(gate.max_loss or 0)
    ):
        line += (
            f"; {seen.alone}: narrower traffic than the held-out items does the same, so compare it"
            " with the release before"
        )
    elif verdict is Verdict.INCONCLUSIVE:
        line += _wanted(gate, seen, worst)
    return _verdict(gate, seen, verdict, line, percent(worst.value))


def _wanted(gate: Gate, seen: Sketched, worst: Loss) -> str:
    """An interval shrinks by the root of the windows."""
    room = float(gate.max_loss or 0) - worst.value
    if room <= 0:
        return "; too few embeddings to show that it fails"
    windows = ceil(seen.windows * ((worst.upper - worst.value) / room) ** 2)
    return f"; about {windows:,} windows would decide"


def _has_invalid(one: Embedded) -> bool:
    limit = max(INVALID_LEAST, ceil(INVALID_SHARE * one.sampled))
    return sum(one.invalid.values()) >= limit


def _invalid(seen: Sketched) -> str | None:
    """What is said of embeddings that are none, where there are more than odd requests make."""
    if not _has_invalid(seen.own):
        return None
    total = sum(seen.own.invalid.values())
    reasons = ", ".join(f"{reason}: {n:,}" for reason, n in sorted(seen.own.invalid.items()))
    words = f"{total:,} of {seen.own.sampled:,} embeddings are invalid ({reasons})"
    if seen.stable is not None and _has_invalid(seen.stable):
        return f"{words} not shown: so are those of {short_name(seen.stable.release)}"
    return f"{words}, {percent(INVALID_SHARE)} allowed FAIL; no request excuses that: train it anew"


def _verdict(
    gate: Gate, seen: Sketched, verdict: Verdict, line: str, value: str | None = None
) -> GateVerdict:
    return GateVerdict(
        name=gate.name,
        verdict=verdict,
        line=f"{gate.judged_role.lower()} embeddings: {line}; {of_windows(seen)}",
        value=value,
        bound=percent(float(gate.max_loss or 0)),
        samples=seen.own.n,
    )
