"""The miner against the naive triple loop, triplet for triplet."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from lockstep_core.protocol.training import MiningStrategy
from lockstep_trainer.mining import Rows, batch_hard, mine, semi_hard

pytestmark = pytest.mark.unit

Triple = tuple[int, int, int]


def naive_semi_hard(similarity: np.ndarray, positive: np.ndarray, negative: np.ndarray):
    """FaceNet by its definition; every tie goes to the smaller index."""
    found: list[Triple] = []
    for anchor in range(len(similarity)):
        others = np.flatnonzero(negative[anchor])
        if not len(others):
            continue
        for candidate in np.flatnonzero(positive[anchor]):
            limit = similarity[anchor, candidate]
            farther = [n for n in others if similarity[anchor, n] < limit]
            if farther:
                chosen = max(farther, key=lambda n: (similarity[anchor, n], -n))
            else:
                chosen = min(others, key=lambda n: (similarity[anchor, n], n))
            found.append((anchor, int(candidate), int(chosen)))
    return found


def naive_batch_hard(similarity: np.ndarray, positive: np.ndarray, negative: np.ndarray):
    found: list[Triple] = []
    for anchor in range(len(similarity)):
        friends, others = np.flatnonzero(positive[anchor]), np.flatnonzero(negative[anchor])
        if len(friends) and len(others):
            farthest = min(friends, key=lambda p: (similarity[anchor, p], p))
            nearest = max(others, key=lambda n: (similarity[anchor, n], -n))
            found.append((anchor, int(farthest), int(nearest)))
    return found


NAIVE = {
    MiningStrategy.SEMI_HARD: (naive_semi_hard, semi_hard),
    MiningStrategy.BATCH_HARD: (naive_batch_hard, batch_hard),
}


def listed(found: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> list[Triple]:
    return [tuple(map(int, triple)) for triple in torch.stack(found, dim=1)]


def masks(labels: list[int], items: list[int]) -> tuple[np.ndarray, np.ndarray]:
    names, rows = np.array(labels), np.array(items)
    same = names[:, None] == names[None, :]
    return same & (rows[:, None] != rows[None, :]), ~same


@st.composite
def matrices(draw: st.DrawFn) -> tuple[np.ndarray, list[int], list[int]]:
    """Similarities of few values, so that ties abound; singletons and one-class batches too."""
    size = draw(st.integers(1, 12))
    labels = draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))
    items = draw(st.lists(st.integers(0, 8), min_size=size, max_size=size))
    values = draw(st.lists(st.integers(-3, 3), min_size=size * size, max_size=size * size))
    return np.array(values, dtype=np.float32).reshape(size, size) / 4, labels, items


@pytest.mark.parametrize("strategy", list(MiningStrategy))
@given(case=matrices())
@settings(max_examples=150, deadline=None)
def test_rules_agree_with_the_triple_loop(strategy, case):
    similarity, labels, items = case
    positive, negative = masks(labels, items)
    naive, rule = NAIVE[strategy]
    rows = Rows(*map(torch.from_numpy, (similarity, positive, negative)))
    assert listed(rule(rows)) == naive(similarity, positive, negative)


@pytest.mark.parametrize("strategy", list(MiningStrategy))
@given(
    seed=st.integers(0, 2**31),
    classes=st.integers(1, 6),
    size=st.integers(2, 24),
    chunk=st.integers(1, 30),
)
@settings(max_examples=100, deadline=None)
def test_embeddings_agree_with_the_triple_loop_in_any_chunks(strategy, seed, classes, size, chunk):
    # Coordinates of quarters: their products are exact, so chunks cannot differ by rounding.
    generator = np.random.default_rng(seed)
    vectors = generator.integers(-4, 5, (size, 3)).astype(np.float32) / 4
    labels = generator.integers(0, classes, size)
    positive, negative = masks(labels.tolist(), list(range(size)))
    wanted = NAIVE[strategy][0](vectors @ vectors.T, positive, negative)

    found = mine(
        torch.from_numpy(vectors), torch.from_numpy(labels), strategy, anchors_per_chunk=chunk
    )

    assert listed((found.anchors, found.positives, found.negatives)) == wanted
    usable = positive.any(axis=1) & negative.any(axis=1)
    assert found.skipped == int((~usable).sum())


def on_circle(*degrees: float) -> torch.Tensor:
    angles = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_semi_hard_takes_the_nearest_negative_beyond_the_positive():
    #                      anchor positive too-near next  far
    embeddings = on_circle(0.0, 30.0, 10.0, 40.0, 90.0)
    found = mine(embeddings, torch.tensor([0, 0, 1, 2, 3]), MiningStrategy.SEMI_HARD)
    assert listed((found.anchors, found.positives, found.negatives))[0] == (0, 1, 3)


def test_semi_hard_falls_back_to_the_easiest_negative():
    embeddings = on_circle(0.0, 60.0, 10.0, -40.0)
    found = mine(embeddings, torch.tensor([0, 0, 1, 2]), MiningStrategy.SEMI_HARD)
    assert listed((found.anchors, found.positives, found.negatives))[0] == (0, 1, 3)


def test_two_rows_of_one_item_are_no_positive_pair():
    embeddings = on_circle(0.0, 0.0, 20.0, 90.0)
    labels, items = torch.tensor([0, 0, 0, 1]), torch.tensor([7, 7, 8, 9])
    found = mine(embeddings, labels, MiningStrategy.SEMI_HARD, items=items)
    pairs = set(zip(found.anchors.tolist(), found.positives.tolist(), strict=True))
    assert pairs == {(0, 2), (1, 2), (2, 0), (2, 1)}
    assert found.skipped == 1


@pytest.mark.parametrize("strategy", list(MiningStrategy))
@pytest.mark.parametrize("labels", [[5, 5, 5, 5], [1, 2, 3, 4]], ids=["one class", "singletons"])
def test_a_batch_without_triplets_gives_none_and_counts_every_anchor(strategy, labels):
    found = mine(on_circle(0, 10, 20, 30), torch.tensor(labels), strategy)
    assert len(found) == 0
    assert found.skipped == 4


class LargestTensor(TorchDispatchMode):
    """Elements of the largest tensor that any operation returned."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(part, torch.Tensor):
                self.largest = max(self.largest, part.numel())
        return result


@pytest.mark.parametrize("strategy", list(MiningStrategy))
def test_no_intermediate_is_larger_than_chunk_times_batch(strategy):
    size, per_class, chunk = 2048, 4, 128
    generator = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(size, 16, generator=generator), dim=1)
    labels = torch.arange(size) // per_class
    with LargestTensor() as seen:
        found = mine(vectors, labels, strategy, anchors_per_chunk=chunk)
    assert len(found) == size * (3 if strategy is MiningStrategy.SEMI_HARD else 1)
    assert chunk * size <= seen.largest <= 2 * chunk * size
