"""Training: one Job per attempt until there is a model artifact."""

from __future__ import annotations

from lockstep_operator import manifests
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Attempts, Stage
from lockstep_operator.decide.context.context import Draft
from lockstep_operator.decide.context.pauses import forward
from lockstep_operator.decide.context.plan import reference
from lockstep_operator.decide.jobs import attempts, job_runner
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JobKind, short_name

FIELD = "`spec.training.template`"


def begin(draft: Draft, release: Release) -> None:
    """The first look at a new release: train, import, or take over the model that it reuses."""
    name = release.name
    if release.spec.reuse is None:
        imports = release.spec.artifact is not None
        book = Attempts(importing=1) if imports else Attempts(training=1)
        stage = Stage.IMPORTING if imports else Stage.TRAINING
        draft.enter(name, stage, started_at=draft.now, attempts=book)
    else:
        source = next((r for r in draft.releases if r.name == release.spec.reuse.release), None)
        draft.enter(
            name,
            Stage.INDEXING if release.spec.indexes else Stage.WARMING,
            started_at=draft.now,
            attempts=Attempts(indexing={index.name: 1 for index in release.spec.indexes}),
            training=release.spec.reuse.training,
            gates=source.status.gates if source else None,
            gates_passed_at=draft.now,
        )
    entered = draft.release(name).status.stage
    draft.event(Reason(entered or ""), f"{short_name(name)} entered {entered}")


def training(draft: Draft, release: Release) -> None:
    name, secrets = release.name, draft.scene.settings.image_pull_secrets
    if release.status.training is None:
        if not _can_meet(draft, release):
            return
        task = job_runner.Task(
            kind=JobKind.TRAIN,
            index=None,
            build=lambda attempt: manifests.training_job(
                draft.model, draft.release(name), attempt, draft.stable, pull_secrets=secrets
            ),
            template=FIELD,
            deadline="`spec.training.activeDeadlineSeconds`",
        )
        result = job_runner.run(draft, name, task)
        if result is None:
            return
        if result.training is None:
            message = "the trainer ended well without the facts of a model artifact"
            draft.fail(name, Reason.INVALID_RESULT, message)
            return
        draft.change(name, training=result.training)
        met = draft.scene.child("Service", manifests.meeting_name(name), release.uid)
        if met is not None:
            draft.delete.append(reference(met))
        for found in result.training.findings:
            told = f"{short_name(name)} {found.name}: {found.message}"
            draft.event(Reason.TRAINING_FINDING, told, warning=True)
    to_evaluating(draft, name)


def _can_meet(draft: Draft, release: Release) -> bool:
    """Plans the Service of a training with several pods; False where its name is taken."""
    policy, name = draft.model.spec.training, manifests.meeting_name(release.name)
    if policy is None or policy.distributed.pods == 1:
        return True
    conflict = draft.scene.conflict("Service", name, release.uid)
    if conflict is not None:
        draft.fail(release.name, Reason.NAME_CONFLICT, conflict)
        return False
    if draft.scene.child("Service", name, release.uid) is None:
        draft.apply.append(manifests.meeting_service(release))
    return True


def to_evaluating(draft: Draft, name: str) -> None:
    """There is a model: it is measured next."""
    book = attempts.book(draft.release(name).status)
    book = attempts.start(book, JobKind.EVALUATE, None, max(1, book.evaluating))
    forward(draft, name, Stage.EVALUATING, attempts=book)
