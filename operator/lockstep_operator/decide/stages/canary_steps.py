"""The steps of a canary: what ends each kind of step, and what holds a candidate at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.rollout import Promotion
from lockstep_operator.api.steps import Step
from lockstep_operator.api.traffic_records import StepRecord, Weights
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import (
    forward,
    is_held,
    paused_seconds,
    resume,
    seconds_left,
    wait_for_person,
)
from lockstep_operator.decide.context.traffic import Traffic
from lockstep_operator.decide.context.transitions import Enter, Note, RollBack, Stay, stay
from lockstep_operator.decide.gates import analyse, merged
from lockstep_operator.decide.stages.promoting import STARTS_THE_REST
from lockstep_operator.decide.traffic import feasibility
from lockstep_operator.decide.traffic.routers.choice import router_of
from lockstep_operator.decide.traffic.steps import (
    Steps,
    at_step,
    begin_at,
    describe,
    mirror_at,
    place,
    weight_at,
)
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.hints import number_of
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import short_name

Outcome = Stay | Enter[Literal[Stage.PROMOTING]] | RollBack


def take(context: ReconcileContext, name: str, steps: Steps) -> Outcome:
    """Takes as many steps as can end in this pass. Each ends at most once, so this ends."""
    while True:
        outcome = _look(context, name, steps)
        if outcome is not None:
            return outcome


def _look(context: ReconcileContext, name: str, steps: Steps) -> Outcome | None:
    """One look at the step that is under way. None: it is done, and the next one has begun."""
    release = context.release(name)
    record = release.status.step
    assert record is not None
    refused = feasibility.problem(context)
    if refused is not None:
        return wait_for_person(context, name, Reason.STEPS_REFUSED, f"waits: {refused}")
    if is_held(context, release):
        return stay(Reason.PAUSED, f"is held at step {place(record, steps)}")
    if record.index >= len(steps.steps):
        return _finish(context, release)
    if _is_capped(context, record) and not _waits_at_gate(release):
        message = f"waits at `spec.rollout.holdAtStep: {record.index}`: raise it to go on"
        return wait_for_person(context, name, Reason.HELD_AT_STEP, message)
    _end_level(context, name)
    step = steps.steps[record.index]
    return _act_of(step)(context, context.release(name), steps, step)


def _next(context: ReconcileContext, name: str, steps: Steps, **record: object) -> None:
    """Ends the step; the next one begins, and with it another clock."""
    done = context.release(name).status.step
    assert done is not None
    begun = begin_at(done.index + 1, steps, context.now)
    context.change(name, **{"step": begun, "pause": None, **record})
    message = f"{describe(steps.steps[done.index])} is done"
    context.event(Reason.STEP_DONE, f"{short_name(name)} step {place(done, steps)}: {message}")


def _is_capped(context: ReconcileContext, record: StepRecord) -> bool:
    limit = context.model.spec.rollout.hold_at_step
    return limit is not None and record.index >= limit


def _waits_at_gate(release: Release) -> bool:
    """Whether its gates did not decide, and no person did: a ceiling above holds it no more."""
    status = release.status
    passed = status.step is not None and status.step.passed
    return status.pause_reason == Reason.GATE_INCONCLUSIVE and not passed


def _end_level(context: ReconcileContext, name: str) -> None:
    """What held the candidate as a level holds it no more."""
    held_by = context.release(name).status.pause_reason
    if held_by in (Reason.STEPS_REFUSED, Reason.HELD_AT_STEP):
        resume(context, name)


def _is_approved(context: ReconcileContext, release: Release) -> bool:
    """Whether a person approved the release, in the spec or by the annotation."""
    named = context.model.spec.rollout.approved_release
    in_spec = named is not None and number_of(named, context.model.name) == release.spec.number
    return in_spec or release.status.approved_at is not None


def _finish(context: ReconcileContext, release: Release) -> Stay | Enter[Literal[Stage.PROMOTING]]:
    name, asked = release.name, context.model.spec.rollout
    capped = asked.hold_at_step is not None and asked.hold_at_step < len(asked.steps)
    if asked.promotion is Promotion.MANUAL and not _is_approved(context, release):
        done = "took all of its steps" if asked.steps else "is whole"
        message = f"{done}, and waits to be approved (`promotion: Manual`)"
        return wait_for_person(context, name, Reason.APPROVAL_REQUIRED, message)
    if capped:
        message = f"waits at `spec.rollout.holdAtStep: {asked.hold_at_step}`: raise it to go on"
        return wait_for_person(context, name, Reason.HELD_AT_STEP, message)
    _end_level(context, name)
    outcome = forward(context, name, Stage.PROMOTING)
    if isinstance(outcome, Stay):
        return outcome
    return Enter(Stage.PROMOTING, outcome.record, Note(Stage.PROMOTING, STARTS_THE_REST))


def _route(
    context: ReconcileContext, release: Release, steps: Steps, _: Step
) -> Stay | RollBack | None:
    """`setWeight` and `mirror`: over when all pods are there and the router was read back."""
    name, record = release.name, release.status.step
    assert record is not None and context.stable is not None
    wanted = Traffic(
        context.stable.name, name, weight_at(steps, record.index), mirror_at(steps, record.index)
    )
    routed, health = router_of(context).verify(context, wanted), health_of(context, release)
    if health.ready and routed.holds:
        weights = Weights(asked=wanted.weight, achieved=routed.achieved, since=context.now)
        _next(context, name, steps, weights=weights)
        return None
    left = seconds_left(context, name, record.started_at)
    if left is not None and left <= 0:
        limit = context.model.spec.rollout.progress_deadline_seconds
        parts = (health.sentence(), _of_stable(context), routed.missing)
        missing = "; ".join(part for part in parts if part)
        message = f"after {limit} s (`spec.rollout.progressDeadlineSeconds`): {missing}"
        return RollBack(Reason.PROGRESS_DEADLINE_EXCEEDED, message)
    if left is not None:
        context.wake_in(left)
    return at_step(context, name, steps)


def _of_stable(context: ReconcileContext) -> str:
    """What stable lacks: a weight that its pods keep from being reached is not the candidate's."""
    assert context.stable is not None
    missing = health_of(context, context.stable).sentence()
    return f"{short_name(context.stable.name)} beside it: {missing}" if missing else ""


