"""The index's own gate: index recall of a build against the objective that its release froze."""

from __future__ import annotations

from lockstep_core.protocol.result import BuildFacts
from lockstep_core.quality.verdicts import Judgement, Verdict, judge_at_least
from lockstep_operator.api.release import FrozenIndex
from lockstep_operator.decide.vocabulary.formatting import bound_text

CONFIDENCE = 0.95


def index_recall(frozen: FrozenIndex, build: BuildFacts) -> Judgement:
    """Index recall against the frozen objective.

    An exact index returns all there is to find, so what it returned is no sample of what it may
    return: its point value counts. Of any other the lower confidence bound must reach the
    objective.
    """
    bound = float(frozen.objectives.recall.min)
    judgement = judge_at_least(build.recall, bound, CONFIDENCE, 1)
    if frozen.index.traits.exact and judgement.value is not None:
        verdict = Verdict.PASS if judgement.value >= bound else Verdict.FAIL
        value = judgement.value
        return Judgement(verdict, value, value, value, bound, judgement.n, judgement.reason)
    return judgement


def index_recall_text(frozen: FrozenIndex, build: BuildFacts) -> str:
    """`recall@10 0.991 >= 0.950 OK (95% lower 0.985; n=1000)`."""
    judgement = index_recall(frozen, build)
    shown = bound_text(judgement)
    return f"recall@{build.recall_k} {shown} (95% lower {judgement.lower:.3f}; n={judgement.n})"


def index_recall_advice(frozen: FrozenIndex, build: BuildFacts) -> str:
    """What a person can change about a build that misses its objective.

    Equal vectors count once, so of a corpus with few different ones a graph may miss nothing and
    still have too few samples to show it. Exact search misses only among rows so near to one
    another that the rounding of float32 orders their distances otherwise than the measurement does;
    equal rows are no miss.
    """
    advice = frozen.index.recall_advice(frozen.name)
    if not frozen.index.traits.exact and build.recall.mean == 1:
        return (
            f"it missed nothing, but {build.recall.n} different vectors are too few to show it: set"
            f" `spec.index.type` of VectorIndex {frozen.name} to Flat, which needs no samples, or"
            " lower its `spec.objectives.recall.min`"
        )
    if not frozen.index.traits.exact:
        return advice
    return (
        f"a {frozen.index.type} index searches exactly, and misses only among near-duplicates,"
        f" whose distances float32 cannot tell apart: take them out of the corpus, or {advice}"
    )
