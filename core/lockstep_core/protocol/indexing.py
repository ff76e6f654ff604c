"""What to build: the recipe of an index, as the indexer reads it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import ConfigDict, Field

from lockstep_core.protocol.base import Contract, UnitFraction, rule, validations


class IndexType(StrEnum):
    """`Flat` searches exactly; `HNSW` walks a navigable small-world graph."""

    FLAT = "Flat"
    HNSW = "HNSW"


@dataclass(frozen=True)
class IndexTraits:
    """What holds of an index type whatever its parameters.

    `exact`: it returns what exact search returns. `recall_parameter` is the parameter to raise for
    more index recall, below `spec.index`; None where no parameter decides it.
    """

    exact: bool
    recall_parameter: str | None


TRAITS = {
    IndexType.FLAT: IndexTraits(exact=True, recall_parameter=None),
    IndexType.HNSW: IndexTraits(exact=False, recall_parameter="hnsw.efSearch"),
}


class HNSWSpec(Contract):
    """Parameters of the graph (Malkov and Yashunin, arXiv 1603.09320)."""

    m: int = Field(default=32, ge=2, le=256, description="Links of a node.")
    ef_construction: int = Field(
        default=100, ge=1, le=4096, description="Candidates kept while the graph is built."
    )
    ef_search: int = Field(
        default=64, ge=1, le=4096, description="Candidates kept while the graph is searched."
    )


class IndexSpec(Contract):
    """The FAISS index to build."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "!has(self.hnsw) || self.type == 'HNSW'",
                "`hnsw` must not be set unless `type` is HNSW",
                ".hnsw",
            )
        )
    )

    type: IndexType = Field(default=IndexType.HNSW, description="`Flat` (exact) or `HNSW`.")
    hnsw: HNSWSpec | None = Field(default=None, description="Parameters of an HNSW index.")

    @property
    def traits(self) -> IndexTraits:
        return TRAITS[self.type]

    def recall_advice(self, index: str) -> str:
        """What to change in the VectorIndex named `index` when its recall is below its bound."""
        bound = "`spec.objectives.recall.min`"
        parameter = self.traits.recall_parameter
        if parameter is None:
            return f"lower {bound} of VectorIndex {index}"
        return f"raise `spec.index.{parameter}` of VectorIndex {index}, or lower its {bound}"


class RecallObjective(Contract):
    """The lower confidence bound of index recall@k that a build must reach."""

    k: int = Field(default=10, ge=1, le=1000, description="Neighbours that are compared.")
    min: UnitFraction = Field(
        default="0.95",
        description="Smallest index recall@k (share of the exact top k that the index returns)"
        " whose lower confidence bound is accepted.",
    )


class ObjectivesSpec(Contract):
    """What a build must reach before it may serve."""

    recall: RecallObjective = Field(
        default_factory=RecallObjective, description="Bound on index recall against exact search."
    )