def _soak(context: ReconcileContext, release: Release, steps: Steps, step: Step) -> Stay | None:
    """`pause`: over when its time has passed, or a person says so."""
    name, record = release.name, release.status.step
    assert record is not None and step.pause is not None
    if record.passed or (step.pause.seconds is None and _is_approved(context, release)):
        _next(context, name, steps)
        return None
    if step.pause.seconds is None:
        message = f"waits for a person at step {place(record, steps)}"
        return wait_for_person(context, name, Reason.STEP_PAUSE, message)
    spent = clock.seconds_since(record.started_at, context.snapshot.now)
    left = step.pause.seconds - spent + paused_seconds(context, release.status)
    if left <= 0:
        _next(context, name, steps)
        return None
    context.wake_in(left)
    return at_step(context, name, steps)


def _analyse(
    context: ReconcileContext, release: Release, steps: Steps, step: Step
) -> Stay | RollBack | None:
    """`analysis`: over when its gates have passed, or a person lets the release pass them."""
    name, record = release.name, release.status.step
    assert record is not None and step.analysis is not None
    if record.passed:
        message = f"{short_name(name)} goes on past its gates, as a person asked"
        context.event(Reason.GATES_WAIVED, message, warning=True)
        _next(context, name, steps)
        return None
    if release.status.pause_reason == Reason.GATE_INCONCLUSIVE:
        # What was measured is in the record; measuring goes on when a person asks for it.
        return stay(Reason.GATE_INCONCLUSIVE, _undecided(release, steps, step))
    analysis = analyse(context, release, step.analysis.gates, record)
    if analysis.verdict is None:
        return at_step(context, name, steps, analysis.message)
    context.change(name, gates=merged(release.status.gates or (), analysis.verdicts))
    if analysis.verdict is Verdict.PASS:
        context.event(Reason.GATES_PASSED, f"{short_name(name)}: {analysis.message}")
        _next(context, name, steps)
        return None
    if analysis.verdict is Verdict.FAIL:
        return RollBack(Reason.GATE_FAILED, analysis.message)
    message = _undecided(context.release(name), steps, step)
    return wait_for_person(context, name, Reason.GATE_INCONCLUSIVE, message)


def _undecided(release: Release, steps: Steps, step: Step) -> str:
    """The lines of this step's gates that did not decide, the same at every look."""
    record, known = release.status.step, {g.name: g for g in release.status.gates or ()}
    assert record is not None and step.analysis is not None
    asked = [known[name] for name in step.analysis.gates if name in known]
    lines = [
        f"{one.name}: {one.line}"
        for one in asked
        if one.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR) and not one.dry_run
    ]
    message = f"waits for a person at gate {'; '.join(lines)}"
    if weight_at(steps, record.index) or mirror_at(steps, record.index):
        return message
    return f"{message}; no step before {place(record, steps)} sends it requests"


Act = Callable[[ReconcileContext, Release, Steps, Step], Stay | RollBack | None]


def _act_of(step: Step) -> Act:
    if step.pause is not None:
        return _soak
    return _route if step.analysis is None else _analyse
