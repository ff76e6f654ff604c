"""Index recall of a build against its objective, and what a person is told to change."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_core.protocol.result import BuildFacts
from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.release import FrozenIndex
from lockstep_operator.decide.gates.index_recall import (
    index_recall,
    index_recall_advice,
    index_recall_text,
)
from tests.unit.decide import worlds

pytestmark = pytest.mark.unit

LOW = {"n": 1000, "mean": 0.93, "standardDeviation": 0.1}


def frozen(kind: str) -> FrozenIndex:
    fields: dict[str, Any] = {
        "source": {"uri": "file:///data.npz", "format": "NPZ"},
        "index": {"type": kind},
        "objectives": {},
    }
    return FrozenIndex.model_validate({"name": "glyphs", **fields})


def build(mean: float, spread: float, n: int = 5) -> BuildFacts:
    return BuildFacts.model_validate(
        {
            "index": "glyphs",
            "buildDigest": f"sha256:{'a' * 64}",
            "spaceID": "0" * 12,
            "sourceDigest": f"sha256:{'b' * 64}",
            "rows": 100,
            "expectedRows": 100,
            "dimension": 8,
            "bytes": 1,
            "seconds": 1.0,
            "recallK": 10,
            "recall": {"n": n, "mean": mean, "standardDeviation": spread},
        }
    )


def failed(kind: str) -> str:
    """The message of a release whose build misses its objective."""
    world = worlds.World().apply_model().apply_index()
    world.change_index("index", {"type": kind})
    world.build_changes = {"recall": LOW}
    assert world.run().stage(1) == "Failed"
    return str(world.release(1)["status"]["lastFailure"]["message"])


def test_the_point_value_of_an_exact_index_counts_and_of_a_graph_its_lower_bound() -> None:
    assert index_recall(frozen("Flat"), build(0.96, 0.1)).verdict is Verdict.PASS
    assert index_recall(frozen("HNSW"), build(0.96, 0.1)).verdict is not Verdict.PASS
    assert index_recall(frozen("Flat"), build(0.94, 0.1)).verdict is Verdict.FAIL
    said = index_recall_text(frozen("Flat"), build(0.96, 0.1))
    assert said == "recall@10 0.960 >= 0.950 OK (95% lower 0.960; n=5)"


def test_a_graph_is_told_to_be_searched_wider() -> None:
    assert failed("HNSW") == (
        "index glyphs: recall@10 0.930 < 0.950 FAIL (95% lower 0.916; n=1000); raise"
        " `spec.index.hnsw.efSearch` of VectorIndex glyphs, or lower its"
        " `spec.objectives.recall.min`"
    )


def test_a_graph_of_too_few_different_vectors_is_told_so() -> None:
    said = index_recall_advice(frozen("HNSW"), build(1.0, 0.0, n=40))
    assert said == (
        "it missed nothing, but 40 different vectors are too few to show it: set"
        " `spec.index.type` of VectorIndex glyphs to Flat, which needs no samples, or lower its"
        " `spec.objectives.recall.min`"
    )
    assert index_recall(frozen("HNSW"), build(1.0, 0.0, n=40)).verdict is Verdict.INCONCLUSIVE
    assert index_recall(frozen("Flat"), build(1.0, 0.0, n=1)).verdict is Verdict.PASS


def test_an_exact_index_is_told_what_exact_search_can_miss() -> None:
    assert "efSearch" not in index_recall_advice(frozen("Flat"), build(0.94, 0.1))
    assert failed("Flat") == (
        "index glyphs: recall@10 0.930 < 0.950 FAIL (95% lower 0.930; n=1000); a Flat index"
        " searches exactly, and misses only among near-duplicates, whose distances float32 cannot"
        " tell apart: take them out of the corpus, or lower `spec.objectives.recall.min` of"
        " VectorIndex glyphs"
    )
