"""The loss and its gradient against autograd through the loss written out triplet by triplet."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lockstep_core.protocol.training import Distance, LossSpec, MiningStrategy
from lockstep_trainer.losses import pair_distance, triplet_loss
from lockstep_trainer.mining import Triplets, mine

pytestmark = pytest.mark.unit


def batch(classes: int = 8, per_class: int = 4, dimension: int = 16):
    generator = torch.Generator().manual_seed(1)
    raw = torch.randn(classes * per_class, dimension, generator=generator)
    return raw, torch.arange(classes).repeat_interleave(per_class)


def naive_loss(embeddings: torch.Tensor, triplets: Triplets, spec: LossSpec) -> torch.Tensor:
    distances = {
        Distance.EUCLIDEAN: lambda a, b: torch.linalg.vector_norm(a - b),
        Distance.SQUARED_EUCLIDEAN: lambda a, b: (a - b) @ (a - b),
        Distance.COSINE: lambda a, b: 1 - a @ b,
    }
    d = distances[spec.distance]
    parts = zip(triplets.anchors, triplets.positives, triplets.negatives, strict=True)
    hinges = [
        functional.relu(
            d(embeddings[a], embeddings[p]) - d(embeddings[a], embeddings[n]) + float(spec.margin)
        )
        for a, p, n in parts
    ]
    return torch.stack(hinges).mean()


@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("strategy", list(MiningStrategy))
@pytest.mark.parametrize("chunk", [7, 65_536])
def test_value_and_gradient_equal_the_naive_loss(distance, strategy, chunk):
    raw, labels = batch()
    spec = LossSpec(margin="0.3", distance=distance)
    ours, naive = raw.clone().requires_grad_(), raw.double().requires_grad_()
    triplets = mine(functional.normalize(raw, dim=1), labels, strategy)

    found = triplet_loss(
        functional.normalize(ours, dim=1), triplets, spec, triplets_per_chunk=chunk
    )
    found.value.backward()
    wanted = naive_loss(functional.normalize(naive, dim=1), triplets, spec)
    wanted.backward()

    assert float(found.value.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)
    apart = torch.linalg.vector_norm(ours.grad - naive.grad) / torch.linalg.vector_norm(naive.grad)
    assert float(apart) <= 1e-6
    assert 0 < float(found.active) <= 1


def test_only_chosen_pairs_get_a_gradient():
    raw, _ = batch()
    leaf = raw.clone().requires_grad_()
    triplets = Triplets(torch.tensor([0]), torch.tensor([1]), torch.tensor([9]), skipped=0)
    triplet_loss(
        functional.normalize(leaf, dim=1), triplets, LossSpec(margin="2.0")
    ).value.backward()
    touched = leaf.grad.abs().sum(dim=1).nonzero()[:, 0].tolist()
    assert touched == [0, 1, 9]


def test_without_triplets_loss_and_gradient_are_zero():
    leaf = torch.eye(4).requires_grad_()
    none = torch.empty(0, dtype=torch.int64)
    found = triplet_loss(leaf, Triplets(none, none, none, skipped=4), LossSpec())
    found.value.backward()
    assert float(found.value.detach()) == 0.0
    assert float(found.active) == 0.0
    assert not leaf.grad.any()


def test_coinciding_embeddings_have_a_finite_gradient():
    leaf = torch.ones(3, 4).div(2).requires_grad_()
    triplets = Triplets(torch.tensor([0]), torch.tensor([1]), torch.tensor([2]), skipped=0)
    found = triplet_loss(leaf, triplets, LossSpec(distance=Distance.EUCLIDEAN))
    found.value.backward()
    assert float(found.value.detach()) == pytest.approx(0.2)
    assert torch.isfinite(leaf.grad).all()


def test_distances_of_unit_vectors_agree_with_one_another():
    left, right = (functional.normalize(part, dim=1) for part in batch()[0].chunk(2))
    euclidean = pair_distance(left, right, Distance.EUCLIDEAN)
    torch.testing.assert_close(
        euclidean.square(), pair_distance(left, right, Distance.SQUARED_EUCLIDEAN)
    )
    torch.testing.assert_close(euclidean.square() / 2, pair_distance(left, right, Distance.COSINE))
