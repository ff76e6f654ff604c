"""The first look at a new release: train, import, or take over the model that it reuses."""

from __future__ import annotations

from typing import Literal

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Attempts, Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.transitions import Enter
from lockstep_operator.decide.gates import inherited
from lockstep_operator.manifests import short_name

First = Literal[Stage.TRAINING, Stage.IMPORTING, Stage.INDEXING, Stage.WARMING]


def begin(context: ReconcileContext, release: Release) -> Enter[First]:
    entered: Enter[First]
    if release.spec.reuse is not None:
        entered = _with_model_of(context, release, release.spec.reuse.release)
    elif release.spec.artifact is not None:
        entered = Enter(Stage.IMPORTING, {"attempts": Attempts(importing=1)})
    else:
        entered = Enter(Stage.TRAINING, {"attempts": Attempts(training=1)})
    context.event(entered.stage, f"{short_name(release.name)} entered {entered.stage}")
    return Enter(entered.stage, {"started_at": context.now, **entered.record})


def _with_model_of(
    context: ReconcileContext, release: Release, source_name: str
) -> Enter[Literal[Stage.INDEXING, Stage.WARMING]]:
    """It was judged as the release that it comes from."""
    assert release.spec.reuse is not None
    source = next((r for r in context.releases if r.name == source_name), None)
    indexes, gates = release.spec.indexes, context.model.spec.rollout.gates
    record = {
        "attempts": Attempts(indexing={index.name: 1 for index in indexes}),
        "training": release.spec.reuse.training,
        "gates": inherited(source.status.gates or (), gates) or None if source else None,
        "gates_passed_at": context.now,
    }
    return Enter(Stage.INDEXING, record) if indexes else Enter(Stage.WARMING, record)
