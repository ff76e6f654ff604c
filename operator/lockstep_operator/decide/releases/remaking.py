"""A retry after damaged files: where it enters, and what of the record it makes again.

Facts are written once, but for this: an artifact that is lost is made again, and its facts with it.
What is whole keeps them. A new attempt names a new Job, since one that is complete already would
report the lost artifact again; the program looks into the store before it believes an earlier
result, and publishing replaces what is damaged there.
"""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.stored import ArtifactCheck
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.health import ReleaseHealth
from lockstep_operator.decide.context.stored import damage_text, has_lost_model, wanted_check
from lockstep_operator.decide.jobs import attempts
from lockstep_operator.decide.releases.wanted import is_asked, made_in_place
from lockstep_operator.decide.stage_table import Retried, facts_of
from lockstep_operator.decide.vocabulary.hints import Verb, ask
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JobKind, short_name


def remade(release: Release) -> tuple[Retried, dict[str, object]] | None:
    """The stage that makes what is damaged, and the fields of the record that begin anew.

    None where nothing of the release is known to be damaged.
    """
    if not release.status.damaged:
        return None
    return _from_model(release) if has_lost_model(release) else _from_builds(release)


def _from_model(release: Release) -> tuple[Retried, dict[str, object]]:
    """All that follows is judged and built for the model that comes: it may be another one. Builds
    of one that comes out the same are found in the store, and not computed again."""
    imported = release.spec.artifact is not None
    stage: Retried = Stage.IMPORTING if imported else Stage.TRAINING
    first = JobKind.IMPORT if imported else JobKind.TRAIN
    bare = release.status.replace(builds=None)
    for kind in (first, JobKind.EVALUATE, JobKind.BUILD):
        bare = bare.replace(attempts=attempts.start_again(bare, kind))
    anew = ("training", "evaluation", "gates", "gates_passed_at", "builds", "built_at", "damaged")
    return stage, {**dict.fromkeys(anew), "attempts": bare.attempts}


def _from_builds(release: Release) -> tuple[Retried, dict[str, object]]:
    lost = {damaged.index for damaged in release.status.damaged or ()}
    whole = [build for build in release.status.builds or () if build.index not in lost]
    bare = release.status.replace(builds=whole)
    return Stage.INDEXING, {
        "builds": whole or None,
        "built_at": None,
        "damaged": None,
        "attempts": attempts.start_again(bare, JobKind.BUILD),
    }


def make_again(context: ReconcileContext, release: Release) -> tuple[str, Reason]:
    """A retry of what serves or is kept: its files are read again at once. If those of what serves
    are damaged still, another release is made in its place (`releases.model`), and it goes on
    serving until that is promoted."""
    short, serves = short_name(release.name), facts_of(release.status.stage).serves
    other = made_in_place(context, release) if serves else None
    if other is not None:
        why = f"{short_name(other.name)} was made in its place and ended: retry that"
        return f"refused: {why}", Reason.VERB_REFUSED
    check = (release.status.check or ArtifactCheck()).replace(asked_at=context.now)
    told = f"accepted: the stored files of {short} are read again"
    if serves and is_asked(context, release):
        context.change(release.name, check=check, remake_asked_at=context.now)
        told += ", and if they are damaged still, another release is made in its place"
    else:
        context.change(release.name, check=check)
    return told, Reason.RETRY_REQUESTED


def not_whole(context: ReconcileContext, release: Release, health: ReleaseHealth) -> str:
    """Why there is no way back to a kept release now. Its files are read, so that it is known."""
    context.change(release.name, **wanted_check(context, release))
    told = f"{short_name(release.name)} is kept, but it is not whole now: {health.sentence()}"
    return f"{told}; {lost_text(context, release)}" if release.status.damaged else told


def lost_text(context: ReconcileContext, release: Release) -> str:
    """What is damaged of a kept release, and what mends it."""
    mend = ask(context.model, Verb.RETRY, release.name)
    return (
        f"{damage_text(release)}. Apply its spec again: that makes a release of it anew; or restore"
        f" the file and have it read again: {mend}"
    )


def at_risk(release: Release) -> str:
    """What a person must know who goes back to a release whose files are damaged."""
    if not release.status.damaged:
        return ""
    return f", but its next pod that starts fails: {damage_text(release)}"
