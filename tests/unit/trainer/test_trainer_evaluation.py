"""Quality against its definitions, written out item by item."""

from __future__ import annotations

import numpy as np
import pytest

from lockstep_core.quality.recall import relevance_recall
from lockstep_trainer.evaluation import measure, quality

pytestmark = pytest.mark.unit


def unit(rows: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, 6)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def naive_map_at_r(embeddings: np.ndarray, labels: np.ndarray) -> float:
    values = []
    for query in range(len(labels)):
        wanted = int((labels == labels[query]).sum()) - 1
        if not wanted:
            continue
        order = np.argsort(-(embeddings @ embeddings[query]), kind="stable")
        hits = [labels[row] == labels[query] for row in order if row != query][:wanted]
        precision = [sum(hits[: i + 1]) / (i + 1) for i in range(wanted) if hits[i]]
        values.append(sum(precision) / wanted)
    return float(np.mean(values))


LABELS = np.array(list("aaaabbbccdeeeeeeeeeeeeeefff"))


def test_recall_and_map_follow_their_definitions():
    embeddings = unit(len(LABELS))
    found = measure(embeddings, LABELS)
    for k, value in ((1, found.recall_at_1), (5, found.recall_at_5), (10, found.recall_at_10)):
        assert value == pytest.approx(np.nanmean(relevance_recall(embeddings, LABELS, [k])))
    assert found.map_at_r == pytest.approx(naive_map_at_r(embeddings, LABELS))
    assert found.queries == len(LABELS) - 1


def test_blocks_do_not_change_the_answer(monkeypatch):
    embeddings = unit(len(LABELS))
    whole = measure(embeddings, LABELS)
    monkeypatch.setattr(quality, "NEIGHBOURS_PER_BLOCK", 40)
    assert measure(embeddings, LABELS) == pytest.approx(whole)


def test_many_queries_are_sampled_with_a_seed(monkeypatch):
    monkeypatch.setattr(quality, "MAX_QUERIES", 9)
    embeddings = unit(len(LABELS))
    assert measure(embeddings, LABELS, seed=1) == measure(embeddings, LABELS, seed=1)
    assert measure(embeddings, LABELS).queries == 9


def test_a_perfect_encoder_scores_one():
    embeddings = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    found = measure(embeddings, np.repeat(["a", "b", "c"], 4))
    assert (found.recall_at_1, found.recall_at_10, found.map_at_r) == (1.0, 1.0, 1.0)
    assert found.variance == pytest.approx(2 / 3)


def test_singletons_alone_measure_nothing():
    with pytest.raises(ValueError, match="no class has two items"):
        measure(unit(3), np.array(["a", "b", "c"]))
