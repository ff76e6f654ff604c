"""The config of the program of each kind of Job, frozen in the release."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.config import (
    BuildConfig,
    CheckConfig,
    EvaluateConfig,
    ImportConfig,
    ReplayConfig,
    TrainConfig,
)
from lockstep_core.protocol.environment import SERVING_PORT
from lockstep_core.protocol.training import TrainingSpec
from lockstep_operator.api.gate_fields import REPLAYED_QUERIES
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.objects import Index, Model, Release
from lockstep_operator.api.release import FrozenIndex, Images
from lockstep_operator.manifests.facts import build_facts, held_out, is_same_store, training_facts
from lockstep_operator.manifests.names import encoder_name


@dataclass(frozen=True)
class JobInputs:
    """What the Jobs of a release are built from; each kind reads what it needs.

    `stable` is compared with, where there is one. `index` is the index of the Job, as the release
    froze it; `recipe` gives its pod alone (None: the VectorIndex was deleted, defaults). `gate` and
    `analysis` are what a replay measures for. `images` stand in for those that the release froze.
    """

    model: Model
    release: Release
    attempt: int
    stable: Release | None = None
    index: FrozenIndex | None = None
    recipe: Index | None = None
    gate: Gate | None = None
    analysis: str = ""
    images: Images | None = None


def train_config(inputs: JobInputs) -> TrainConfig:
    """The report shows the stable model beside it, if it is in the same store.

    Raises ValueError for a release that is imported.
    """
    release = inputs.release
    return TrainConfig(
        release=release.name,
        release_uid=release.uid,
        attempt=inputs.attempt,
        artifacts=release.spec.artifacts,
        training=training_of(inputs),
        stable_artifact_digest=_comparable(inputs.stable, release),
        known_data=release.spec.drift.known_data if release.spec.drift is not None else None,
    )


def training_of(inputs: JobInputs) -> TrainingSpec:
    """The training of the release; raises ValueError for a release that is imported."""
    release, policy = inputs.release, inputs.model.spec.training
    training = release.spec.training
    if training is None:
        raise ValueError(f"release {release.name} is imported: there is nothing to train")
    if policy is None:
        return training
    # As the pod's template, which has to give each process its GPU: that of now.
    return training.replace(distributed=policy.distributed)


def import_config(inputs: JobInputs) -> ImportConfig:
    """Raises ValueError for a release that is trained."""
    release = inputs.release
    source = release.spec.artifact
    if source is None:
        raise ValueError(f"release {release.name} is trained: there is nothing to import")
    return ImportConfig(
        release=release.name,
        release_uid=release.uid,
        attempt=inputs.attempt,
        artifacts=release.spec.artifacts,
        artifact=source,
    )


def evaluate_config(inputs: JobInputs) -> EvaluateConfig:
    """A stable model in another store is not measured: the pod reaches the candidate's store alone.

    Raises ValueError while the release (or the stable one) has no model artifact, and when there
    is no labelled set to measure it on.
    """
    release = inputs.release
    return EvaluateConfig(
        release=release.name,
        release_uid=release.uid,
        attempt=inputs.attempt,
        artifacts=release.spec.artifacts,
        artifact_digest=training_facts(release).artifact_digest,
        stable_artifact_digest=_comparable(inputs.stable, release),
        data=held_out(release),
        recall_at=_recall_at(inputs.model),
    )


def build_config(inputs: JobInputs) -> BuildConfig:
    """What is built is frozen in the release: of `recipe` it reads nothing.

    Raises ValueError while the release has no model artifact.
    """
    release, index = inputs.release, inputs.index
    assert index is not None
    facts = training_facts(release)
    return BuildConfig(
        release=release.name,
        release_uid=release.uid,
        attempt=inputs.attempt,
        artifacts=release.spec.artifacts,
        artifact_digest=facts.artifact_digest,
        space_id=facts.space_id,
        index=index.name,
        source=index.source,
        recipe=index.index,
        objectives=index.objectives,
        seed=release.spec.seed,
    )


def replay_config(inputs: JobInputs) -> ReplayConfig:
    """Held-out queries go through the release's own Service.

    Raises ValueError while the release lacks its model artifact or the build, and when there is no
    labelled set.
    """
    release, index, gate = inputs.release, inputs.index, inputs.gate
    assert index is not None and gate is not None
    build, data = build_facts(release, index.name), held_out(release)
    if release.status.evaluation is not None:
        data = data.replace(digest=release.status.evaluation.dataset_digest)
    service = f"{encoder_name(release.name)}.{release.namespace}.svc"
    return ReplayConfig(
        release=release.name,
        release_uid=release.uid,
        attempt=inputs.attempt,
        artifacts=release.spec.artifacts,
        analysis=inputs.analysis,
        url=f"http://{service}:{SERVING_PORT}",
        space_id=build.space_id,
        index=index.name,
        build_digest=build.build_digest,
        data=data,
        source=index.source.replace(digest=build.source_digest),
        k=gate.neighbours,
        max_samples=gate.max_samples or REPLAYED_QUERIES,
        seed=release.spec.seed,
    )


def check_config(inputs: JobInputs) -> CheckConfig:
    """The model and all builds that the release has. Raises ValueError while it has no model."""
    release = inputs.release
    return CheckConfig(
        release=release.name,
        release_uid=release.uid,
        attempt=inputs.attempt,
        artifacts=release.spec.artifacts,
        artifact_digest=training_facts(release).artifact_digest,
        builds=tuple(build.build_digest for build in release.status.builds or ()),
    )


def _comparable(stable: Release | None, release: Release) -> Sha256 | None:
    """The stable model, where a pod of `release` reaches it, and it is whole."""
    if stable is None or not is_same_store(stable.spec.artifacts, release.spec.artifacts):
        return None
    if any(damaged.index is None for damaged in stable.status.damaged or ()):
        return None  # it cannot be read: a gate that compares with it is left to a person
    return training_facts(stable).artifact_digest


def _recall_at(model: Model) -> tuple[int, ...]:
    wanted = {gate.neighbours for gate in model.spec.rollout.gates if gate.needs_recall}
    return tuple(sorted(wanted)) or (1,)
