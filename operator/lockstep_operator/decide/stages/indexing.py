"""Indexing: one Job per index embeds the corpus with this release's own encoder."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import FrozenIndex, Stage
from lockstep_operator.decide.context.context import Note, ReconcileContext
from lockstep_operator.decide.context.pauses import forward
from lockstep_operator.decide.jobs import job_runner
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JobKind


def indexing(context: ReconcileContext, release: Release) -> None:
    name = release.name
    notes: list[Note] = []
    for frozen in release.spec.indexes:
        _build(context, name, frozen)
        if context.release(name).status.stage is not Stage.INDEXING:
            return
        note = context.notes.pop(name, None)
        if note is not None:
            notes.append(note)
    if not notes:
        forward(context, name, Stage.VERIFYING, built_at=context.now)
        return
    # The builds run side by side: what troubles one of them matters more than that others run.
    reason = next((n.reason for n in notes if n.reason != Reason.INDEXING), Reason.INDEXING)
    context.say(name, reason, "; ".join(note.message for note in notes))


def _build(context: ReconcileContext, name: str, frozen: FrozenIndex) -> None:
    builds = context.release(name).status.builds or []
    if any(build.index == frozen.name for build in builds):
        return
    task = job_runner.task(context, name, JobKind.BUILD, frozen)
    result = job_runner.run(context, name, task)
    if result is None:
        return
    if result.build is None:
        message = f"the build of {frozen.name} ended well without the facts of an index"
        context.fail(name, Reason.INVALID_RESULT, message)
    elif result.build.index != frozen.name:
        message = f"the build of index {frozen.name} reports index {result.build.index}"
        context.fail(name, Reason.RESULT_MISMATCH, message)
    else:
        context.change(name, builds=[*builds, result.build])
