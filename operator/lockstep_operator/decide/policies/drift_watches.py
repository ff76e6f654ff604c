"""What a DriftPolicy watches: the monitors of the release that serves, or why there are none."""

from __future__ import annotations

from lockstep_core.protocol.drift import Parameters, RecallBound
from lockstep_core.protocol.environment import MONITOR_PORT
from lockstep_core.protocol.labels import REBASELINE
from lockstep_core.protocol.monitoring import KEPT_WINDOWS, MAX_BETS
from lockstep_operator.api.drift_policy import AUTO, DriftPolicy
from lockstep_operator.api.objects import Release
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.drift import drift_policies
from lockstep_operator.decide.snapshot.drift import DriftWatch
from lockstep_operator.decide.snapshot.targets import ready_encoders, target_of
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.hints import number_of
from lockstep_operator.manifests import short_name

BASELINE_WINDOWS = 24
EPOCH_LIMIT = 128


def watch_of(context: ReconcileContext, policy: DriftPolicy) -> DriftWatch | str:
    """What is to be watched, or the sentence that says why nothing is."""
    stable = context.stable
    if stable is None or stable.status.training is None:
        return "no release serves yet"
    if wrong := _unwatched(context, stable) or wrong_windows(context, policy):
        return wrong
    # None of them ready is told with the next window, not at once: pods come and go. That a pod has
    # a monitor is a matter of its release.
    pods = ready_encoders(context.snapshot, stable.name)
    return DriftWatch(
        policy=policy.name,
        uid=policy.uid,
        space=stable.status.training.space_id,
        targets=tuple(target_of(pod, MONITOR_PORT) for pod in pods),
        first_window=_first_window(context, stable),
        parameters=parameters_of(context, policy, stable),
    )


def parameters_of(context: ReconcileContext, policy: DriftPolicy, stable: Release) -> Parameters:
    spec, seconds = policy.spec, context.model.spec.monitoring.window_seconds
    budget = spec.false_alarm_budget
    windows = tuple(window.seconds // seconds for window in spec.windows) or (1,)
    roles = tuple(sorted(set(spec.roles)))
    # The budget is the policy's: each role has a part of it.
    budget_windows = budget.per_seconds / seconds / budget.count * len(roles)
    return Parameters(
        release=stable.name,
        roles=roles,
        baseline=spec.baseline,
        window_seconds=seconds,
        baseline_windows=spec.baseline_windows or BASELINE_WINDOWS,
        tolerance=None if spec.tolerance == AUTO else float(spec.tolerance),
        spans=windows,
        budget_windows=max(10.0, budget_windows),
        min_samples=spec.min_samples,
        epoch=epoch_of(policy, stable) or "",
        recall=_recall_bound(context, policy, stable),
    )


def _recall_bound(
    context: ReconcileContext, policy: DriftPolicy, stable: Release
) -> RecallBound | None:
    asked = policy.spec.recall
    if asked is None or without_recall(context, policy, stable):
        return None
    windows = -(-asked.span_seconds // context.model.spec.monitoring.window_seconds)
    return RecallBound(
        minimum=float(asked.min),
        k=asked.k,
        windows=min(KEPT_WINDOWS, windows),
        min_queries=asked.min_queries,
    )


def without_recall(
    context: ReconcileContext, policy: DriftPolicy, stable: Release | None
) -> str | None:
    """Why `spec.recall` cannot be judged, however long one waits."""
    asked, measured = policy.spec.recall, context.model.spec.monitoring.recall
    if asked is None or stable is None:
        return None
    why = None
    if not stable.spec.indexes:
        why = f"{short_name(stable.name)} has no index"
    elif not measured.per_minute:
        why = (
            f"`spec.monitoring.recall.perMinute` of EmbeddingModel {context.model.name} is 0: raise"
            " it"
        )
    elif asked.k != measured.k:
        why = (
            f"`spec.recall.k` is {asked.k}, and `spec.monitoring.recall.k` of EmbeddingModel"
            f" {context.model.name} is {measured.k}: change one of them"
        )
    return None if why is None else f"index recall is not judged: {why}"


def epoch_of(policy: DriftPolicy, stable: Release) -> str | None:
    """The annotation by which a person asked to learn anew what this release meets.

    One that was acted on stands when the annotation goes: its going is no wish.
    """
    asked = policy.annotations.get(REBASELINE, "")[:EPOCH_LIMIT]
    candidates = (asked, policy.status.rebaselined or "")
    numbers = ((token, number_of(token, stable.spec.model)) for token in candidates)
    return next((token for token, number in numbers if number == stable.spec.number), None)


def refused_epoch(policy: DriftPolicy, stable: Release | None) -> str | None:
    """Why the annotation does nothing, if it does nothing."""
    asked = policy.annotations.get(REBASELINE, "")[:EPOCH_LIMIT]
    if not asked or stable is None or asked == policy.status.rebaselined:
        return None
    if number_of(asked, stable.spec.model) == stable.spec.number:
        return None
    short = short_name(stable.name)
    return (
        f"{REBASELINE}={asked} does nothing: {short} serves, and its traffic alone can be learned"
    )


def without_bets(context: ReconcileContext, policy: DriftPolicy) -> str | None:
    """Why the evidence of a policy cannot grow: pods hold so many bets and no more."""
    before = [p for p in drift_policies(context.snapshot) if p.name <= policy.name]
    if sum(len(set(p.spec.roles)) for p in before) <= MAX_BETS:
        return None
    return (
        f"its evidence does not grow: pods hold {MAX_BETS} bets, which the policies of the model"
        " with names before it have; delete one, or watch fewer roles"
    )


def wrong_windows(context: ReconcileContext, policy: DriftPolicy) -> str | None:
    """Spans that are not made of whole windows of the monitors."""
    seconds = context.model.spec.monitoring.window_seconds
    for window in policy.spec.windows:
        if window.seconds % seconds:
            return (
                f"`spec.windows` has {window.seconds} seconds, which is no multiple of"
                f" `spec.monitoring.windowSeconds` ({seconds}) of EmbeddingModel"
                f" {context.model.name}: change one of them"
            )
    return None


def is_drifting(policy: DriftPolicy) -> bool:
    """Whether the status tells of drift already."""
    return _is_told(policy, "NoDrift")


def is_recall_low(policy: DriftPolicy) -> bool:
    """Whether the status tells of a low recall already."""
    return _is_told(policy, "RecallHolds")


def _is_told(policy: DriftPolicy, condition: str) -> bool:
    """Whether this condition, which is true while all is well, is false."""
    found = (c for c in policy.status.conditions or () if c.type == condition)
    return any(one.status == "False" for one in found)


def _first_window(context: ReconcileContext, stable: Release) -> int:
    """The first that holds no traffic of a canary, which is none of users as they come."""
    since = stable.status.promoted_at or stable.created_at
    moment = clock.parse(since) if since else context.snapshot.now
    return int(moment.timestamp() // context.model.spec.monitoring.window_seconds) + 1


def _unwatched(context: ReconcileContext, stable: Release) -> str | None:
    short = short_name(stable.name)
    if not context.model.spec.monitoring.enabled:
        return f"`spec.monitoring.enabled` of EmbeddingModel {context.model.name} is false: set it"
    if stable.spec.images.monitor is None:
        return (
            f"{short} was made without the monitor's image, so its pods have no monitor: the next"
            " release has one, where the operator has `--monitor-image`"
        )
    return None
