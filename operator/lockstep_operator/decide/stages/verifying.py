"""Verifying: the facts of each build against the model and the frozen objectives."""

from __future__ import annotations

from typing import Literal

from lockstep_core.protocol.result import BuildFacts
from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import FrozenIndex, Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import forward
from lockstep_operator.decide.context.transitions import Enter, Fail, Stay
from lockstep_operator.decide.gates.index_recall import (
    index_recall,
    index_recall_advice,
    index_recall_text,
)
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests.facts import build_facts, training_facts


def verifying(
    context: ReconcileContext, release: Release
) -> Stay | Enter[Literal[Stage.WARMING]] | Fail:
    space = training_facts(release).space_id
    for frozen in release.spec.indexes:
        fault = _fault(frozen, build_facts(release, frozen.name), space)
        if fault is not None:
            reason, message = fault
            return Fail(reason, f"index {frozen.name}: {message}")
    return forward(context, release.name, Stage.WARMING)


def _fault(frozen: FrozenIndex, build: BuildFacts, space: str) -> tuple[Reason, str] | None:
    """Why a build must not serve; None when it may."""
    name = frozen.name
    if build.space_id != space:
        message = (
            f"built in space {build.space_id}, but the encoder of this release is of {space}:"
            " answers would be nonsense"
        )
        return Reason.SPACE_MISMATCH, message
    if build.rows != build.expected_rows:
        message = (
            f"holds {build.rows} of {build.expected_rows} rows of the corpus: check"
            f" VectorIndex {name} `spec.source`"
        )
        return Reason.ROWS_MISSING, message
    if index_recall(frozen, build).verdict is not Verdict.PASS:
        message = f"{index_recall_text(frozen, build)}; {index_recall_advice(frozen, build)}"
        return Reason.INDEX_RECALL_LOW, message
    return None
