"""Canary: the candidate takes its share of the requests, step by step, and is judged on it.

The record is written when a step begins, with what the step before it achieved; nothing is written
while a step is under way. A step is over when its weight was read back, its time has passed, or its
gates have decided.
"""

from __future__ import annotations

from collections.abc import Callable

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage, StepRecord, Weights
from lockstep_operator.api.rollout import Promotion, Step
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import (
    forward,
    is_held,
    paused_seconds,
    resume,
    seconds_left,
    wait_for_person,
)
from lockstep_operator.decide.gates import analyse, merged
from lockstep_operator.decide.stages.ending import roll_back
from lockstep_operator.decide.stages.promoting import STARTS_THE_REST
from lockstep_operator.decide.stages.warming import fatal_crash
from lockstep_operator.decide.traffic import feasibility
from lockstep_operator.decide.traffic.routers.choice import router_of
from lockstep_operator.decide.traffic.routers.router import Traffic
from lockstep_operator.decide.traffic.steps import (
    Steps,
    begin_at,
    describe,
    mirror_at,
    place,
    plan_of,
    say_step,
    under_way,
    weight_at,
)
from lockstep_operator.decide.traffic.traffic import record_weight
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.hints import number_of
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.children import upkeep
from lockstep_operator.manifests import short_name


def canary(context: ReconcileContext, release: Release) -> None:
    name, stable = release.name, context.stable
    if stable is None:
        upkeep(context, release)
        forward(context, name, Stage.PROMOTING)
        return
    if release.status.canary_of != stable.name:
        anew = {"step": None, "weights": None, "approved_at": None}
        context.enter(name, Stage.WARMING, canary_of=stable.name, **anew)
        context.say(name, Reason.WARMING, f"starts its pods beside {short_name(stable.name)}")
        return
    if _must_stop(context, release):
        return
    steps = plan_of(context)
    record = release.status.step
    if record is None or record.hash != steps.hash:
        _restart(context, release, steps)
    while True:
        before = context.release(name).status.step
        _take(context, name, steps)
        status = context.release(name).status
        if status.stage is not Stage.CANARY or status.step == before:
            break
    _steer(context, name, stable.name, steps)


def _take(context: ReconcileContext, name: str, steps: Steps) -> None:
    """One look at the step that is under way. Each ends at most once in a pass."""
    release = context.release(name)
    record = release.status.step
    assert record is not None
    refused = feasibility.problem(context)
    if refused is not None:
        wait_for_person(context, name, Reason.STEPS_REFUSED, f"waits: {refused}")
    elif is_held(context, release):
        context.say(name, Reason.PAUSED, f"is held at step {place(record, steps)}")
    elif record.index >= len(steps.steps):
        _finish(context, release)
    elif _is_capped(context, record) and not _waits_at_gate(release):
        held = f"waits at `spec.rollout.holdAtStep: {record.index}`: raise it to go on"
        wait_for_person(context, name, Reason.HELD_AT_STEP, held)
    else:
        _end_level(context, name)
        step = steps.steps[record.index]
        _act_of(step)(context, context.release(name), steps, step)


def _steer(context: ReconcileContext, name: str, holder: str, steps: Steps) -> None:
    """A weight goes up only when the pods for it are there. It may always come down."""
    status = context.release(name).status
    had = status.weights.asked if status.weights else 0
    if status.stage is Stage.PROMOTING:
        context.traffic = Traffic(holder, name, had)
    elif status.stage is Stage.CANARY and status.step is not None:
        at = under_way(context, context.release(name))
        asked = weight_at(steps, at)
        ready = asked <= had or upkeep(context, context.release(name)).whole
        context.traffic = Traffic(holder, name, asked if ready else had, mirror_at(steps, at))
        record_weight(context, name, context.traffic)


def _must_stop(context: ReconcileContext, release: Release) -> bool:
    """A candidate that cannot answer takes no more traffic."""
    name, pair = release.name, upkeep(context, release)
    if pair.conflict is not None:
        roll_back(context, release, Reason.NAME_CONFLICT, pair.conflict)
        return True
    crash = fatal_crash(context, release)
    if crash is not None and crash.result is not None:
        found = crash.result
        roll_back(
            context, release, found.reason, found.message, exit_code=crash.exit_code, pod=crash.pod
        )
        return True
    if pair.serving:
        return False
    told = f"answers no more: {pair.told()}"
    roll_back(context, context.release(name), Reason.PODS_NOT_READY, told)
    return True


def _restart(context: ReconcileContext, release: Release, steps: Steps) -> None:
    """The first step of these steps: of a new canary, or of one whose steps were changed."""
    found, name = begin_at(0, steps, context.now), release.name
    if release.status.step is not None:
        told = "begins its steps anew: `steps` or `traffic` of `spec.rollout` changed"
        context.event(Reason.CANARY, f"{short_name(name)} {told}")
    context.change(
        name,
        step=found,
        approved_at=None,
        paused_at=None,
        pause_reason=None,
        paused_seconds=None,
    )
    context.replan()


def _next(context: ReconcileContext, name: str, steps: Steps, **fields: object) -> None:
    """Ends the step; the next one begins, and with it another clock."""
    status = context.release(name).status
    assert status.step is not None
    done = status.step
    begun = begin_at(done.index + 1, steps, context.now)
    context.change(
        name,
        **{
            "step": begun,
            "paused_at": None,
            "pause_reason": None,
            "paused_seconds": None,
            **fields,
        },
    )
    context.replan()
    told = f"{describe(steps.steps[done.index])} is done"
    context.event(Reason.STEP_DONE, f"{short_name(name)} step {place(done, steps)}: {told}")
    say_step(context, name, steps)


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
    if context.release(name).status.pause_reason in (Reason.STEPS_REFUSED, Reason.HELD_AT_STEP):
        resume(context, name)


