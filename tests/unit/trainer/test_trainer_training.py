"""Training on real glyphs: it helps on unseen classes, repeats itself, stops and refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lockstep_core.datasets import split_by_class
from lockstep_core.protocol.datasets import SplitSpec
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.evaluation import collapse, embed, measure
from lockstep_trainer.networks import build_network
from lockstep_trainer.training import CurvePoint, Diverged, Stopped, train

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")


def spec(steps: int, **changes: object) -> TrainingSpec:
    return TrainingSpec.model_validate(
        {
            "data": {"uri": "file:///set.npz", "format": "NPZ"},
            "encoder": {"kind": "CNN", "dimension": 16, "width": 8},
            "batch": {"classes": 12, "perClass": 4},
            "budget": {"maxSteps": steps},
            **changes,
        }
    )


def fresh(wanted: TrainingSpec, shape: tuple[int, ...] = (16, 16)):
    return build_network(wanted.encoder, shape, seed=wanted.seed)


@pytest.mark.parametrize(("kind", "width"), [("CNN", 16), ("MLP", 64)])
def test_training_improves_recall_on_unseen_classes(glyphs, kind, width):
    inputs, labels = glyphs
    seen, unseen = split_by_class(labels, SplitSpec(eval_fraction="0.3"))
    wanted = spec(100, encoder={"kind": kind, "dimension": 16, "width": width})
    network = fresh(wanted)
    untrained = measure(embed(network, inputs[unseen], device=CPU), labels[unseen])
    curve: list[CurvePoint] = []

    training = train(network, inputs[seen], labels[seen], wanted, device=CPU, observe=curve.append)

    trained = measure(embed(network, inputs[unseen], device=CPU), labels[unseen])
    assert trained.recall_at_1 > untrained.recall_at_1 + 0.1
    assert trained.map_at_r > untrained.map_at_r + 0.1
    assert training.final_loss < curve[0].loss
    assert [point.step for point in curve] == list(range(10, 101, 10))
    assert tuple(curve) == training.curve
    assert training.skipped_anchors == 0
    assert collapse(trained, training.final_loss, wanted) is None


def test_the_same_seed_gives_the_same_weights_bit_for_bit(glyphs):
    inputs, labels = glyphs

    def weights(seed: int) -> dict[str, torch.Tensor]:
        wanted = spec(12, seed=seed)
        network = fresh(wanted)
        train(network, inputs, labels, wanted, device=CPU)
        return network.state_dict()

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("steps", [1, 2, 9, 11])
def test_any_number_of_steps_is_a_whole_run(glyphs, steps):
    wanted = spec(steps)
    training = train(fresh(wanted), *glyphs, wanted, device=CPU)
    assert training.curve[-1].step == steps
    assert np.isfinite(training.final_loss)


def test_it_stops_before_the_next_step(glyphs):
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 3

    wanted = spec(50)
    with pytest.raises(Stopped, match="before step 4 of 50"):
        train(fresh(wanted), *glyphs, wanted, device=CPU, stop=stop)


def test_a_loss_that_is_not_finite_names_number_bound_and_fix():
    # Finite numbers whose projection overflows float32.
    inputs = np.full((16, 4), 3e38, dtype=np.float32)
    labels = np.repeat(["a", "b", "c", "d"], 4)
    wanted = spec(
        10,
        encoder={"kind": "MLP", "dimension": 4, "width": 8},
        batch={"classes": 2, "perClass": 4},
    )
    with pytest.raises(Diverged, match=r"loss is nan.*must be finite.*learningRate \(now 0.004"):
        train(fresh(wanted, (4,)), inputs, labels, wanted, device=CPU)


def test_batch_hard_at_a_high_rate_collapses_and_is_named(glyphs):
    # The known failure: all embeddings on one point, the loss stuck at the margin.
    inputs, labels = glyphs
    labels = np.random.default_rng(0).permutation(labels)
    wanted = spec(60, mining={"strategy": "BatchHard"}, optimizer={"learningRate": "0.01"})
    network = fresh(wanted)
    training = train(network, inputs, labels, wanted, device=CPU)
    quality = measure(embed(network, inputs, device=CPU), labels)
    problem = collapse(quality, training.final_loss, wanted)
    assert problem is not None
    assert "below 0.02" in problem
    assert "stuck at the margin 0.2" in problem
    assert "SemiHard (now BatchHard), lower optimizer.learningRate (now 0.01" in problem


def test_collapse_needs_low_variance():
    quality = measure(np.eye(4, dtype=np.float32), np.array(["a", "a", "b", "b"]))
    assert collapse(quality, 0.2, spec(10)) is None
    point = replace(quality, variance=0.0123)
    assert "variance 0.0123" in (said := collapse(point, 0.5, spec(10)) or "")
    assert "Lower optimizer.learningRate" in said and "stuck" not in said and "now 10" in said
    broken = replace(quality, variance=float("nan"))
    said = collapse(broken, 0.1, spec(10)) or ""
    assert "not finite (variance nan, must be at least 0.02)" in said
