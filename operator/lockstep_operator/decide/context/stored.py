"""What the records know of stored files: whose artifact is damaged, and when a check is wanted."""

from __future__ import annotations

from lockstep_core.protocol.result import Damage
from lockstep_operator.api.objects import Release
from lockstep_operator.api.stored import ArtifactCheck, DamagedArtifact
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.reasons import Reason

# A kept release that takes over is not read again where that was done since.
FRESH_SECONDS = 3600.0
MESSAGE_CHARACTERS = 640


def of_release(release: Release, damage: Damage) -> DamagedArtifact | None:
    """The damage as that of an artifact of this release; None where it has no such artifact."""
    status, fields = release.status, damage.to_wire()
    if status.training is not None and status.training.artifact_digest == damage.artifact:
        return DamagedArtifact.model_validate(fields)
    for build in status.builds or ():
        if build.build_digest == damage.artifact:
            return DamagedArtifact.model_validate({**fields, "index": build.index})
    return None


def named_in(release: Release, reason: str, message: str) -> Damage | None:
    """What a program refused that names the artifact in its message alone: images are frozen, and
    those of earlier versions leave no `Result.damage`."""
    if reason != Reason.ARTIFACT_REFUSED:
        return None
    status = release.status
    digests = [build.build_digest for build in status.builds or ()]
    if status.training is not None:
        digests.append(status.training.artifact_digest)
    named = (digest for digest in digests if f"artifact {digest}" in message)
    found = next(named, None)
    return None if found is None else Damage(artifact=found, message=message[:MESSAGE_CHARACTERS])


def note_refused(context: ReconcileContext, name: str, damage: Damage) -> None:
    """Records what release `name` lost. Others that run from the same artifact are checked: it may
    have been the copy that a pod had, and they hold a whole one in memory."""
    own, known = of_release(context.release(name), damage), context.release(name).status.damaged
    if own is not None and all(own.artifact != other.artifact for other in known or ()):
        context.change(name, damaged=[*(known or ()), own])
    for release in context.releases:
        shares = of_release(release, damage) is not None and is_checked(release)
        if release.name != name and shares:
            context.change(release.name, **wanted_check(context, release))


def is_checked(release: Release) -> bool:
    """Whether its files are read by and by: it served, and its pods may have to start again."""
    status = release.status
    runs = facts_of(status.stage).runs_pods
    return runs and status.promoted_at is not None and status.training is not None


def wanted_check(context: ReconcileContext, release: Release) -> dict[str, object]:
    """The field of the record that asks for a check; none where one was made just now."""
    check = release.status.check or ArtifactCheck()
    last = check.checked_at
    if last is not None and clock.seconds_since(last, context.snapshot.now) < FRESH_SECONDS:
        return {}
    return {"check": check.replace(asked_at=context.now)}


def has_lost_model(release: Release) -> bool:
    """Whether its model is known to be damaged in the store."""
    return any(damaged.index is None for damaged in release.status.damaged or ())


def lost_models(context: ReconcileContext) -> set[str]:
    """Digests of models that are known to be damaged, whichever release recorded it."""
    return {
        damaged.artifact
        for release in context.releases
        for damaged in release.status.damaged or ()
        if damaged.index is None
    }


def damage_text(release: Release) -> str:
    """Which file of what is not whole, with its digest; empty where nothing is known to be."""
    damaged = release.status.damaged or []
    if not damaged:
        return ""
    first, more = damaged[0], len(damaged) - 1
    file = first.file or "the manifest"
    rest = f", and {more} more" if more else ""
    return f"{file} of its {first.what} is missing or corrupt (artifact {first.artifact}){rest}"
