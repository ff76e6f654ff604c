"""Training on real glyphs: it helps on unseen classes, repeats itself, stops and refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lockstep_core.datasets import split_by_class
from lockstep_core.protocol.datasets import SplitSpec
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.evaluation import embed, measure
from lockstep_trainer.networks import build_network
from lockstep_trainer.training import CurvePoint, Diverged, EvalPoint, Hooks, Stopped, train

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

    hooks = Hooks(observe=lambda point, seconds: curve.append(point))
    training = train(network, inputs[seen], labels[seen], wanted, device=CPU, hooks=hooks)

    trained = measure(embed(network, inputs[unseen], device=CPU), labels[unseen])
    assert trained.recall_at_1 > untrained.recall_at_1 + 0.1
    assert trained.map_at_r > untrained.map_at_r + 0.1
    assert training.final_loss < curve[0].loss
    assert [point.step for point in curve] == list(range(10, 101, 10))
    assert tuple(curve) == training.curve
    assert training.skipped_anchors == 0
    assert trained.variance > 0.02


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
        train(fresh(wanted), *glyphs, wanted, device=CPU, hooks=Hooks(stop=stop))


def test_a_loss_that_is_not_finite_is_rewound_once_then_names_number_bound_and_fix():
    # Finite numbers whose projection overflows float32.
    inputs = np.full((16, 4), 3e38, dtype=np.float32)
    labels = np.repeat(["a", "b", "c", "d"], 4)
    wanted = spec(
        10,
        encoder={"kind": "MLP", "dimension": 4, "width": 8},
        batch={"classes": 2, "perClass": 4},
    )
    with pytest.raises(Diverged, match=r"loss is nan at step 1 of 10.*must be finite") as caught:
        train(fresh(wanted, (4,)), inputs, labels, wanted, device=CPU)
    assert "optimizer.learningRate (now 0.004" in str(caught.value)
    assert "after 1 rewind" in str(caught.value)
    assert caught.value.reason == "LossNotFinite"


def shuffled(glyphs) -> tuple[np.ndarray, np.ndarray]:
    """Glyphs with the labels of others: nothing to learn, so batch-hard falls onto one point."""
    return glyphs[0], np.random.default_rng(0).permutation(glyphs[1])


def collapsing(**changes: object) -> TrainingSpec:
    return spec(60, mining={"strategy": "BatchHard"}, optimizer={"learningRate": "0.01"}, **changes)


def evaluating(inputs: np.ndarray, labels: np.ndarray) -> Hooks:
    def evaluate(network, step: int) -> EvalPoint:
        found = measure(embed(network, inputs, device=CPU), labels)
        return EvalPoint(step, found.recall_at_1, found.map_at_r, found.variance)

    return Hooks(evaluate=evaluate)


def test_a_collapse_ends_the_run_where_it_may_not_rewind(glyphs):
    inputs, labels = shuffled(glyphs)
    wanted = collapsing(collapse={"action": "Fail"})
    with pytest.raises(Diverged) as caught:
        train(fresh(wanted), inputs, labels, wanted, device=CPU, hooks=evaluating(inputs, labels))
    said = str(caught.value)
    assert caught.value.reason == "Collapsed"
    assert "below 0.02 at the end, step 60; the loss 0.2" in said
    assert "is stuck at 0.2" in said
    assert "SemiHard (now BatchHard), lower optimizer.learningRate (now 0.01" in said
    assert "collapse.action is Fail" in said


def test_a_collapse_is_rewound_and_trained_gently(glyphs):
    inputs, labels = shuffled(glyphs)
    wanted = collapsing()
    network = fresh(wanted)
    training = train(network, inputs, labels, wanted, device=CPU, hooks=evaluating(inputs, labels))
    assert training.rewinds == 1
    assert training.steps == training.curve[-1].step == 60
    assert measure(embed(network, inputs, device=CPU), labels).variance > 0.02
    (found,) = (one for one in training.findings if one.name == "Collapse")
    assert found.message.startswith(
        "Rewound to the start, SemiHard, learning rate 0.003. Before: the embeddings collapsed"
    )
    assert found.value is not None and found.value < found.bound == 0.02
    # The gentler run is the one of its own spec.
    gentle = spec(60, optimizer={"learningRate": "0.003"})
    alike = fresh(gentle)
    train(alike, inputs, labels, gentle, device=CPU)
    assert all(
        torch.equal(value, alike.state_dict()[name]) for name, value in network.state_dict().items()
    )
