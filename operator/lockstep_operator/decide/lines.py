"""Numbers as a person reads them: value, bound, verdict, interval, n."""

from __future__ import annotations

from lockstep_core.protocol.indexing import IndexType
from lockstep_core.protocol.result import BuildFacts
from lockstep_core.quality.verdicts import Judgement, Verdict, judge_at_least
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.release import FrozenIndex

INDEX_RECALL_CONFIDENCE = 0.95


def bound_text(judgement: Judgement, *, signed: bool = False) -> str:
    """`0.991 >= 0.950 OK`, `0.884 < 0.950 FAIL`, `0.955 >= 0.950 not shown`."""
    if judgement.value is None:
        return f"has no data, bound {judgement.bound:.3f}"
    number = f"{judgement.value:+.3f}" if signed else f"{judgement.value:.3f}"
    sign = ">=" if judgement.value >= judgement.bound else "<"
    word = {Verdict.PASS: "OK", Verdict.FAIL: "FAIL"}.get(judgement.verdict, "not shown")
    return f"{number} {sign} {judgement.bound:.3f} {word}"


def interval_text(judgement: Judgement, gate: Gate, *, signed: bool = False) -> str:
    """The side of the interval that decided, or both sides when none did."""
    percent = f"{float(gate.one_sided) * 100:g}%"

    def number(value: float) -> str:
        return f"{value:+.3f}" if signed else f"{value:.3f}"

    if judgement.verdict is Verdict.PASS:
        return f"{percent} lower {number(judgement.lower)}"
    if judgement.verdict is Verdict.FAIL:
        return f"{percent} upper {number(judgement.upper)}"
    return f"{percent} from {number(judgement.lower)} to {number(judgement.upper)}"


def index_recall(frozen: FrozenIndex, build: BuildFacts) -> Judgement:
    """Index recall against the frozen objective.

    A Flat index searches exactly, so what it returned is no sample of what it may return: its
    point value counts. Of any other index the lower confidence bound must reach the objective.
    """
    bound = float(frozen.objectives.recall.min)
    judgement = judge_at_least(build.recall, bound, INDEX_RECALL_CONFIDENCE, 1)
    if frozen.index.type is IndexType.FLAT and judgement.value is not None:
        verdict = Verdict.PASS if judgement.value >= bound else Verdict.FAIL
        value = judgement.value
        return Judgement(verdict, value, value, value, bound, judgement.n, judgement.reason)
    return judgement


def index_recall_text(frozen: FrozenIndex, build: BuildFacts) -> str:
    """`recall@10 0.991 >= 0.950 OK (95% lower 0.985; n=1000)`."""
    judgement = index_recall(frozen, build)
    said = bound_text(judgement)
    return f"recall@{build.recall_k} {said} (95% lower {judgement.lower:.3f}; n={judgement.n})"