def is_approved(context: ReconcileContext, release: Release) -> bool:
    """Whether a person approved the release, in the spec or by the annotation."""
    named = context.model.spec.rollout.approved_release
    in_spec = named is not None and number_of(named, context.model.name) == release.spec.number
    return in_spec or release.status.approved_at is not None


def _finish(context: ReconcileContext, release: Release) -> None:
    name, asked = release.name, context.model.spec.rollout
    capped = asked.hold_at_step is not None and asked.hold_at_step < len(asked.steps)
    if asked.promotion is Promotion.MANUAL and not is_approved(context, release):
        done = "took all of its steps" if asked.steps else "is whole"
        told = f"{done}, and waits to be approved (`promotion: Manual`)"
        wait_for_person(context, name, Reason.APPROVAL_REQUIRED, told)
    elif capped:
        told = f"waits at `spec.rollout.holdAtStep: {asked.hold_at_step}`: raise it to go on"
        wait_for_person(context, name, Reason.HELD_AT_STEP, told)
    else:
        _end_level(context, name)
        if forward(context, name, Stage.PROMOTING):
            context.say(name, Reason.PROMOTING, STARTS_THE_REST)


def _route(context: ReconcileContext, release: Release, steps: Steps, _: Step) -> None:
    """`setWeight` and `mirror`: over when all pods are there and the router was read back."""
    name, record = release.name, release.status.step
    assert record is not None and context.stable is not None
    wanted = Traffic(
        context.stable.name, name, weight_at(steps, record.index), mirror_at(steps, record.index)
    )
    routed, pair = router_of(context).verify(context, wanted), upkeep(context, release)
    if pair.whole and routed.holds:
        weights = Weights(asked=wanted.weight, achieved=routed.achieved, since=context.now)
        _next(context, name, steps, weights=weights)
        return
    left = seconds_left(context, name, record.started_at)
    if left is not None and left <= 0:
        limit = context.model.spec.rollout.progress_deadline_seconds
        lacking = "; ".join(
            part for part in (pair.told(), _of_stable(context), routed.told) if part
        )
        told = f"after {limit} s (`spec.rollout.progressDeadlineSeconds`): {lacking}"
        roll_back(context, release, Reason.PROGRESS_DEADLINE_EXCEEDED, told)
        return
    if left is not None:
        context.wake_in(left)
    say_step(context, name, steps)


def _of_stable(context: ReconcileContext) -> str:
    """What stable lacks: a weight that its pods keep from being reached is not the candidate's."""
    assert context.stable is not None
    told = upkeep(context, context.stable).told()
    return f"{short_name(context.stable.name)} beside it: {told}" if told else ""


def _soak(context: ReconcileContext, release: Release, steps: Steps, step: Step) -> None:
    name, record = release.name, release.status.step
    assert record is not None and step.pause is not None
    if record.passed or (step.pause.seconds is None and is_approved(context, release)):
        _next(context, name, steps)
        return
    if step.pause.seconds is None:
        told = f"waits for a person at step {place(record, steps)}"
        wait_for_person(context, name, Reason.STEP_PAUSE, told)
        return
    spent = clock.seconds_since(record.started_at, context.snapshot.now)
    left = step.pause.seconds - spent + paused_seconds(context, release.status)
    if left <= 0:
        _next(context, name, steps)
        return
    context.wake_in(left)
    say_step(context, name, steps)


def _analyse(context: ReconcileContext, release: Release, steps: Steps, step: Step) -> None:
    name, record = release.name, release.status.step
    assert record is not None and step.analysis is not None
    if record.passed:
        told = f"{short_name(name)} goes on past its gates, as a person asked"
        context.event(Reason.GATES_WAIVED, told, warning=True)
        _next(context, name, steps)
        return
    if release.status.pause_reason == Reason.GATE_INCONCLUSIVE:
        # What was measured is in the record; measuring goes on when a person asks for it.
        context.say(name, Reason.GATE_INCONCLUSIVE, _undecided(release, steps, step))
        return
    found = analyse(context, release, step.analysis.gates, record)
    if found.verdict is None:
        say_step(context, name, steps, found.told)
        return
    context.change(name, gates=merged(release.status.gates or (), found.verdicts))
    if found.verdict is Verdict.PASS:
        context.event(Reason.GATES_PASSED, f"{short_name(name)}: {found.told}")
        _next(context, name, steps)
    elif found.verdict is Verdict.FAIL:
        roll_back(context, context.release(name), Reason.GATE_FAILED, found.told)
    else:
        told = _undecided(context.release(name), steps, step)
        wait_for_person(context, name, Reason.GATE_INCONCLUSIVE, told)


def _undecided(release: Release, steps: Steps, step: Step) -> str:
    """The lines of this step's gates that did not decide, the same at every look."""
    record, known = release.status.step, {g.name: g for g in release.status.gates or ()}
    assert record is not None and step.analysis is not None
    asked = [known[name] for name in step.analysis.gates if name in known]
    lines = [
        f"{found.name}: {found.line}"
        for found in asked
        if found.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR) and not found.dry_run
    ]
    told = f"waits for a person at gate {'; '.join(lines)}"
    if weight_at(steps, record.index) or mirror_at(steps, record.index):
        return told
    return f"{told}; no step before {place(record, steps)} sends it requests"


def _act_of(step: Step) -> Callable[[ReconcileContext, Release, Steps, Step], None]:
    if step.pause is not None:
        return _soak
    return _route if step.analysis is None else _analyse
