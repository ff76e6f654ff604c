"""The miners against the naive triple loop, triplet for triplet."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from lockstep_core.protocol.training import Distance, MiningStrategy
from lockstep_trainer.mining import WINDOWS, Comparison, Memorised, Triplets, mine
from lockstep_trainer.mining.distance_weighted import FARTHEST, NEAREST
from lockstep_trainer.mining.triplets import RULES
from lockstep_trainer.objectives.windows import Rule, window_sums

pytestmark = pytest.mark.unit

Triple = tuple[int, int, int]
EXACT = [MiningStrategy.SEMI_HARD, MiningStrategy.BATCH_HARD]
DRAWN = [MiningStrategy.RANDOM, MiningStrategy.DISTANCE_WEIGHTED]


def candidates(near: np.ndarray, negative: np.ndarray, skip: int) -> list[list[int]]:
    """Each anchor's negatives without its `skip` nearest; ties go to the smaller index."""
    return [
        sorted(sorted(np.flatnonzero(negative[a]), key=lambda n, a=a: (-near[a, n], n))[skip:])
        for a in range(len(near))
    ]


def naive_semi_hard(near: np.ndarray, positive: np.ndarray, negative: np.ndarray, skip: int = 0):
    """FaceNet by its definition."""
    found: list[Triple] = []
    for anchor, others in enumerate(candidates(near, negative, skip)):
        for candidate in np.flatnonzero(positive[anchor]) if others else ():
            farther = [n for n in others if near[anchor, n] < near[anchor, candidate]]
            if farther:
                chosen = max(farther, key=lambda n: (near[anchor, n], -n))
            else:
                chosen = min(others, key=lambda n: (near[anchor, n], n))
            found.append((anchor, int(candidate), int(chosen)))
    return found


def naive_batch_hard(near: np.ndarray, positive: np.ndarray, negative: np.ndarray, skip: int = 0):
    found: list[Triple] = []
    for anchor, others in enumerate(candidates(near, negative, skip)):
        friends = np.flatnonzero(positive[anchor])
        if len(friends) and others:
            farthest = min(friends, key=lambda p: (near[anchor, p], p))
            nearest = max(others, key=lambda n: (near[anchor, n], -n))
            found.append((anchor, int(farthest), int(nearest)))
    return found


NAIVE = {
    MiningStrategy.SEMI_HARD: naive_semi_hard,
    MiningStrategy.BATCH_HARD: naive_batch_hard,
}


def naive_window(distances: np.ndarray, positive, negative, rule: Rule, skip: int):
    """Sum of the losses and number of the triplets of a window, written out."""
    total, counted = 0.0, 0
    for anchor, others in enumerate(candidates(-distances, negative, skip)):
        for candidate in np.flatnonzero(positive[anchor]):
            limit = distances[anchor, candidate]
            for other in others:
                d = distances[anchor, other]
                if rule.window.beyond and d <= limit:
                    continue
                if not rule.window.within_margin and d > limit:
                    continue
                if rule.margin is None:
                    total, counted = total + np.logaddexp(0.0, limit - d), counted + 1
                elif d < limit + rule.margin:
                    total, counted = total + limit - d + rule.margin, counted + 1
    return total, counted


def listed(found: Triplets) -> list[Triple]:
    parts = torch.stack([found.anchors, found.positives, found.negatives], dim=1)
    return [tuple(map(int, triple)) for triple in parts]


