"""Indexing: one Job per index embeds the corpus with this release's own encoder."""

from __future__ import annotations

from typing import Literal

from lockstep_core.protocol.result import Result
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import FrozenIndex, Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import forward
from lockstep_operator.decide.context.transitions import Enter, Fail, Note, Stay, stay
from lockstep_operator.decide.jobs import job_runner
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JobKind


def indexing(
    context: ReconcileContext, release: Release
) -> Stay | Enter[Literal[Stage.VERIFYING]] | Fail:
    name = release.name
    waits: list[Note] = []
    for frozen in release.spec.indexes:
        in_the_way = _build(context, name, frozen)
        if isinstance(in_the_way, Fail):
            return in_the_way
        if in_the_way is not None and in_the_way.note is not None:
            waits.append(in_the_way.note)
    if not waits:
        return forward(context, name, Stage.VERIFYING, built_at=context.now)
    # The builds run side by side: what troubles one of them matters more than that others run.
    reason = next((n.reason for n in waits if n.reason != Stage.INDEXING), Stage.INDEXING)
    return stay(reason, "; ".join(note.message for note in waits))


def _build(context: ReconcileContext, name: str, frozen: FrozenIndex) -> Stay | Fail | None:
    """None once the facts of this index are in the record."""
    builds = context.release(name).status.builds or []
    if any(build.index == frozen.name for build in builds):
        return None
    task = job_runner.task(context, name, JobKind.BUILD, frozen)
    result = job_runner.run(context, name, task)
    if not isinstance(result, Result):
        return result
    if result.build is None:
        message = f"the build of {frozen.name} ended well without the facts of an index"
        return Fail(Reason.INVALID_RESULT, message)
    if result.build.index != frozen.name:
        message = f"the build of index {frozen.name} reports index {result.build.index}"
        return Fail(Reason.RESULT_MISMATCH, message)
    context.change(name, builds=[*builds, result.build])
    return None
