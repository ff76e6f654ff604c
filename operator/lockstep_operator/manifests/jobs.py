"""Jobs of a release: one per attempt, created once and never changed."""

from __future__ import annotations

from collections.abc import Sequence

from lockstep_core.protocol import labels as names
from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.config import (
    BuildConfig,
    EvaluateConfig,
    ImportConfig,
    ReplayConfig,
    TrainConfig,
)
from lockstep_core.protocol.environment import PROGRESS_PORT, SERVING_PORT
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.index import BuildSpec
from lockstep_operator.api.objects import Index, Model, Object, Release
from lockstep_operator.api.pods import PodTemplate
from lockstep_operator.api.release import FrozenIndex
from lockstep_operator.manifests.attempt import attempt_job
from lockstep_operator.manifests.facts import build_facts, held_out, is_same_store, training_facts
from lockstep_operator.manifests.meeting import meeting_environment, spread
from lockstep_operator.manifests.names import JobKind, encoder_name
from lockstep_operator.manifests.pods import PROGRESS_PORT_NAME, Program

TRAIN_REQUESTS = {"cpu": "250m", "memory": "512Mi"}
EVALUATE_REQUESTS = {"cpu": "100m", "memory": "256Mi"}
REPLAY_REQUESTS = {"cpu": "50m", "memory": "128Mi"}
REPLAYED_QUERIES = 1000
BUILD_REQUESTS = {"cpu": "100m", "memory": "256Mi"}
# Time to finish a step and to save what was done.
TRAIN_GRACE_SECONDS = 60


def training_job(
    model: Model,
    release: Release,
    attempt: int,
    stable: Release | None = None,
    *,
    pull_secrets: Sequence[str] = (),
) -> Object:
    """`lockstep-train run`: the data set in, a model artifact out; `validate` comes first.

    The report shows the stable model beside it, if it is in the same store.
    Raises ValueError for a release that is imported.
    """
    training, policy = release.spec.training, model.spec.training
    if training is None:
        raise ValueError(f"release {release.name} is imported: there is nothing to train")
    if policy is not None:
        # As the pod's template, which has to give each process its GPU: that of now.
        training = training.model_copy(update={"distributed": policy.distributed})
    config = TrainConfig(
        release=release.name,
        release_uid=release.uid,
        attempt=attempt,
        artifacts=release.spec.artifacts,
        training=training,
        stable_artifact_digest=_comparable(stable, release),
    )
    program = Program(
        command=("lockstep-train", "run"),
        image=release.spec.images.trainer,
        config=config,
        artifacts=release.spec.artifacts,
        writes_artifacts=True,
        port=(PROGRESS_PORT_NAME, PROGRESS_PORT),
        requests=TRAIN_REQUESTS,
        grace_seconds=TRAIN_GRACE_SECONDS,
        check=("lockstep-train", "validate"),
        environment=meeting_environment(release, attempt, training.distributed),
    )
    job = attempt_job(
        release,
        JobKind.TRAIN,
        attempt,
        program,
        template=policy.template if policy else PodTemplate(),
        deadline=model.spec.origin.active_deadline_seconds,
        pull_secrets=pull_secrets,
    )
    return spread(job, release, training.distributed)


def import_job(
    model: Model, release: Release, attempt: int, *, pull_secrets: Sequence[str] = ()
) -> Object:
    """`lockstep-encoder import`: the artifact of another store in, this store's artifact out.

    Raises ValueError for a release that is trained.
    """
    source = release.spec.artifact
    if source is None:
        raise ValueError(f"release {release.name} is trained: there is nothing to import")
    config = ImportConfig(
        release=release.name,
        release_uid=release.uid,
        attempt=attempt,
        artifacts=release.spec.artifacts,
        artifact=source,
    )
    program = Program(
        command=("lockstep-encoder", "import"),
        image=release.spec.images.encoder,
        config=config,
        artifacts=release.spec.artifacts,
        writes_artifacts=True,
        port=(PROGRESS_PORT_NAME, PROGRESS_PORT),
        requests=EVALUATE_REQUESTS,
    )
    return attempt_job(
        release,
        JobKind.IMPORT,
        attempt,
        program,
        template=model.spec.serving.template,
        deadline=model.spec.origin.active_deadline_seconds,
        pull_secrets=pull_secrets,
    )


