"""Our kinds as parsed objects: metadata that decisions need, typed spec, typed status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from lockstep_core.protocol.labels import GROUP
from lockstep_operator.api.index import VectorIndexSpec, VectorIndexStatus
from lockstep_operator.api.model import EmbeddingModelSpec, EmbeddingModelStatus
from lockstep_operator.api.release import EmbeddingReleaseSpec, EmbeddingReleaseStatus

VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

Object = dict[str, Any]
"""A Kubernetes object, as JSON has it."""


S = TypeVar("S", bound=BaseModel)
T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class Resource(Generic[S, T]):
    """One object of ours. `raw` is what the API server gave, for comparison only."""

    namespace: str
    name: str
    uid: str
    generation: int
    created_at: str
    annotations: dict[str, str]
    deleting: bool
    spec: S
    status: T
    raw: Object


Model = Resource[EmbeddingModelSpec, EmbeddingModelStatus]
Index = Resource[VectorIndexSpec, VectorIndexStatus]
Release = Resource[EmbeddingReleaseSpec, EmbeddingReleaseStatus]


def parse(raw: Object, spec: type[S], status: type[T]) -> Resource[S, T]:
    """Raises `pydantic.ValidationError` when the spec is not one that this version understands."""
    metadata = raw["metadata"]
    return Resource(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        created_at=metadata.get("creationTimestamp", ""),
        annotations=metadata.get("annotations") or {},
        deleting="deletionTimestamp" in metadata,
        spec=spec.model_validate(raw.get("spec") or {}),
        status=status.model_validate(raw.get("status") or {}),
        raw=raw,
    )


def parse_model(raw: Object) -> Model:
    """Raises `pydantic.ValidationError` when the spec is not one that this version understands."""
    return parse(raw, EmbeddingModelSpec, EmbeddingModelStatus)


def parse_index(raw: Object) -> Index:
    """Raises `pydantic.ValidationError` when the spec is not one that this version understands."""
    return parse(raw, VectorIndexSpec, VectorIndexStatus)


def parse_release(raw: Object) -> Release:
    """Raises `pydantic.ValidationError` when the spec is not one that this version understands."""
    return parse(raw, EmbeddingReleaseSpec, EmbeddingReleaseStatus)
