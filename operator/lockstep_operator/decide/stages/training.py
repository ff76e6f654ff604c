"""Training: one Job per attempt until there is a model artifact."""

from __future__ import annotations

from lockstep_operator import manifests
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Attempts, Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import forward
from lockstep_operator.decide.context.plan import reference
from lockstep_operator.decide.jobs import attempts, job_runner
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JobKind, short_name


def begin(context: ReconcileContext, release: Release) -> None:
    """The first look at a new release: train, import, or take over the model that it reuses."""
    name = release.name
    if release.spec.reuse is None:
        imports = release.spec.artifact is not None
        book = Attempts(importing=1) if imports else Attempts(training=1)
        stage = Stage.IMPORTING if imports else Stage.TRAINING
        context.enter(name, stage, started_at=context.now, attempts=book)
    else:
        source = next((r for r in context.releases if r.name == release.spec.reuse.release), None)
        context.enter(
            name,
            Stage.INDEXING if release.spec.indexes else Stage.WARMING,
            started_at=context.now,
            attempts=Attempts(indexing={index.name: 1 for index in release.spec.indexes}),
            training=release.spec.reuse.training,
            gates=source.status.gates if source else None,
            gates_passed_at=context.now,
        )
    entered = context.release(name).status.stage
    context.event(Reason(entered or ""), f"{short_name(name)} entered {entered}")


def training(context: ReconcileContext, release: Release) -> None:
    name = release.name
    if release.status.training is None:
        if not _can_meet(context, release):
            return
        task = job_runner.task(context, name, JobKind.TRAIN)
        result = job_runner.run(context, name, task)
        if result is None:
            return
        if result.training is None:
            message = "the trainer ended well without the facts of a model artifact"
            context.fail(name, Reason.INVALID_RESULT, message)
            return
        context.change(name, training=result.training)
        met = context.snapshot.child("Service", manifests.rendezvous_name(name), release.uid)
        if met is not None:
            context.delete.append(reference(met))
        for found in result.training.findings:
            told = f"{short_name(name)} {found.name}: {found.message}"
            context.event(Reason.TRAINING_FINDING, told, warning=True)
    to_evaluating(context, name)


def _can_meet(context: ReconcileContext, release: Release) -> bool:
    """Plans the Service of a training with several pods; False where its name is taken."""
    policy, name = context.model.spec.training, manifests.rendezvous_name(release.name)
    if policy is None or policy.distributed.pods == 1:
        return True
    conflict = context.snapshot.conflict("Service", name, release.uid)
    if conflict is not None:
        context.fail(release.name, Reason.NAME_CONFLICT, conflict)
        return False
    if context.snapshot.child("Service", name, release.uid) is None:
        context.apply.append(manifests.rendezvous_service(release))
    return True


def to_evaluating(context: ReconcileContext, name: str) -> None:
    """There is a model: it is measured next."""
    book = attempts.book(context.release(name).status)
    book = attempts.start(book, JobKind.EVALUATE, None, max(1, book.evaluating))
    forward(context, name, Stage.EVALUATING, attempts=book)
