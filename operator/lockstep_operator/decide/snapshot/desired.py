"""What the specs ask for now, and whether a release is that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.storage import ArtifactSource, ArtifactsSpec
from lockstep_core.protocol.training import TrainingSpec
from lockstep_operator.api.gate_rows import REPLAY
from lockstep_operator.api.gates import GATES
from lockstep_operator.api.importing import EvaluationSpec
from lockstep_operator.api.model import EmbeddingModelSpec, Indexing
from lockstep_operator.api.objects import Index, Release
from lockstep_operator.api.release import FrozenIndex
from lockstep_operator.decide.snapshot.snapshot import Problem, Snapshot
from lockstep_operator.decide.vocabulary.hashing import (
    imported_space_hash,
    index_hash,
    recipe,
    space_hash,
)
from lockstep_operator.decide.vocabulary.reasons import Reason

MAX_INDEXES = 32

C = TypeVar("C", bound=Contract)


@dataclass(frozen=True)
class Desired:
    """The identity of the desired state, and what a release of it would freeze."""

    space_hash: str
    index_hash: str
    artifacts: ArtifactsSpec
    training: TrainingSpec | None
    artifact: ArtifactSource | None
    evaluation: EvaluationSpec | None
    indexes: tuple[FrozenIndex, ...]

    def is_release(self, release: Release) -> bool:
        """Whether a release is exactly what is asked."""
        return self.has_model_of(release) and release.spec.index_hash == self.index_hash

    def has_model_of(self, release: Release) -> bool:
        """Whether a release's model is what is asked, read from the store as it is asked.

        Pods of a release keep the claim or the Secret that it was made with, so another one is
        another release: new pods beside the old, which the old ones outlive if they cannot start.
        """
        spec, status = release.spec, release.status
        if (spec.space_hash, spec.artifacts) != (self.space_hash, self.artifacts):
            return False
        # Once it was taken over, it does not matter where from; once it served, not what it was
        # measured on. Before that, another place or another set is another try.
        taken = status.training is not None or spec.artifact == self.artifact
        return taken and (status.promoted_at is not None or spec.evaluation == self.evaluation)

    def is_within(self, release: Release) -> bool:
        """Whether a release has all that is asked, and maybe indexes that were deleted since."""
        if not self.has_model_of(release):
            return False
        frozen = {index.name: recipe(index) for index in release.spec.indexes}
        return bool(self.indexes) and all(
            frozen.get(index.name) == recipe(index) for index in self.indexes
        )


def frozen_of(index: Index) -> FrozenIndex:
    """The part of a VectorIndex that a release freezes: what is built, not how it is run."""
    spec = index.spec
    return FrozenIndex(
        name=index.name, source=spec.source, index=spec.index, objectives=spec.objectives
    )


def desired_state(snapshot: Snapshot) -> Desired | Problem:
    """The desired state, or why no release can be made of it."""
    model = snapshot.model
    training = _part(TrainingSpec, model.spec.training)
    artifact = _part(ArtifactSource, model.spec.artifact)
    frozen: tuple[FrozenIndex, ...] = ()
    if model.spec.indexing is Indexing.REQUIRED:
        frozen = tuple(frozen_of(index) for index in snapshot.indexes)
    problem = _problem(snapshot, frozen)
    if problem is not None:
        return problem
    return Desired(
        space_hash=_space_hash(training, artifact, model.spec.artifacts.uri),
        index_hash=index_hash(frozen),
        artifacts=model.spec.artifacts,
        training=training,
        artifact=artifact,
        evaluation=model.spec.evaluation,
        indexes=frozen,
    )


def _part(kind: type[C], whole: C | None) -> C | None:
    """The fields of a base contract: what is made, without how its Jobs are run."""
    if whole is None:
        return None
    return kind.model_validate(whole.model_dump(by_alias=True, include=set(kind.model_fields)))


def _space_hash(
    training: TrainingSpec | None, artifact: ArtifactSource | None, artifacts_uri: str
) -> str:
    if artifact is not None:
        return imported_space_hash(artifact.digest, artifacts_uri)
    assert training is not None
    return space_hash(training, artifacts_uri)


def _problem(snapshot: Snapshot, frozen: tuple[FrozenIndex, ...]) -> Problem | None:
    model = snapshot.model
    for uri, field in _read_from(model.spec):
        wrong = unreachable(model.spec.artifacts, uri, field)
        if wrong is not None:
            return Problem(Reason.INVALID_SPEC, wrong)
    problem = _index_problem(snapshot, frozen) if model.spec.indexing is Indexing.REQUIRED else None
    if problem is not None:
        return problem
    wrong = _unsearchable(model.spec, [index.name for index in frozen])
    if wrong is None:
        return None
    # Of two manifests that are applied together, that of the index may come later.
    return Problem(Reason.INVALID_SPEC, wrong, waits=not snapshot.releases)


def _index_problem(snapshot: Snapshot, frozen: tuple[FrozenIndex, ...]) -> Problem | None:
    model = snapshot.model
    for broken in snapshot.broken_indexes:
        name = broken.raw["metadata"]["name"]
        return Problem(Reason.INVALID_INDEX, f"VectorIndex {name}: {broken.message}")
    for index in frozen:
        wrong = unreachable(model.spec.artifacts, index.source.uri, "spec.source.uri")
        if wrong is not None:
            return Problem(Reason.INVALID_INDEX, f"VectorIndex {index.name}: {wrong}")
    if len(frozen) > MAX_INDEXES:
        return Problem(
            Reason.INVALID_SPEC,
            f"{len(frozen)} VectorIndexes name this model, and a release carries at most"
            f" {MAX_INDEXES}: delete some, or give them another model",
        )
    default = model.spec.default_index
    if default is not None and frozen and default not in [index.name for index in frozen]:
        return Problem(
            Reason.NO_INDEX,
            f"`spec.defaultIndex` is {default}, and no VectorIndex of that name names this model:"
            " apply it, or name one of " + ", ".join(index.name for index in frozen),
            waits=True,
        )
    if not frozen:
        return Problem(
            Reason.NO_INDEX,
            f"no VectorIndex names this model: apply one with `spec.modelRef.name:"
            f" {model.name}`, or set `spec.indexing: None` to release the encoder alone",
            waits=True,
        )
    return None


def _unsearchable(spec: EmbeddingModelSpec, indexes: Sequence[str]) -> str | None:
    """Why a replay that the spec asks for has no index to search; None when each has one."""
    asked = [step.analysis for step in spec.rollout.steps] + [spec.rollout.after_promotion]
    judged = {name for analysis in asked if analysis is not None for name in analysis.gates}
    for gate in spec.rollout.gates:
        if gate.name not in judged or GATES[gate.type].reading is not REPLAY:
            continue
        field = f"`index` of gate {gate.name} in `spec.rollout.gates`"
        if not indexes:
            return (
                f"gate {gate.name} in `spec.rollout.gates` searches an index, and"
                " `spec.indexing` is None: remove the gate, or set `spec.indexing: Required`"
            )
        if gate.index is None and len(indexes) > 1:
            return f"{field} must be set to one of the VectorIndexes: {', '.join(indexes)}"
        if gate.index is not None and gate.index not in indexes:
            return (
                f"{field} is {gate.index}, and no VectorIndex of that name has this model: name"
                f" one of {', '.join(indexes)}, or apply it"
            )
    return None


def _read_from(spec: EmbeddingModelSpec) -> Iterator[tuple[str, str]]:
    """What pods read besides the store, and the field that names it."""
    if spec.training is not None:
        yield spec.training.data.uri, "spec.training.data.uri"
    # The store itself may be the source: what was published to it once is taken as it is.
    if spec.artifact is not None and spec.artifact.uri != spec.artifacts.uri:
        yield spec.artifact.uri, "spec.artifact.uri"
    if spec.evaluation is not None:
        yield spec.evaluation.data.uri, "spec.evaluation.data.uri"


def unreachable(artifacts: ArtifactsSpec, uri: str, field: str) -> str | None:
    """Why pods that reach only the artifact store cannot read `uri`; None when they can."""
    store, data = urlsplit(artifacts.uri), urlsplit(uri)
    if store.scheme != data.scheme:
        return (
            f"`{field}` is {uri}, but pods reach only the model's `spec.artifacts.uri`"
            f" ({artifacts.uri}): it must begin with {store.scheme}://"
        )
    if store.scheme != "file":
        if store.netloc == data.netloc:
            return None
        return f"`{field}` is {uri}, and must lie in {store.netloc}, as `spec.artifacts.uri` does"
    root = store.path.rstrip("/") + "/"
    if data.path.startswith(root) and ".." not in data.path.split("/"):
        return None
    return (
        f"`{field}` is {uri}, and must lie under the model's `spec.artifacts.uri`"
        f" ({artifacts.uri}), where the claim is mounted"
    )