def evaluation_job(
    model: Model,
    release: Release,
    attempt: int,
    stable: Release | None,
    *,
    pull_secrets: Sequence[str] = (),
) -> Object:
    """`lockstep-encoder evaluate`: candidate and stable over the same held-out set.

    A stable model in another store is not measured: the pod reaches the candidate's store alone.
    Raises ValueError while the release (or the stable one) has no model artifact, and when there
    is no labelled set to measure it on.
    """
    config = EvaluateConfig(
        release=release.name,
        release_uid=release.uid,
        attempt=attempt,
        artifacts=release.spec.artifacts,
        artifact_digest=training_facts(release).artifact_digest,
        stable_artifact_digest=_comparable(stable, release),
        data=held_out(release),
        recall_at=_recall_at(model),
    )
    program = Program(
        command=("lockstep-encoder", "evaluate"),
        image=release.spec.images.encoder,
        config=config,
        artifacts=release.spec.artifacts,
        writes_artifacts=True,
        port=(PROGRESS_PORT_NAME, PROGRESS_PORT),
        requests=EVALUATE_REQUESTS,
    )
    return attempt_job(
        release,
        JobKind.EVALUATE,
        attempt,
        program,
        template=model.spec.serving.template,
        deadline=model.spec.origin.active_deadline_seconds,
        pull_secrets=pull_secrets,
    )


def build_job(
    model: Model,
    release: Release,
    index: FrozenIndex,
    recipe: Index | None,
    attempt: int,
    *,
    pull_secrets: Sequence[str] = (),
) -> Object:
    """`lockstep-indexer build`: the corpus in, one index artifact out.

    `recipe` gives the pod alone (None: the VectorIndex was deleted, defaults); what is built is
    frozen in the release. Raises ValueError while the release has no model artifact.
    """
    facts = training_facts(release)
    config = BuildConfig(
        release=release.name,
        release_uid=release.uid,
        attempt=attempt,
        artifacts=release.spec.artifacts,
        artifact_digest=facts.artifact_digest,
        space_id=facts.space_id,
        index=index.name,
        source=index.source,
        recipe=index.index,
        objectives=index.objectives,
        seed=release.spec.seed,
    )
    program = Program(
        command=("lockstep-indexer", "build"),
        image=release.spec.images.indexer,
        config=config,
        artifacts=release.spec.artifacts,
        writes_artifacts=True,
        port=(PROGRESS_PORT_NAME, PROGRESS_PORT),
        requests=BUILD_REQUESTS,
    )
    build = recipe.spec.build if recipe else BuildSpec()
    return attempt_job(
        release,
        JobKind.BUILD,
        attempt,
        program,
        template=build.template,
        deadline=build.active_deadline_seconds,
        index=index.name,
        pull_secrets=pull_secrets,
    )


def replay_job(
    model: Model,
    release: Release,
    index: FrozenIndex,
    gate: Gate,
    attempt: int,
    *,
    analysis: str,
    pull_secrets: Sequence[str] = (),
) -> Object:
    """`lockstep-encoder replay`: held-out queries through the release's own Service.

    It has `progressDeadlineSeconds`: an analysis does not wait longer for a pod than a weight does.
    Raises ValueError while the release lacks its model artifact or the build, and when there is no
    labelled set.
    """
    build, data = build_facts(release, index.name), held_out(release)
    if release.status.evaluation is not None:
        data = data.model_copy(update={"digest": release.status.evaluation.dataset_digest})
    service = f"{encoder_name(release.name)}.{release.namespace}.svc"
    config = ReplayConfig(
        release=release.name,
        release_uid=release.uid,
        attempt=attempt,
        artifacts=release.spec.artifacts,
        analysis=analysis,
        url=f"http://{service}:{SERVING_PORT}",
        space_id=build.space_id,
        index=index.name,
        build_digest=build.build_digest,
        data=data,
        source=index.source.model_copy(update={"digest": build.source_digest}),
        k=gate.neighbours,
        max_samples=gate.max_samples or REPLAYED_QUERIES,
        seed=release.spec.seed,
    )
    program = Program(
        command=("lockstep-encoder", "replay"),
        image=release.spec.images.encoder,
        config=config,
        artifacts=release.spec.artifacts,
        writes_artifacts=True,
        port=(PROGRESS_PORT_NAME, PROGRESS_PORT),
        requests=REPLAY_REQUESTS,
    )
    job = attempt_job(
        release,
        JobKind.REPLAY,
        attempt,
        program,
        template=model.spec.serving.template,
        deadline=model.spec.rollout.progress_deadline_seconds,
        index=index.name,
        suffix=gate.name,
        pull_secrets=pull_secrets,
    )
    job["metadata"]["labels"][names.GATE] = gate.name
    job["metadata"]["annotations"] = {names.ANALYSIS: analysis}
    return job


def _comparable(stable: Release | None, release: Release) -> Sha256 | None:
    """The stable model, where a pod of `release` reaches it."""
    if stable is None or not is_same_store(stable.spec.artifacts, release.spec.artifacts):
        return None
    return training_facts(stable).artifact_digest


def _recall_at(model: Model) -> tuple[int, ...]:
    wanted = {gate.neighbours for gate in model.spec.rollout.gates if gate.needs_recall}
    return tuple(sorted(wanted)) or (1,)
