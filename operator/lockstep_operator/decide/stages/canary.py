"""Canary: the candidate takes its share of the requests, step by step, and is judged on it.

The record is written when a step begins, with what the step before it achieved; nothing is written
while a step is under way. A step is over when its weight was read back, its time has passed, or its
gates have decided.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import forward
from lockstep_operator.decide.context.traffic import Traffic
from lockstep_operator.decide.context.transitions import Enter, Note, RollBack, Stay
from lockstep_operator.decide.stages.canary_steps import take
from lockstep_operator.decide.stages.warming import fatal_crash
from lockstep_operator.decide.stages.weights import record_weight
from lockstep_operator.decide.traffic.routers.choice import router_of
from lockstep_operator.decide.traffic.steps import (
    Steps,
    begin_at,
    mirror_at,
    plan_of,
    under_way,
    weight_at,
)
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import short_name


def canary(
    context: ReconcileContext, release: Release
) -> Stay | Enter[Literal[Stage.WARMING, Stage.PROMOTING]] | RollBack:
    name, stable = release.name, context.stable
    if stable is None:
        return forward(context, name, Stage.PROMOTING)
    if release.status.canary_of != stable.name:
        message = f"starts its pods beside {short_name(stable.name)}"
        anew = {"canary_of": stable.name, "canary": None}
        return Enter(Stage.WARMING, anew, Note(Stage.WARMING, message))
    stop = _must_stop(context, release)
    if stop is not None:
        return stop
    steps = plan_of(context)
    record = release.status.step
    if record is None or record.hash != steps.hash:
        _restart(context, release, steps)
    outcome = take(context, name, steps)
    if isinstance(outcome, RollBack):
        return outcome
    had = context.release(name).status.weights
    traffic = Traffic(stable.name, name, had.asked if had else 0)
    if isinstance(outcome, Stay):
        traffic = _share(context, name, stable.name, steps)
        record_weight(context, name, traffic)
    return dataclasses.replace(outcome, traffic=traffic)


def _share(context: ReconcileContext, name: str, holder: str, steps: Steps) -> Traffic:
    """A weight goes up only when the pods for it are there. It may always come down."""
    release = context.release(name)
    had = release.status.weights.asked if release.status.weights else 0
    if not router_of(context).verify(context, Traffic(holder, name, had)).achieved:
        had = 0  # another router gave it that share, or it was taken away: nothing is there to keep
    at = under_way(context, release)
    asked = weight_at(steps, at)
    ready = asked <= had or health_of(context, release).ready
    return Traffic(holder, name, asked if ready else had, mirror_at(steps, at))


def _must_stop(context: ReconcileContext, release: Release) -> RollBack | None:
    """A candidate that cannot answer takes no more traffic."""
    health = health_of(context, release)
    if health.conflict is not None:
        return RollBack(Reason.NAME_CONFLICT, health.conflict)
    crash = fatal_crash(context, release)
    if crash is not None and crash.result is not None:
        result = crash.result
        return RollBack(
            result.reason, result.message, crash.exit_code, crash.pod, damage=result.damage
        )
    if health.serving:
        return None
    return RollBack(Reason.PODS_NOT_READY, f"answers no more: {health.sentence()}")


def _restart(context: ReconcileContext, release: Release, steps: Steps) -> None:
    """The first step of these steps: of a new canary, or of one whose steps were changed."""
    name = release.name
    if release.status.step is not None:
        message = "begins its steps anew: `steps` or `traffic` of `spec.rollout` changed"
        context.event(Stage.CANARY, f"{short_name(name)} {message}")
    first = begin_at(0, steps, context.now)
    context.change(name, step=first, approved_at=None, pause=None)
