"""The EmbeddingRelease object: created once by POST, immutable spec."""

from __future__ import annotations

from lockstep_operator.api.kinds import EMBEDDING_RELEASE
from lockstep_operator.api.objects import Model, Object
from lockstep_operator.api.release import EmbeddingReleaseSpec
from lockstep_operator.manifests.metadata import (
    Component,
    metadata,
    owned_by_model,
    standard_labels,
)
from lockstep_operator.manifests.names import release_name


def release_manifest(model: Model, number: int, spec: EmbeddingReleaseSpec) -> Object:
    """`<em>-r<N>`, owned by its EmbeddingModel: deleting the model deletes every release."""
    if (spec.model, spec.number) != (model.name, number):
        raise ValueError(
            f"spec of {release_name(spec.model, spec.number)} given for"
            f" {release_name(model.name, number)}"
        )
    return {
        **EMBEDDING_RELEASE.type_meta,
        "metadata": metadata(
            release_name(model.name, number),
            model.namespace,
            standard_labels(model.name, Component.RELEASE),
            owned_by_model(model),
        ),
        "spec": spec.to_wire(),
    }
