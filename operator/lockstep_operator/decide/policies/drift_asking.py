"""What a DriftPolicy asks for: a request is recorded, approved, done once, and remembered.

Nothing here does it: `releases.drift_requests` does, in a later pass, by what was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lockstep_core.protocol.drift import Seen
from lockstep_core.protocol.labels import APPROVE
from lockstep_operator.api.drift_actions import (
    AT_ONCE,
    DAY,
    ActionRule,
    ActionTaken,
    Approval,
    Deed,
    Request,
    Trigger,
)
from lockstep_operator.api.drift_policy import ACTIONS_TOLD, DriftPolicy
from lockstep_operator.api.objects import Release
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.policies.drift_sights import Sight
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.hints import approve
from lockstep_operator.decide.workloads.drift_deeds import impossible, made_for, not_yet
from lockstep_operator.manifests import short_name

UNKNOWN_APPROVER = "unknown"


@dataclass(frozen=True)
class Asked:
    """What is asked for after this pass, what became of the rest, and the words for it."""

    request: Request | None
    actions: tuple[ActionTaken, ...]
    acting: bool
    pauses: Trigger | None
    notes: tuple[str, ...] = ()


def ask(context: ReconcileContext, policy: DriftPolicy, sight: Sight) -> Asked:
    before = policy.status
    actions = tuple(_brought_up_to_date(context, one) for one in before.actions or ())
    request = before.request
    if request is not None:
        ended = _ended(context, policy, sight, request)
        if ended is not None:
            actions, request = (ended, *actions)[:ACTIONS_TOLD], None
        else:
            request = _with_approval(context, policy, request)
    made = _on_its_way(context, actions)
    pauses = next((t for t in Trigger if Seen(t) in sight.seen & _pausing(policy)), None)
    if not sight.known:
        pauses = before.pauses
    if request is not None or made is not None or before.request is not None:
        passed = _passed_over(context, policy, sight, actions, request) if request else ()
        notes = (*passed, *_notes(context, policy, request, made))
        return Asked(request, actions, made is not None or _may(request), pauses, notes)
    request, why_not = _new_request(context, policy, sight, actions)
    notes = (*why_not, *_notes(context, policy, request, None))
    return Asked(request, actions, _may(request), pauses, notes)


def _may(request: Request | None) -> bool:
    return request is not None and request.may_be_done


def _pausing(policy: DriftPolicy) -> frozenset[Seen]:
    return frozenset(Seen(trigger) for trigger in policy.spec.triggers_of(Deed.PAUSE))


def _new_request(
    context: ReconcileContext, policy: DriftPolicy, sight: Sight, actions: Iterable[ActionTaken]
) -> tuple[Request | None, tuple[str, ...]]:
    """For the first rule that applies and may act, and why those before it may not."""
    report, stable, notes = sight.report, context.stable, list[str]()
    if report is None or report.problem or stable is None:
        return None, ()
    for rule in _rules_that_apply(policy, sight):
        why = _why_not(context, policy, sight, rule, actions)
        if why is not None:
            notes.append(f"{rule.do} is not asked for: {why}.")
            continue
        request = Request(
            id=f"{rule.do.lower()}-{short_name(stable.name)}-{report.window}",
            do=rule.do,
            when=rule.when,
            release=stable.name,
            asked_at=context.now,
            approval=Approval.HUMAN if rule.asks_a_person else Approval.NONE,
        )
        return request, tuple(notes)
    return None, tuple(notes)


def _passed_over(
    context: ReconcileContext,
    policy: DriftPolicy,
    sight: Sight,
    actions: Iterable[ActionTaken],
    request: Request,
) -> tuple[str, ...]:
    """Why the rules before that of a request ask for nothing."""
    notes = []
    for rule in _rules_that_apply(policy, sight):
        if rule.do is request.do:
            break
        why = _why_not(context, policy, sight, rule, actions)
        notes += [f"{rule.do} is not asked for: {why}."] if why is not None else []
    return tuple(notes)


def _rules_that_apply(policy: DriftPolicy, sight: Sight) -> list[ActionRule]:
    rules = (rule for rule in policy.spec.actions if rule.do not in AT_ONCE)
    return [rule for rule in rules if Seen(rule.when) in sight.seen]


def _why_not(
    context: ReconcileContext,
    policy: DriftPolicy,
    sight: Sight,
    rule: ActionRule,
    actions: Iterable[ActionTaken],
) -> str | None:
    assert sight.report is not None
    roles = sight.roles_that_show(Seen(rule.when))
    why = impossible(context, rule.do, sight.report, roles)
    return why or _too_soon(context, policy, rule, actions)


def _too_soon(
    context: ReconcileContext, policy: DriftPolicy, rule: ActionRule, taken: Iterable[ActionTaken]
) -> str | None:
    now = context.snapshot.now
    done = [one for one in taken if one.done]
    ages = [clock.seconds_since(one.at, now) for one in done if one.do is rule.do]
    if ages and min(ages) < rule.cooldown:
        last = next(one for one in done if one.do is rule.do)
        until = clock.later(clock.parse(last.at), rule.cooldown)
        context.wake_at(until)
        return f"the last one was at {last.at}, and the next may come at {until}"
    today = [one for one in done if clock.seconds_since(one.at, now) < DAY]
    limit = policy.spec.limits.actions_per_day
    if len(today) >= limit:
        return f"{len(today)} were done within 24 hours (`spec.limits.actionsPerDay` is {limit})"
    return None


def _with_approval(context: ReconcileContext, policy: DriftPolicy, request: Request) -> Request:
    if request.may_be_done or policy.annotations.get(APPROVE) != request.id:
        return request
    return request.replace(approved_at=context.now, approved_by=approver(policy))


def approver(policy: DriftPolicy) -> str:
    """Who wrote the approval, as the API server recorded it: the name of the tool or the user agent
    that manages the field. Who was logged in stands in the audit log of the cluster."""
    for entry in policy.raw["metadata"].get("managedFields") or []:
        fields = ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {}
        if f"f:{APPROVE}" in fields:
            return str(entry.get("manager") or UNKNOWN_APPROVER)[:256]
    return UNKNOWN_APPROVER


def _ended(
    context: ReconcileContext, policy: DriftPolicy, sight: Sight, request: Request
) -> ActionTaken | None:
    """What became of a request that is over."""
    made, stable, candidate = made_for(context, request.id), context.stable, context.candidate
    if made is not None:
        return _taken(context, request, True, _how_it_is(made), made.name)
    returns = candidate is not None and candidate.status.promoted_at is not None
    if request.do is Deed.ROLLBACK and request.may_be_done:
        back = candidate if returns else stable
        if back is not None and (returns or back.name != request.release):
            words = f"{short_name(back.name)} takes the entry point back"
            return _taken(context, request, True, words, back.name)
    if stable is not None and stable.name != request.release:
        words = f"withdrawn: {short_name(request.release)} does not serve any more"
        return _taken(context, request, False, words)
    if request.when not in policy.spec.triggers_of(request.do):
        return _taken(
            context, request, False, "withdrawn: `spec.actions` does not hold it any more"
        )
    if request.approved_at is None and sight.known and _is_over(request, sight):
        what = "recall holds again" if request.when is Trigger.RECALL_BELOW else "the drift is over"
        return _taken(context, request, False, f"withdrawn: {what}")
    return None


def _is_over(request: Request, sight: Sight) -> bool:
    """Whether what was answered to is shown to be no more: what is not judged is not over."""
    if request.when is Trigger.RECALL_BELOW:
        return sight.recall_holds is True
    return not sight.drift and sight.is_judged


def _taken(
    context: ReconcileContext,
    request: Request,
    done: bool,
    outcome: str,
    release: str | None = None,
) -> ActionTaken:
    return ActionTaken(
        id=request.id,
        do=request.do,
        at=context.now,
        approved_by=request.approved_by,
        done=done,
        outcome=outcome,
        release=release,
    )


def _brought_up_to_date(context: ReconcileContext, action: ActionTaken) -> ActionTaken:
    """What a release that was made has come to; as it was told last once its record is gone."""
    if action.do is Deed.ROLLBACK:
        return action
    made = made_for(context, action.id)
    return action if made is None else action.replace(outcome=_how_it_is(made))


def _how_it_is(made: Release) -> str:
    status, short = made.status, short_name(made.name)
    if status.last_failure is not None and facts_of(status.stage).ended:
        return f"{short} ended: {status.last_failure.reason}: {status.last_failure.message}"[:512]
    return f"{short} is {status.stage or 'made'}"


def _on_its_way(context: ReconcileContext, actions: Iterable[ActionTaken]) -> Release | None:
    candidate = context.candidate
    if candidate is None or candidate.spec.drift is None:
        return None
    ids = {action.id for action in actions}
    return candidate if candidate.spec.drift.request in ids else None


def _notes(
    context: ReconcileContext, policy: DriftPolicy, request: Request | None, made: Release | None
) -> tuple[str, ...]:
    """What is asked for, and of whom."""
    if made is not None:
        return (f"{_how_it_is(made)}, made for it.",)
    if request is None:
        return ()
    if not request.may_be_done:
        return (f"{request.do} waits for a person: {approve(policy, request.id)}",)
    waits = not_yet(context, request)
    by = f", approved by {request.approved_by}" if request.approved_by else ""
    return (f"{request.do} is asked for{by}" + (f" and waits: {waits}." if waits else "."),)