def masks(labels: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    same = labels[:, None] == labels[None, :]
    return same & (items[:, None] != items[None, :]), ~same


def compare(vectors: np.ndarray, labels: np.ndarray, items: np.ndarray) -> Comparison:
    return Comparison.of(*map(torch.from_numpy, (vectors, labels, items)))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates of quarters: products are exact and ties abound. Singletons, one-class batches
    and rows of one item, too."""
    chance = np.random.default_rng(draw(st.integers(0, 2**31)))
    size = draw(st.integers(1, 20))
    labels = chance.integers(0, draw(st.integers(1, 6)), size)
    # An item has one class.
    items = labels * 100 + chance.integers(0, draw(st.integers(1, 20)), size)
    vectors = chance.integers(-4, 5, (size, 3)).astype(np.float32) / 4
    return vectors, labels, items


@pytest.mark.parametrize("sorting", [False, True], ids=["passes", "sorting"])
@pytest.mark.parametrize("strategy", EXACT)
@given(case=batches(), chunk=st.integers(1, 20), skip=st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_rules_agree_with_the_triple_loop(strategy, sorting, case, chunk, skip):
    vectors, labels, items = case
    positive, negative = masks(labels, items)
    wanted = NAIVE[strategy](vectors @ vectors.T, positive, negative, skip)
    comparison = compare(vectors, labels, items)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lockstep_trainer.mining.semi_hard.SORT_ABOVE", 0 if sorting else 64)
        found = mine(comparison, strategy, generator(), skip=skip, anchors_per_chunk=chunk)

    assert listed(found) == wanted
    usable = positive.any(axis=1) & (negative.sum(axis=1) > skip)
    assert comparison.usable(skip).tolist() == usable.tolist()


@pytest.mark.parametrize("sorting", [False, True], ids=["passes", "sorting"])
@pytest.mark.parametrize("margin", [0.375, None], ids=["hinge", "soft"])
@pytest.mark.parametrize("strategy", list(WINDOWS))
@given(case=batches(), chunk=st.integers(1, 20), skip=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_windows_agree_with_the_triple_loop(strategy, margin, sorting, case, chunk, skip):
    if margin is None and strategy is MiningStrategy.ALL_SEMI_HARD:
        return
    vectors, labels, items = case
    rule = Rule(WINDOWS[strategy], Distance.COSINE, margin)
    distances = 1 - vectors @ vectors.T
    wanted, count = naive_window(distances, *masks(labels, items), rule, skip)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lockstep_trainer.objectives.windows.SORT_ABOVE", 0 if sorting else 96)
        total, counted, taught = window_sums(
            compare(vectors, labels, items), rule, skip=skip, anchors_per_chunk=chunk
        )

    assert float(total) == pytest.approx(wanted, rel=1e-5, abs=1e-5)
    assert int(counted) == count
    assert int(taught) <= count


@pytest.mark.parametrize("strategy", DRAWN)
@given(case=batches(), seed=st.integers(0, 100), skip=st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_drawn_negatives_are_negatives_and_a_seed_repeats_them(strategy, case, seed, skip):
    vectors, labels, items = case
    comparison = compare(vectors, labels, items)
    positive, negative = masks(labels, items)
    others = candidates(vectors @ vectors.T, negative, skip)
    found = listed(mine(comparison, strategy, generator(seed), skip=skip))
    assert [(a, p) for a, p, _ in found] == [
        (a, p) for a in range(len(labels)) if others[a] for p in np.flatnonzero(positive[a])
    ]
    assert all(n in others[a] for a, _, n in found)
    assert found == listed(mine(comparison, strategy, generator(seed), skip=skip))


def frequencies(strategy: MiningStrategy, vectors: torch.Tensor, draws: int) -> np.ndarray:
    """How often each negative is drawn for the anchor 0: rows 0 and 1 are its class."""
    labels = torch.cat([torch.zeros(2, dtype=torch.int64), torch.arange(1, len(vectors) - 1)])
    comparison = Comparison.of(vectors, labels, torch.arange(len(vectors)))
    chance = generator()
    found = [mine(comparison, strategy, chance).negatives[0] for _ in range(draws)]
    return np.bincount(torch.stack(found).numpy(), minlength=len(vectors))[2:] / draws


def on_circle(*degrees: float) -> torch.Tensor:
    angles = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_random_draws_every_negative_alike():
    found = frequencies(MiningStrategy.RANDOM, on_circle(0, 5, 20, 80, 170), 900)
    assert found == pytest.approx([1 / 3] * 3, abs=0.06)


def test_distance_weighted_draws_against_the_density_of_distances():
    # In four dimensions q(d) = d^2 sqrt(1 - d^2/4).
    degrees = [0, 5, 20, 40, 60, 80, 170]
    vectors = torch.nn.functional.pad(on_circle(*degrees), (0, 2))
    found = frequencies(MiningStrategy.DISTANCE_WEIGHTED, vectors, 1500)
    distances = 2 * np.sin(np.radians(degrees[2:]) / 2)
    d = np.clip(distances, NEAREST, None)
    weights = np.where(distances < FARTHEST, d**-2.0 * (1 - d**2 / 4) ** -0.5, 0.0)
    assert found == pytest.approx(weights / weights.sum(), abs=0.05)
    assert found[-1] == 0


def test_distance_weighted_takes_any_negative_when_all_are_too_far():
    found = frequencies(MiningStrategy.DISTANCE_WEIGHTED, on_circle(0, 5, 120, 150, 180), 900)
    assert found == pytest.approx([1 / 3] * 3, abs=0.06)


def test_semi_hard_takes_the_nearest_negative_beyond_the_positive():
    #                      anchor positive too-near next  far
    embeddings = on_circle(0.0, 30.0, 10.0, 40.0, 90.0)
    comparison = Comparison.of(embeddings, torch.tensor([0, 0, 1, 2, 3]), torch.arange(5))
    assert listed(mine(comparison, MiningStrategy.SEMI_HARD, generator()))[0] == (0, 1, 3)
    skipped = mine(comparison, MiningStrategy.SEMI_HARD, generator(), skip=2)
    assert listed(skipped)[0] == (0, 1, 4)


def test_semi_hard_falls_back_to_the_easiest_negative():
    comparison = Comparison.of(
        on_circle(0.0, 60.0, 10.0, -40.0), torch.tensor([0, 0, 1, 2]), torch.arange(4)
    )
    assert listed(mine(comparison, MiningStrategy.SEMI_HARD, generator()))[0] == (0, 1, 3)


def test_references_of_a_memory_count_but_never_the_item_itself():
    memory = Memorised(on_circle(1.0, 50.0, 15.0), torch.tensor([0, 0, 1]), torch.tensor([7, 8, 9]))
    comparison = Comparison.of(
        on_circle(0.0, 90.0), torch.tensor([0, 2]), torch.tensor([7, 5]), memory
    )
    found = listed(mine(comparison, MiningStrategy.SEMI_HARD, generator()))
    # The row at 1 degree is the anchor's own item; its one positive is at 50.
    assert found == [(0, 3, 1)]
    assert comparison.usable().tolist() == [True, False]


@pytest.mark.parametrize("strategy", list(RULES))
@pytest.mark.parametrize("labels", [[5, 5, 5, 5], [1, 2, 3, 4]], ids=["one class", "singletons"])
def test_a_batch_without_triplets_gives_none(strategy, labels):
    comparison = Comparison.of(on_circle(0, 10, 20, 30), torch.tensor(labels), torch.arange(4))
    assert len(mine(comparison, strategy, generator())) == 0
    assert not comparison.usable().any()


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
    size, per_class, chunk = 1024, 4, 64
    vectors = torch.randn(size, 16, generator=generator())
    vectors = torch.nn.functional.normalize(vectors, dim=1).requires_grad_()
    labels = torch.arange(size) // per_class
    with LargestTensor() as seen:
        comparison = Comparison.of(vectors, labels, torch.arange(size))
        if strategy in RULES:
            mine(comparison, strategy, generator(), anchors_per_chunk=chunk)
        else:
            rule = Rule(WINDOWS[strategy], Distance.EUCLIDEAN, 0.2)
            total, _, _ = window_sums(comparison, rule, anchors_per_chunk=chunk)
            total.backward()
    assert chunk * size <= seen.largest <= 2 * chunk * size
