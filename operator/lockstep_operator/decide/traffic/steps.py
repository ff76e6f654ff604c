"""The steps of a canary as data: what each asks for, and where a release is among them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.rollout import Promotion
from lockstep_operator.api.steps import Step
from lockstep_operator.api.traffic_records import StepRecord
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import paused_seconds
from lockstep_operator.decide.context.transitions import Stay, stay
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.reasons import Reason, Word


@dataclass(frozen=True)
class Steps:
    """The steps before the promotion: a last `setWeight: 100` is the promotion itself."""

    steps: tuple[Step, ...]
    hash: str
    declared: int

    @property
    def first_with_traffic(self) -> int:
        """The first step that sends or copies requests to the candidate; its pods start for it."""
        with_traffic = (i for i, s in enumerate(self.steps) if s.set_weight or s.mirror)
        return next(with_traffic, max(0, len(self.steps) - 1))


def plan_of(context: ReconcileContext) -> Steps:
    """The steps of the model's spec."""
    rollout = context.model.spec.rollout
    steps = tuple(rollout.steps)
    # What one router achieved does not carry over to another.
    asked = [step.to_wire() for step in steps], rollout.traffic.to_wire()
    wire = json.dumps(asked, sort_keys=True)
    digest = hashlib.sha256(wire.encode()).hexdigest()[:12]
    return Steps(steps[: _promotion(steps)], digest, len(steps))


def _promotion(steps: tuple[Step, ...]) -> int:
    return next((i for i, step in enumerate(steps) if step.set_weight == 100), len(steps))


def weight_at(steps: Steps, index: int) -> int:
    """Percent of the requests for the candidate while step `index` is under way."""
    asked = (s.set_weight for s in reversed(steps.steps[: max(0, index + 1)]))
    return next((weight for weight in asked if weight is not None), 0)


def mirror_at(steps: Steps, index: int) -> int:
    """Percent of the requests that are copied while step `index` is under way."""
    asked = (s.mirror for s in reversed(steps.steps[: max(0, index + 1)]))
    return next((mirror for mirror in asked if mirror is not None), 0)


def has_canary(context: ReconcileContext, release: Release) -> bool:
    """Whether a release is judged beside stable: not the first one, and none that served before.

    By its steps, or by the person who is to approve it (`promotion: Manual`) where it has none.
    """
    stable = context.stable
    if stable is None or release.status.promoted_at is not None:
        return False
    if facts_of(release.status.stage).beside_stable:
        return True
    waits = context.model.spec.rollout.promotion is Promotion.MANUAL
    return waits or bool(plan_of(context).steps)


def under_way(context: ReconcileContext, release: Release) -> int:
    """The step whose traffic holds: a step beyond `holdAtStep` has not begun. -1: none has."""
    at, limit = release.status.step, context.model.spec.rollout.hold_at_step
    index = at.index if at is not None else 0
    return index if limit is None else min(index, limit - 1)


def describe(step: Step) -> str:
    """A step as one word and its number: `setWeight 25%`."""
    if step.set_weight is not None:
        return f"setWeight {step.set_weight}%"
    if step.mirror is not None:
        return f"mirror {step.mirror}%"
    if step.pause is not None:
        return "pause" if step.pause.seconds is None else f"pause {step.pause.seconds} s"
    return f"analysis of {', '.join(step.analysis.gates if step.analysis else ())}"


def place(record: StepRecord, steps: Steps) -> str:
    """`2/4`, counted as in the spec."""
    return f"{min(record.index + 1, steps.declared)}/{steps.declared}"


def at_step(context: ReconcileContext, name: str, steps: Steps, trouble: str = "") -> Stay:
    """The same words from the first to the last look at a step: each change would be a write."""
    record = context.release(name).status.step
    assert record is not None
    if record.index >= len(steps.steps):
        return stay(Stage.CANARY, "took all of its steps")
    step = steps.steps[record.index]
    reason: Word = Stage.CANARY
    message = f"takes step {place(record, steps)}: {describe(step)}"
    if step.pause is not None and step.pause.seconds is not None:
        reason = Reason.STEP_PAUSE
        spent = paused_seconds(context, context.release(name).status)
        until = clock.later(clock.parse(record.started_at), step.pause.seconds + spent)
        message += f", until {until}"
    return stay(reason, f"{message}; {trouble}" if trouble else message)


def begin_at(index: int, steps: Steps, now: str) -> StepRecord:
    return StepRecord(index=index, hash=steps.hash, started_at=now)
