"""One release's way: the stage functions by stage, and how far one pass takes a release."""

from __future__ import annotations

from collections.abc import Callable

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import UNFINISHED, ReconcileContext
from lockstep_operator.decide.stages.canary import canary
from lockstep_operator.decide.stages.evaluating import evaluating
from lockstep_operator.decide.stages.finalizing import finalizing
from lockstep_operator.decide.stages.importing import importing
from lockstep_operator.decide.stages.indexing import indexing
from lockstep_operator.decide.stages.promoting import promoting
from lockstep_operator.decide.stages.rolling_back import rolling_back
from lockstep_operator.decide.stages.training import begin, training
from lockstep_operator.decide.stages.verifying import verifying
from lockstep_operator.decide.stages.warming import warming

STAGES: dict[Stage | None, Callable[[ReconcileContext, Release], None]] = {
    None: begin,
    Stage.TRAINING: training,
    Stage.IMPORTING: importing,
    Stage.EVALUATING: evaluating,
    Stage.INDEXING: indexing,
    Stage.VERIFYING: verifying,
    Stage.WARMING: warming,
    Stage.CANARY: canary,
    Stage.PROMOTING: promoting,
    Stage.ROLLING_BACK: rolling_back,
    Stage.FINALIZING: finalizing,
}


def advance(
    context: ReconcileContext, name: str, *, stop_at: frozenset[Stage] = frozenset()
) -> None:
    """Takes an unfinished release through as many stages as its facts allow in this pass.

    Stages that need no work of others cost no pass of their own. `stop_at` are stages that must
    not start in this pass: the release enters one, and does nothing there. A stage is worked on at
    most once in a pass, so this ends.
    """
    seen: set[Stage | None] = set()
    while True:
        release = context.release(name)
        stage = release.status.stage
        if stage not in UNFINISHED or stage in seen or (seen and stage in stop_at):
            return
        seen.add(stage)
        STAGES[stage](context, release)
        if context.release(name).status.stage is stage:
            return
