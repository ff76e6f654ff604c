"""VectorIndex: the recipe of an index that follows a model. It owns nothing."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from lockstep_core.protocol.base import Contract, KindName, rule, validations
from lockstep_core.protocol.datasets import DatasetSpec
from lockstep_core.protocol.indexing import TRAITS, IndexSpec, ObjectivesSpec
from lockstep_operator.api.gate_rows import named
from lockstep_operator.api.pods import PodTemplate
from lockstep_operator.api.status import Condition, Time

EXACT = tuple(kind for kind, traits in TRAITS.items() if traits.exact)


class ModelReference(Contract):
    """An EmbeddingModel in the same namespace."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "self.name == oldSelf.name",
                "`modelRef.name` must not change: make another VectorIndex for another model",
                ".name",
            )
        )
    )

    name: KindName = Field(description="Name of the EmbeddingModel, in the same namespace.")


class BuildSpec(Contract):
    """The Jobs that build the index."""

    active_deadline_seconds: int = Field(
        default=14400, ge=1, le=31_536_000, description="Longest run of one build attempt."
    )
    template: PodTemplate = Field(default_factory=PodTemplate, description="Pod of the build Job.")


class VectorIndexSpec(Contract):
    """The desired index."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "!has(self.objectives.recall) || !has(self.objectives.recall.min)"
                " || double(self.objectives.recall.min) < 1.0"
                f" || self.index.type in {[kind.value for kind in EXACT]}",
                "`objectives.recall.min` must be below 1 unless `index.type` is"
                f" {named(EXACT)}: no sample of searches shows that none misses",
                ".objectives.recall.min",
            )
        )
    )

    model_ref: ModelReference = Field(description="The model whose embeddings are indexed.")
    source: DatasetSpec = Field(description="The corpus. A change is a release of the same space.")
    index: IndexSpec = Field(default_factory=IndexSpec, description="The FAISS index to build.")
    objectives: ObjectivesSpec = Field(
        default_factory=ObjectivesSpec, description="What a build must reach before it serves."
    )
    replicas: int = Field(default=1, ge=1, le=1000, description="Index pods of a release.")
    build: BuildSpec = Field(default_factory=BuildSpec, description="The Jobs that build it.")
    template: PodTemplate = Field(
        default_factory=PodTemplate, description="Pod of the index server."
    )


class BuildPointer(Contract):
    """One build of the index, as the status shows it."""

    release: str
    build_digest: str
    space_id: str = Field(alias="spaceID")
    rows: int
    bytes: int
    recall: str = Field(description="Index recall, as `recall@10 0.991 >= 0.950 (n=1000)`.")


class VectorIndexStatus(Contract):
    """A projection of the model's releases."""

    observed_generation: int = -1
    phase: str | None = None
    message: str | None = None
    serving: BuildPointer | None = None
    candidate: BuildPointer | None = None
    replicas: int | None = None
    selector: str | None = None
    last_built_at: Time | None = None
    conditions: list[Condition] | None = Field(
        default=None,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
