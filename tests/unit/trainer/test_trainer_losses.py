"""The loss over mined triplets against autograd through the loss written out triplet by triplet."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lockstep_core.protocol.training import Distance, LossSpec, MiningStrategy
from lockstep_trainer.mining import Comparison, Memorised, Triplets, mine
from lockstep_trainer.objectives.distances import distance_matrix, pair_distance
from lockstep_trainer.objectives.triplets import triplet_loss

pytestmark = pytest.mark.unit

NAIVE = {
    Distance.EUCLIDEAN: lambda a, b: torch.linalg.vector_norm(a - b),
    Distance.SQUARED_EUCLIDEAN: lambda a, b: (a - b) @ (a - b),
    Distance.COSINE: lambda a, b: 1 - a @ b,
}


def batch(classes: int = 8, per_class: int = 4, dimension: int = 16):
    generator = torch.Generator().manual_seed(1)
    raw = torch.randn(classes * per_class, dimension, generator=generator)
    return raw, torch.arange(classes).repeat_interleave(per_class)


def compared(raw: torch.Tensor, labels: torch.Tensor, memory=None) -> Comparison:
    vectors = functional.normalize(raw, dim=1)
    return Comparison.of(vectors, labels, torch.arange(len(labels)), memory)


def naive_loss(comparison: Comparison, triplets: Triplets, spec: LossSpec) -> torch.Tensor:
    d = NAIVE[spec.metric()]
    anchors, references = comparison.vectors, comparison.references
    parts = zip(triplets.anchors, triplets.positives, triplets.negatives, strict=True)
    apart = torch.stack(
        [d(anchors[a], references[p]) - d(anchors[a], references[n]) for a, p, n in parts]
    )
    if spec.soft_margin:
        return torch.log1p(apart.exp()).mean()
    return functional.relu(apart + spec.number("margin")).mean()


@pytest.mark.parametrize("margin", [{"margin": "0.3"}, {"soft_margin": True}], ids=str)
@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("strategy", [MiningStrategy.SEMI_HARD, MiningStrategy.BATCH_HARD])
@pytest.mark.parametrize("chunk", [7, 65_536])
@pytest.mark.parametrize("remembered", [False, True], ids=["alone", "memory"])
def test_value_and_gradient_equal_the_naive_loss(remembered, chunk, strategy, distance, margin):
    raw, labels = batch()
    spec = LossSpec(distance=distance, **margin)
    memory = None
    if remembered:
        earlier = functional.normalize(torch.flip(raw, [1])[:10], dim=1)
        memory = Memorised(earlier, labels[:10], torch.arange(100, 110))
    ours, naive = raw.clone().requires_grad_(), raw.double().requires_grad_()
    comparison = compared(ours, labels, memory)
    triplets = mine(comparison, strategy, torch.Generator())

    value, active = triplet_loss(comparison, triplets, spec, triplets_per_chunk=chunk)
    value.backward()
    wanted = naive_loss(compared(naive, labels, memory), triplets, spec)
    wanted.backward()

    assert float(value.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)
    apart = torch.linalg.vector_norm(ours.grad - naive.grad) / torch.linalg.vector_norm(naive.grad)
    assert float(apart) <= 1e-6
    assert 0 < float(active) <= 1


def test_only_chosen_pairs_get_a_gradient():
    raw, labels = batch()
    leaf = raw.clone().requires_grad_()
    triplets = Triplets(torch.tensor([0]), torch.tensor([1]), torch.tensor([9]))
    triplet_loss(compared(leaf, labels), triplets, LossSpec(margin="2.0"))[0].backward()
    touched = leaf.grad.abs().sum(dim=1).nonzero()[:, 0].tolist()
    assert touched == [0, 1, 9]


def test_without_triplets_loss_and_gradient_are_zero():
    leaf = torch.eye(4).requires_grad_()
    none = torch.empty(0, dtype=torch.int64)
    comparison = compared(leaf, torch.arange(4))
    value, active = triplet_loss(comparison, Triplets(none, none, none), LossSpec())
    value.backward()
    assert float(value.detach()) == 0.0
    assert float(active) == 0.0
    assert not leaf.grad.any()


def test_coinciding_embeddings_have_a_finite_gradient():
    leaf = torch.ones(3, 4).div(2).requires_grad_()
    triplets = Triplets(torch.tensor([0]), torch.tensor([1]), torch.tensor([2]))
    comparison = Comparison.of(leaf, torch.tensor([0, 0, 1]), torch.arange(3))
    value, _ = triplet_loss(comparison, triplets, LossSpec(distance=Distance.EUCLIDEAN))
    value.backward()
    assert float(value.detach()) == pytest.approx(0.2)
    assert torch.isfinite(leaf.grad).all()


def test_distances_of_unit_vectors_agree_with_one_another():
    left, right = (functional.normalize(part, dim=1) for part in batch()[0].chunk(2))
    euclidean = pair_distance(left, right, Distance.EUCLIDEAN)
    torch.testing.assert_close(
        euclidean.square(), pair_distance(left, right, Distance.SQUARED_EUCLIDEAN)
    )
    torch.testing.assert_close(euclidean.square() / 2, pair_distance(left, right, Distance.COSINE))


@pytest.mark.parametrize("distance", list(Distance))
def test_the_matrix_holds_the_distances_of_all_pairs(distance):
    left, right = (functional.normalize(part, dim=1) for part in batch()[0].chunk(2))
    found = distance_matrix(left, right, distance)
    wanted = torch.stack([pair_distance(left, row.expand_as(left), distance) for row in right])
    torch.testing.assert_close(found, wanted.T, atol=1e-6, rtol=1e-5)


def test_the_matrix_still_tells_embeddings_apart_that_nearly_coincide():
    generator = torch.Generator().manual_seed(0)
    close = functional.normalize(1.0 + 1e-4 * torch.randn(20, 8, generator=generator), dim=1)
    found = distance_matrix(close, close, Distance.EUCLIDEAN)
    exact = torch.cdist(close.double(), close.double(), compute_mode="donot_use_mm_for_euclid_dist")
    apart = ~torch.eye(20, dtype=torch.bool)
    torch.testing.assert_close(found[apart].double(), exact[apart], rtol=1e-4, atol=0.0)
