"""Losses and gradients beside those of pytorch-metric-learning, on random batches."""

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning import distances, losses, miners, reducers
from torch.nn import functional

from lockstep_core.protocol.training import Distance, LossName, MiningStrategy, TrainingSpec
from lockstep_trainer.objectives import build_objective

pytestmark = pytest.mark.unit

RELATIVE = 1e-6
SHAPES = [(32, 4, 128), (6, 8, 16), (3, 12, 32)]
"""Classes, items of each, dimension. Small enough that no triplet lies on the edge of a window to
within rounding: float32 and float64 would then count differently."""

PEERS = {
    Distance.EUCLIDEAN: lambda: distances.LpDistance(),
    Distance.SQUARED_EUCLIDEAN: lambda: distances.LpDistance(power=2),
    Distance.COSINE: lambda: distances.CosineSimilarity(),
}
KINDS = {
    MiningStrategy.ALL_SEMI_HARD: "semihard",
    MiningStrategy.HARD: "hard",
    MiningStrategy.BATCH_ALL: "all",
}


def batch(classes: int, per_class: int, dimension: int, seed: int = 0):
    """Items around a centre of their class, in random order: some near, some far."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat_interleave(per_class)
    labels = labels[torch.randperm(len(labels), generator=generator)]
    centres = torch.randn(classes, dimension, generator=generator)
    noise = torch.randn(len(labels), dimension, generator=generator)
    return centres[labels] * 0.5 + noise, labels


def spec(dimension: int, **parts) -> TrainingSpec:
    return TrainingSpec.model_validate(
        {
            "data": {"uri": "file:///data.npz", "format": "NPZ"},
            "encoder": {"kind": "MLP", "dimension": dimension},
            "budget": {"maxSteps": 1},
            **parts,
        }
    )


def ours(raw: torch.Tensor, labels: torch.Tensor, training: TrainingSpec, weights=None):
    """Loss, gradient of the raw vectors and the objective."""
    objective = build_objective(training, classes=int(labels.max()) + 1, seed=0)
    if weights is not None:
        (parameter,) = objective.parameters()
        parameter.data.copy_(weights)
    leaf = raw.clone().requires_grad_()
    items = torch.arange(len(labels))
    outcome = objective(functional.normalize(leaf, dim=1), labels, items)
    outcome.loss.backward()
    return outcome.loss.detach(), leaf.grad, objective


def theirs(raw: torch.Tensor, labels: torch.Tensor, loss, miner=None):
    """The peer in float64: what differs then is our rounding alone."""
    leaf = raw.double().requires_grad_()
    triplets = miner(leaf, labels) if miner is not None else None
    value = loss(leaf, labels, triplets)
    value.backward()
    return value.detach(), leaf.grad


def assert_equal(found: torch.Tensor, wanted: torch.Tensor) -> None:
    apart = torch.linalg.vector_norm(found.double() - wanted)
    assert float(apart) <= RELATIVE * float(torch.linalg.vector_norm(wanted))
    assert float(torch.linalg.vector_norm(wanted)) > 0


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("strategy", [*KINDS, MiningStrategy.BATCH_HARD])
def test_triplets(strategy, distance, shape):
    raw, labels = batch(*shape)
    training = spec(
        shape[2],
        loss={"margin": "0.3", "distance": distance},
        mining={"strategy": strategy},
    )
    peer = PEERS[distance]()
    if strategy is MiningStrategy.BATCH_HARD:
        miner, reducer = miners.BatchHardMiner(distance=peer), reducers.MeanReducer()
    else:
        miner = miners.TripletMarginMiner(0.3, KINDS[strategy], distance=peer)
        reducer = reducers.AvgNonZeroReducer()
    loss = losses.TripletMarginLoss(margin=0.3, distance=peer, reducer=reducer)

    value, gradient, _ = ours(raw, labels, training)
    wanted, wanted_gradient = theirs(raw, labels, loss, miner)
    assert_equal(value, wanted)
    assert_equal(gradient, wanted_gradient)


@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
@pytest.mark.parametrize("distance", [Distance.EUCLIDEAN, Distance.SQUARED_EUCLIDEAN])
@pytest.mark.parametrize(
    "strategy", [MiningStrategy.HARD, MiningStrategy.BATCH_ALL, MiningStrategy.BATCH_HARD]
)
def test_soft_margin(strategy, distance, shape):
    raw, labels = batch(*shape)
    training = spec(
        shape[2],
        loss={"softMargin": True, "distance": distance},
        mining={"strategy": strategy},
    )
    peer = PEERS[distance]()
    miner = {
        MiningStrategy.HARD: miners.TripletMarginMiner(0.0, "hard", distance=peer),
        MiningStrategy.BATCH_HARD: miners.BatchHardMiner(distance=peer),
        MiningStrategy.BATCH_ALL: None,
    }[strategy]
    loss = losses.TripletMarginLoss(
        margin=0, smooth_loss=True, distance=peer, reducer=reducers.MeanReducer()
    )
    value, gradient, _ = ours(raw, labels, training)
    wanted, wanted_gradient = theirs(raw, labels, loss, miner)
    assert_equal(value, wanted)
    assert_equal(gradient, wanted_gradient)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("distance", list(Distance))
def test_contrastive(distance, shape):
    raw, labels = batch(*shape)
    training = spec(shape[2], loss={"name": "Contrastive", "margin": "0.9", "distance": distance})
    cosine = distance is Distance.COSINE
    loss = losses.ContrastiveLoss(
        pos_margin=1 if cosine else 0,
        neg_margin=1 - 0.9 if cosine else 0.9,
        distance=PEERS[distance](),
    )
    value, gradient, _ = ours(raw, labels, training)
    wanted, wanted_gradient = theirs(raw, labels, loss)
    assert_equal(value, wanted)
    assert_equal(gradient, wanted_gradient)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", [LossName.INFO_NCE, LossName.SUP_CON])
def test_softmax_losses(name, shape):
    raw, labels = batch(*shape)
    training = spec(shape[2], loss={"name": name, "temperature": "0.07"})
    peer = {LossName.INFO_NCE: losses.NTXentLoss, LossName.SUP_CON: losses.SupConLoss}[name]
    value, gradient, _ = ours(raw, labels, training)
    wanted, wanted_gradient = theirs(raw, labels, peer(temperature=0.07))
    assert_equal(value, wanted)
    assert_equal(gradient, wanted_gradient)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", [LossName.PROXY_ANCHOR, LossName.ARC_FACE])
def test_losses_with_a_vector_for_each_class(name, shape):
    classes, _, dimension = shape
    raw, labels = batch(*shape)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(classes, dimension, generator=generator)
    if name is LossName.PROXY_ANCHOR:
        peer = losses.ProxyAnchorLoss(classes, dimension, margin=0.1, alpha=32).double()
        parameter = peer.proxies
        parameter.data.copy_(weights)
    else:
        degrees = float(torch.rad2deg(torch.tensor(0.5, dtype=torch.float64)))
        peer = losses.ArcFaceLoss(classes, dimension, margin=degrees, scale=64).double()
        parameter = peer.W
        parameter.data.copy_(weights.T)
    value, gradient, objective = ours(raw, labels, spec(dimension, loss={"name": name}), weights)
    wanted, wanted_gradient = theirs(raw, labels, peer)
    assert_equal(value, wanted)
    assert_equal(gradient, wanted_gradient)
    (learned,) = objective.parameters()
    wanted_weights = parameter.grad.T if name is LossName.ARC_FACE else parameter.grad
    assert_equal(learned.grad, wanted_weights)
