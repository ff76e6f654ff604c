"""Numbers as a person reads them: value, bound, verdict, interval, n."""

from __future__ import annotations

from math import ceil

from lockstep_core.protocol.result import TrainingFacts
from lockstep_core.quality.verdicts import Judgement, Verdict

UNMEASURED = "imported without `spec.evaluation`, so its recall was not measured"


def bound_text(judgement: Judgement, *, signed: bool = False) -> str:
    """`0.991 >= 0.950 OK`, `0.884 < 0.950 FAIL`, `0.955 >= 0.950 not shown`."""
    if judgement.value is None:
        return f"has no data, bound {judgement.bound:.3f}"
    number = f"{judgement.value:+.3f}" if signed else f"{judgement.value:.3f}"
    sign = ">=" if judgement.value >= judgement.bound else "<"
    return f"{number} {sign} {judgement.bound:.3f} {word_of(judgement.verdict)}"


def interval_text(judgement: Judgement, confidence: float, *, signed: bool = False) -> str:
    """The side of the interval that decided, or both sides when none did."""
    percent = f"{confidence * 100:g}%"

    def number(value: float) -> str:
        return f"{value:+.3f}" if signed else f"{value:.3f}"

    if judgement.verdict is Verdict.PASS:
        return f"{percent} lower {number(judgement.lower)}"
    if judgement.verdict is Verdict.FAIL:
        return f"{percent} upper {number(judgement.upper)}"
    return f"{percent} from {number(judgement.lower)} to {number(judgement.upper)}"


def regression_text(judgement: Judgement, name: str, stable: float, confidence: float) -> str:
    """`vs r1 0.923 -0.2pt, 90% CI [-0.7, +0.3], allowed -1.0 OK`: points of recall.

    It names the release, as the line stays on record when another one is stable. The interval is
    the two-sided one whose lower end is the bound that decides.
    """
    if judgement.value is None:
        return f"vs {name} has no data, allowed {judgement.bound * 100:.1f}"
    word = word_of(judgement.verdict)
    if judgement.verdict is Verdict.INCONCLUSIVE:
        word += f" (could be {judgement.lower * 100:+.1f})"
    return (
        f"vs {name} {stable:.3f} {judgement.value * 100:+.1f}pt,"
        f" {(2 * confidence - 1) * 100:g}% CI [{judgement.lower * 100:+.1f},"
        f" {judgement.upper * 100:+.1f}], allowed {judgement.bound * 100:.1f} {word}"
    )


def training_text(facts: TrainingFacts | None) -> str:
    """The findings of a training that ended well, with what to try; empty without any."""
    findings = facts.findings if facts is not None else ()
    return " ".join(f"Its training tells {one.name}: {one.message}." for one in findings)


def training_short(facts: TrainingFacts | None) -> str:
    """The same in numbers alone: `Overfitting (0.390, bound 0.150)`."""
    findings = facts.findings if facts is not None else ()
    return ", ".join(
        f"{one.name} ({'not finite' if one.value is None else f'{one.value:.3f}'},"
        f" bound {one.bound:.3f})"
        for one in findings
    )


def word_of(verdict: Verdict) -> str:
    """The word for a verdict in a line about a bound."""
    return {Verdict.PASS: "OK", Verdict.FAIL: "FAIL"}.get(verdict, "not shown")


def needed(judgement: Judgement, *, at_most: bool = False) -> int | None:
    """How many samples would pass, if the value is the one measured: an interval shrinks as
    1/sqrt(n). None when it would have to be another value, or when there are no data."""
    if judgement.value is None:
        return None
    room = judgement.bound - judgement.value if at_most else judgement.value - judgement.bound
    half = judgement.upper - judgement.value if at_most else judgement.value - judgement.lower
    return ceil(judgement.n * (half / room) ** 2) if room > 0 else None
