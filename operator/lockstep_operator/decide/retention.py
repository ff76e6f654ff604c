"""What is kept of releases that do not serve: warm for a rollback, then a record, then nothing."""

from __future__ import annotations

from lockstep_operator.api.objects import API_VERSION, Object, Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide import clock
from lockstep_operator.decide.children import upkeep
from lockstep_operator.decide.draft import ENDED, Draft
from lockstep_operator.decide.jobs import is_over
from lockstep_operator.decide.plan import Reference
from lockstep_operator.decide.reasons import Reason
from lockstep_operator.decide.runner import reference
from lockstep_operator.manifests import short_name

# A replaced release answers what reached it before every node had heard of the switch.
DRAIN_SECONDS = 30.0
_KINDS = ("Deployment", "StatefulSet", "Service")


def retain(draft: Draft) -> None:
    """Keeps replaced releases inside the rollback window whole, and retires the others."""
    window = draft.model.spec.rollout.rollback_window
    for place, release in enumerate(draft.retained):
        since = release.status.finished_at or draft.now
        age = clock.seconds_since(since, draft.scene.now)
        limit = float(window.seconds) if place < window.releases else 0.0
        left = max(limit, DRAIN_SECONDS) - age
        if left <= 0:
            draft.enter(release.name, Stage.RETIRED)
            told = "left the rollback window: its pods are deleted, its record stays"
            draft.say(release.name, Reason.RETIRED, told)
            draft.event(Reason.RETIRED, f"{short_name(release.name)} {told}")
            continue
        draft.wake_in(left)
        pair = upkeep(draft, release)
        lacking = f", but not whole: {'; '.join(pair.lacking)}" if pair.lacking else ""
        told = f"is kept for a rollback{lacking}"
        draft.say(release.name, Reason.RETAINED, told, ready=pair.whole)


def sweep(draft: Draft) -> None:
    """Deletes children of ended releases. What failed keeps its ended Jobs: they are evidence."""
    for release in draft.releases:
        stage = release.status.stage
        if stage not in ENDED:
            continue
        found: list[Object] = []
        for kind in _KINDS:
            found += draft.scene.children(kind, release.uid)
        for job in draft.scene.children("Job", release.uid):
            if stage is not Stage.FAILED or not is_over(job):
                found.append(job)
        draft.delete.extend(
            reference(child) for child in found if "deletionTimestamp" not in child["metadata"]
        )


def trim_history(draft: Draft) -> None:
    """Deletes the oldest records beyond `revisionHistoryLimit`.

    Never the newest release: its number and its hashes say what comes next.
    """
    ended = [r for r in draft.releases[:-1] if r.status.stage in ENDED]
    surplus = len(ended) - draft.model.spec.revision_history_limit
    draft.delete.extend(_record(release) for release in ended[: max(0, surplus)])


def _record(release: Release) -> Reference:
    return Reference(API_VERSION, "EmbeddingRelease", release.name, release.uid)
