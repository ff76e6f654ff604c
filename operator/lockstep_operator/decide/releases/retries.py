"""What a retry does to the record of a release that ended."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Attempts, Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.transitions import Enter
from lockstep_operator.decide.jobs import attempts
from lockstep_operator.decide.stage_table import Retried, facts_of
from lockstep_operator.manifests import JobKind


def tried_again(stage: Retried, record: dict[str, object]) -> Enter[Retried]:
    """It has not ended any more."""
    anew = {"outcome": None, "finished_at": None, "failed_stage": None}
    return Enter(stage, {**anew, **record})


def fresh(release: Release, stage: Stage) -> Attempts:
    """No failures counted, and new names for the Jobs of the stage that starts again."""
    return attempts.start_again(release.status, facts_of(stage).job or JobKind.BUILD)


def must_measure(context: ReconcileContext, release: Release) -> bool:
    """Whether a gate asks for a recall@k that the evaluation did not measure."""
    facts = release.status.evaluation
    measured = {recall.k for recall in facts.recall} if facts else set()
    gates = (g for g in context.model.spec.rollout.gates if g.needs_recall)
    return any(gate.neighbours not in measured for gate in gates)
