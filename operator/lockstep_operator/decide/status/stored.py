"""What is told of stored files: of what serves, of the way back, and which command mends them."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.status import ConditionStatus
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.stored import damage_text, is_checked
from lockstep_operator.decide.releases.remaking import lost_text
from lockstep_operator.decide.releases.wanted import is_asked, made_in_place
from lockstep_operator.decide.snapshot.observed import Refusal
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.vocabulary.conditions import State
from lockstep_operator.decide.vocabulary.hints import Verb, ask
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import JobKind, short_name

TYPE = "ArtifactsWhole"


def stored_state(context: ReconcileContext) -> State | None:
    """The condition; None before anything is known of any release."""
    releases = [release for release in context.releases if is_checked(release)]
    damaged = [release for release in reversed(releases) if release.status.damaged]
    if damaged:
        message = " ".join(_sentence(context, release) for release in damaged)
        return State(TYPE, ConditionStatus.FALSE, Reason.ARTIFACTS_DAMAGED, message)
    checks = [(r, r.status.check) for r in releases if r.status.check is not None]
    troubles = [f"{short_name(r.name)}: {check.trouble}" for r, check in checks if check.trouble]
    troubles += [
        f"Job {refused.name}: {refused.message}" for refused in refusals_of_checks(context)
    ]
    if troubles:
        message = f"Not known: the last check read nothing to its end. {'; '.join(troubles)}"
        return State(TYPE, ConditionStatus.UNKNOWN, Reason.ARTIFACTS_UNCHECKED, message)
    read = [short_name(release.name) for release, check in checks if check.checked_at]
    if not read:
        return None
    message = f"Every stored byte of {', '.join(read)} was read, and is as it was published."
    return State(TYPE, ConditionStatus.TRUE, Reason.ARTIFACTS_WHOLE, message)


def damage_note(release: Release) -> str:
    """The end of a release's own message; empty where its files are not known to be damaged."""
    text = damage_text(release)
    return f"; the next pod of it that starts fails: {text}" if text else ""


def damage_of_stable(context: ReconcileContext, stable: Release) -> list[str]:
    """What a person must know of the release that serves, and of the way back."""
    releases = (stable, *context.retained)
    return [_sentence(context, release) for release in releases if release.status.damaged]


def refusals_of_checks(context: ReconcileContext) -> list[Refusal]:
    """Jobs that read stored files and that the API server refused: nothing waits for them."""
    stems = tuple(f"{release.name}-{JobKind.CHECK}-" for release in context.releases)
    refused = context.snapshot.observed.refusals
    return [r for r in refused if r.kind == "Job" and r.name.startswith(stems)]


def _sentence(context: ReconcileContext, release: Release) -> str:
    short, serves = short_name(release.name), facts_of(release.status.stage).serves
    if not serves:
        ready = health_of(context, release).ready
        way = (
            "and takes over as long as its pods run" if ready else "and there is no way back to it"
        )
        return f"{short} is kept for a rollback, {way}: {lost_text(context, release)}"
    pods = "Its pods hold whole copies; the next one that starts fails."
    if not is_asked(context, release):
        mend = "Apply its spec, then retry it, or restore the file."
    else:
        other = made_in_place(context, release)
        name = release.name if other is None else other.name
        mend = f"Make them again beside it: {ask(context.model, Verb.RETRY, name)}"
    return f"{short}: {damage_text(release)}. {pods} {mend}"
