"""The conditions of a model, beside the three of kstatus: what serves, and what was judged."""

from __future__ import annotations

from lockstep_operator.api.model import Indexing
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.status import ConditionStatus
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.releases.wanted import is_asked
from lockstep_operator.decide.snapshot.desired import frozen_of
from lockstep_operator.decide.snapshot.snapshot import Problem
from lockstep_operator.decide.stages.watched import has_failed, is_turned_down
from lockstep_operator.decide.status.kstatus import Summary
from lockstep_operator.decide.status.release_status import gates_state
from lockstep_operator.decide.status.stored import stored_state
from lockstep_operator.decide.status.what_serves import (
    at_risk,
    health_if_it_runs,
    holder,
    serving_sentence,
)
from lockstep_operator.decide.traffic import entry, feasibility
from lockstep_operator.decide.traffic.stray_pods import stray_pods
from lockstep_operator.decide.vocabulary.conditions import State, true_or_false
from lockstep_operator.decide.vocabulary.hashing import recipe
from lockstep_operator.decide.vocabulary.reasons import Reason, Word
from lockstep_operator.manifests import short_name


def judged(context: ReconcileContext) -> Release | None:
    """The release of `GatesPassed`: what is on its way, what just failed, what serves."""
    newest, stable = context.newest, context.stable
    failed = newest if newest and is_turned_down(newest) else None
    if stable is not None and is_asked(context, stable):
        failed = None  # the spec asks for it no more
    # While a kept release takes over, what matters is why.
    first = [stable] if stable is not None and has_failed(stable) else []
    in_order = [*first, context.candidate, failed, stable]
    return next((r for r in in_order if r is not None and r.status.gates), None)


def columns_of(context: ReconcileContext) -> Release | None:
    """The release that the columns about gates are of: the candidate once it is judged, else what
    serves. What failed has its own record and the message; a release that returns was judged long
    ago."""
    candidate = context.candidate
    if candidate is not None and candidate.status.gates and candidate.status.promoted_at is None:
        return candidate
    return context.stable


def states_of(context: ReconcileContext, summary: Summary) -> list[State]:
    """All conditions of the model."""
    states = [*summary.states(), _serving(context), _paired(context), _gates(context)]
    if context.model.spec.indexing is Indexing.REQUIRED:
        states.append(_index_fresh(context))
    states += [stored] if (stored := stored_state(context)) else []
    if context.model.spec.rollout.steps or feasibility.problem(context) is not None:
        states.append(_steps_accepted(context))
    return states


def _steps_accepted(context: ReconcileContext) -> State:
    refused = feasibility.problem(context)
    message = refused or f"Each of the {len(context.model.spec.rollout.steps)} steps can be taken."
    reason = Reason.STEPS_ACCEPTED if refused is None else Reason.STEPS_REFUSED
    return true_or_false("StepsAccepted", refused is None, reason, message)


def _serving(context: ReconcileContext) -> State:
    release, message = holder(context), serving_sentence(context)
    if release is not None:
        health = health_if_it_runs(context, release)
        serving = health is not None and health.serving
        lacking = health.sentence() if health is not None and not serving else ""
        message = " ".join(
            part for part in (message, lacking and f"{lacking}.", at_risk(context)) if part
        )
        ready = Reason.STRAY_PODS if stray_pods(context) else Stage.SERVING
        reason: Word = ready if serving else Reason.PODS_NOT_READY
        return true_or_false("Serving", serving, reason, message)
    conflict = entry.conflict(context)
    if conflict is not None:
        return true_or_false("Serving", False, Reason.NAME_CONFLICT, conflict)
    lacking = Reason.ENTRY_MISSING if context.stable else Reason.NO_RELEASE
    return true_or_false("Serving", False, lacking, message)


def _paired(context: ReconcileContext) -> State:
    release = holder(context)
    if release is None or release.status.training is None:
        return true_or_false("Paired", False, Reason.NO_RELEASE, "No release has the entry point.")
    short, space = short_name(release.name), release.status.training.space_id
    builds = release.status.builds or []
    strange = [build.index for build in builds if build.space_id != space]
    if strange:
        message = f"{short} is of space {space}, but not its {', '.join(strange)}."
        return true_or_false("Paired", False, Reason.SPACE_MISMATCH, message)
    health = health_if_it_runs(context, release)
    if health is None or not health.serving:
        message = f"{short}: {health.sentence() if health else 'not looked at'}."
        return true_or_false("Paired", False, Reason.PODS_NOT_READY, message)
    what = "the encoder alone" if not builds else "encoder and indexes"
    return true_or_false("Paired", True, Stage.SERVING, f"{short}: {what} of space {space}.")


def _gates(context: ReconcileContext) -> State:
    shown = judged(context) or context.candidate or context.stable
    state = gates_state(shown) if shown else None
    if state is not None:
        return state
    message = "No release was measured yet."
    return State("GatesPassed", ConditionStatus.UNKNOWN, Reason.GATES_NOT_JUDGED, message)


def _index_fresh(context: ReconcileContext) -> State:
    stable = context.stable
    if stable is None:
        return true_or_false("IndexFresh", False, Reason.NO_RELEASE, "No release serves yet.")
    if isinstance(context.desired, Problem) and context.desired.reason is Reason.INVALID_INDEX:
        return true_or_false("IndexFresh", False, Reason.INVALID_INDEX, context.desired.message)
    frozen = {index.name: index for index in stable.spec.indexes}
    live = {index.name: index for index in context.snapshot.indexes}
    deleted = [name for name in frozen if name not in live]
    changed = [
        name
        for name, index in live.items()
        if name not in frozen or recipe(frozen[name]) != recipe(frozen_of(index))
    ]
    short = short_name(stable.name)
    if changed:
        message = f"{short} serves another build than {', '.join(changed)} asks for."
        return true_or_false("IndexFresh", False, Reason.INDEX_CHANGED, message)
    if deleted:
        message = f"{short} serves {', '.join(deleted)}, whose VectorIndex was deleted."
        return true_or_false("IndexFresh", False, Reason.INDEX_DELETED, message)
    message = f"Each index of {short} is what its VectorIndex asks for."
    return true_or_false("IndexFresh", True, Reason.UP_TO_DATE, message)
