"""Objectives as the training loop sees them: state, memory, prefixes, auxiliary terms."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
import yaml
from torch import nn
from torch.nn import functional

from lockstep_core.protocol.training import LossName, MemorySpec, MiningStrategy, TrainingSpec
from lockstep_trainer.mining import Comparison
from lockstep_trainer.objectives import Objective, build_objective
from lockstep_trainer.objectives.auxiliary import Center, CrossEntropy, SpreadOut
from lockstep_trainer.objectives.contrastive import Contrastive
from lockstep_trainer.objectives.memory import Memory
from lockstep_trainer.objectives.proxies import ArcFace, ProxyAnchor
from lockstep_trainer.objectives.softmax import InfoNCE, SupCon
from lockstep_trainer.objectives.triplets import MinedTriplets
from lockstep_trainer.objectives.windows import WindowedTriplets

pytestmark = pytest.mark.unit

CLASSES, PER_CLASS, DIMENSION = 6, 4, 16
LOSSES = [
    MinedTriplets,
    WindowedTriplets,
    Contrastive,
    InfoNCE,
    SupCon,
    ProxyAnchor,
    ArcFace,
    CrossEntropy,
    Center,
    SpreadOut,
]
EVERY = [
    *({"mining": {"strategy": strategy}} for strategy in MiningStrategy),
    *({"loss": {"name": name}} for name in LossName if name is not LossName.TRIPLET),
    {"loss": {"softMargin": True}, "mining": {"strategy": "Hard"}},
    {"loss": {"auxiliary": {"crossEntropy": "0.5", "center": "0.1", "spreadOut": "1.0"}}},
    {"mining": {"memory": {"size": 40}}},
    {"encoder": {"kind": "MLP", "dimension": DIMENSION, "matryoshkaDimensions": [4, 8]}},
]


def build(parts: dict[str, Any], seed: int = 0) -> Objective:
    spec = TrainingSpec.model_validate(
        {
            "data": {"uri": "file:///data.npz", "format": "NPZ"},
            "encoder": {"kind": "MLP", "dimension": DIMENSION},
            "budget": {"maxSteps": 1},
            **parts,
        }
    )
    return build_objective(spec, classes=CLASSES, seed=seed)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_the_example_of_each_loss_builds_it(loss: type[nn.Module]) -> None:
    description, _, example = inspect.getdoc(loss).partition("Example:\n")
    assert "Relations: " in description
    assert any(type(part) is loss for part in build(yaml.safe_load(example)).modules())


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat_interleave(PER_CLASS)
    raw = torch.randn(len(labels), DIMENSION, generator=generator)
    return functional.normalize(raw, dim=1), labels, torch.arange(len(labels)) + 1000 * seed


@pytest.mark.parametrize("parts", EVERY, ids=str)
def test_every_objective_gives_a_gradient_and_repeats_after_its_state(parts):
    first, second = build(parts), build(parts)
    for step in range(3):
        vectors, labels, items = batch(step)
        found = first(vectors.clone().requires_grad_(), labels, items)
        leaf = vectors.clone().requires_grad_()
        # Training goes on in another process: all that counts must be in the state.
        resumed = build(parts, seed=0)
        resumed.load_state_dict(second.state_dict())
        again = resumed(leaf, labels, items)
        second = resumed
        again.loss.backward()
        assert torch.equal(found.loss, again.loss)
        assert 0.0 <= float(again.active) <= 1.0
        assert again.skipped == 0
        assert torch.isfinite(leaf.grad).all() and leaf.grad.abs().sum() > 0


@pytest.mark.parametrize("parts", EVERY, ids=str)
def test_a_nan_embedding_shows_in_the_loss(parts):
    vectors, labels, items = batch()
    vectors[5] = torch.nan
    assert torch.isnan(build(parts)(vectors, labels, items).loss)


@pytest.mark.parametrize("parts", EVERY, ids=str)
@pytest.mark.parametrize("case", ["one point", "duplicates", "one class", "singletons"])
def test_degenerate_batches_give_finite_losses_and_gradients(parts, case):
    vectors, labels, items = batch()
    if case == "one point":
        vectors = vectors[:1].expand(len(labels), -1).clone()
    elif case == "duplicates":
        vectors[1::2] = vectors[::2]
    elif case == "one class":
        labels = torch.zeros_like(labels)
    else:
        vectors, labels, items = vectors[::4], labels[::4], items[::4]
    leaf = vectors.clone().requires_grad_()
    outcome = build(parts)(leaf, labels, items)
    outcome.loss.backward()
    assert torch.isfinite(outcome.loss)
    assert torch.isfinite(leaf.grad).all()
    if case in ("one class", "singletons") and "name" not in parts.get("loss", {}):
        assert outcome.skipped == len(labels)


def test_parameters_depend_on_the_seed_alone():
    parts = {"loss": {"name": "ProxyAnchor"}}
    torch.manual_seed(1)
    first = build(parts, seed=3)
    torch.manual_seed(2)
    again, other = build(parts, seed=3), build(parts, seed=4)
    (a,), (b,), (c,) = (list(o.parameters()) for o in (first, again, other))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_autocast_does_not_reach_the_distances():
    vectors, labels, items = batch()
    objective = build({"mining": {"strategy": "BatchAll"}})
    wanted = objective(vectors, labels, items).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(objective(vectors, labels, items).loss, wanted)


def test_the_loss_of_prefixes_is_the_mean_of_the_losses_of_each():
    vectors, labels, items = batch()
    both = build(EVERY[-1])(vectors, labels, items).loss
    cut = [functional.normalize(vectors[:, :d], dim=1) for d in (4, 8, 16)]
    wanted = torch.stack([build({})(part, labels, items).loss for part in cut]).mean()
    assert float(both) == pytest.approx(float(wanted), rel=1e-6)


def test_auxiliary_terms_are_added_times_their_weight():
    vectors, labels, items = batch()
    plain = build({})(vectors, labels, items).loss
    objective = build({"loss": {"auxiliary": {"center": "0.5", "spreadOut": "2.0"}}})
    (centers,) = (parameter.detach() for parameter in objective.parameters())
    center = 0.5 * (vectors - centers[labels]).square().sum(dim=1).mean()
    cosines = (vectors @ vectors.T)[labels[:, None] != labels[None, :]]
    spread = cosines.mean() ** 2 + functional.relu(cosines.square().mean() - 1 / DIMENSION)
    found = objective(vectors, labels, items).loss.detach()
    assert float(found) == pytest.approx(float(plain + 0.5 * center + 2.0 * spread), rel=1e-5)


@pytest.mark.parametrize("name", ["Contrastive", "InfoNCE", "SupCon"])
def test_losses_over_all_pairs_are_the_same_in_chunks(name, monkeypatch):
    vectors, labels, items = batch()
    results = []
    for anchors in (512, 5):
        monkeypatch.setattr("lockstep_trainer.mining.comparison.ANCHORS_PER_CHUNK", anchors)
        leaf = vectors.clone().requires_grad_()
        auxiliary = {"spreadOut": "1.0"}
        outcome = build({"loss": {"name": name, "auxiliary": auxiliary}})(leaf, labels, items)
        outcome.loss.backward()
        results.append((outcome.loss.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-7)


class TestMemory:
    def test_keeps_the_newest_and_wraps_around(self):
        memory = Memory(MemorySpec(size=5), dimension=1)
        assert memory.read() is None
        for start in (0, 3, 6):
            rows = torch.arange(start, start + 3)
            memory.push(rows[:, None].float(), rows, rows)
        kept = memory.read()
        assert sorted(kept.items.tolist()) == [4, 5, 6, 7, 8]
        assert kept.vectors[:, 0].tolist() == kept.items.tolist() == kept.labels.tolist()

    def test_keeps_the_end_of_a_batch_that_is_larger(self):
        memory = Memory(MemorySpec(size=3), dimension=1)
        rows = torch.arange(7)
        memory.push(rows[:, None].float(), rows, rows)
        assert sorted(memory.read().items.tolist()) == [4, 5, 6]

    def test_a_half_float_takes_half_the_space(self):
        memory = Memory(MemorySpec(size=4, storage="Float16"), dimension=8)
        assert memory.vectors.element_size() == 2
        memory.push(torch.ones(2, 8) / 3, torch.zeros(2).long(), torch.arange(2))
        assert memory.read().vectors.dtype == torch.float32

    def test_a_batch_is_compared_with_it_and_no_gradient_reaches_it(self):
        objective = build({"mining": {"memory": {"size": 100}, "strategy": "BatchAll"}})
        old, labels, old_items = batch(1)
        objective(old, labels, old_items)
        vectors, _, items = batch(2)
        leaf = vectors.clone().requires_grad_()
        found = objective(leaf, labels, items).loss
        found.backward()

        references = torch.cat([vectors, old]).double()
        double = vectors.double().requires_grad_()
        distances = torch.cdist(double, torch.cat([double, references[len(vectors) :]]))
        names, things = torch.cat([labels, labels]), torch.cat([items, old_items])
        hinge = distances[:, :, None] - distances[:, None, :] + 0.2
        same = labels[:, None] == names[None, :]
        counted = (same & (items[:, None] != things[None, :]))[:, :, None] & ~same[:, None, :]
        violating = hinge[counted & (hinge > 0)]
        violating.mean().backward()
        assert float(found.detach()) == pytest.approx(float(violating.mean()), rel=1e-6)
        torch.testing.assert_close(leaf.grad.double(), double.grad, rtol=1e-4, atol=1e-8)

    def test_evaluation_leaves_it_as_it_is(self):
        objective = build({"mining": {"memory": {"size": 100}}}).eval()
        objective(*batch())
        assert objective.memory.read() is None


def test_rows_of_one_item_are_never_a_positive_pair():
    vectors, labels, _ = batch()
    comparison = Comparison.of(vectors, labels, labels)
    assert not comparison.usable().any()
    assert build({})(vectors, labels, labels).skipped == len(labels)
