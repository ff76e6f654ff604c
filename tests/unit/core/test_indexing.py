"""What is said of an index type is true of its parameters."""

from __future__ import annotations

import pytest

from lockstep_core.protocol.indexing import TRAITS, HNSWSpec, IndexSpec, IndexType

pytestmark = pytest.mark.unit


def test_every_type_has_its_traits_and_names_a_parameter_that_there_is() -> None:
    assert set(TRAITS) == set(IndexType)
    hnsw = IndexSpec(type=IndexType.HNSW, hnsw=HNSWSpec())
    group, name = str(hnsw.traits.recall_parameter).split(".")
    assert name in hnsw.to_wire()[group]


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        (
            IndexType.HNSW,
            "raise `spec.index.hnsw.efSearch` of VectorIndex glyphs, or lower its"
            " `spec.objectives.recall.min`",
        ),
        (IndexType.FLAT, "lower `spec.objectives.recall.min` of VectorIndex glyphs"),
    ],
)
def test_low_recall_is_told_with_a_parameter_that_the_type_has(
    kind: IndexType, advice: str
) -> None:
    assert IndexSpec(type=kind).recall_advice("glyphs") == advice
