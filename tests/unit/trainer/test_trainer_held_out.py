"""Evaluations on the way: the sample of training items, and labels that neighbours contradict."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lockstep_core.protocol.training import EncoderSpec
from lockstep_trainer.evaluation import embed, measure
from lockstep_trainer.networks import build_network
from lockstep_trainer.training.held_out import HeldOutEvaluator, contradictions, sample_rows

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")


def test_the_sample_is_whole_classes_of_about_as_many_items() -> None:
    labels = np.array(["alone"] + [f"c{i}" for i in range(30) for _ in range(10)])
    rows = sample_rows(labels, 95, seed=3)
    found, counts = np.unique(labels[rows], return_counts=True)
    assert (counts == 10).all() and len(found) == 10 and "alone" not in found
    assert np.array_equal(rows, sample_rows(labels, 95, seed=3))
    assert not np.array_equal(rows, sample_rows(labels, 95, seed=4))
    assert len(sample_rows(labels, 10_000, seed=0)) == 300


def test_exactly_the_wrong_labels_are_contradicted() -> None:
    generator = np.random.default_rng(0)
    centres = np.eye(8, dtype=np.float32)
    codes = np.repeat(np.arange(8), 12)
    points = centres[codes] + generator.normal(0, 0.05, (96, 8)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    labels = np.array([f"c{code}" for code in codes])
    assert contradictions(points, labels) == ([], [])
    wrong = [5, 40, 77]
    relabelled = labels.copy()
    relabelled[wrong] = "c0"
    relabelled[5] = "c7"
    rows, others = contradictions(points, relabelled)
    assert rows == wrong
    assert others == [labels[row] for row in wrong]
    assert contradictions(points[:3], labels[:3]) == ([], [])


def test_an_evaluation_measures_both_sides(glyphs) -> None:
    inputs, labels = glyphs
    cut = 430
    evaluator = HeldOutEvaluator(
        inputs[:cut], labels[:cut], inputs[cut:], labels[cut:], device=CPU, seed=0
    )
    network = build_network(
        EncoderSpec.model_validate({"kind": "MLP", "dimension": 8, "width": 16}), (16, 16), seed=0
    )
    point = evaluator.evaluate(network, 30)
    assert point.step == 30 and len(evaluator.sample) == 190
    assert point.train_recall_at_1 is not None and 0 < point.train_recall_at_1 < 1
    assert point.contradicted is not None
    assert len(evaluator.contradicted) == min(20, round(point.contradicted * 190))
    for row, label, other in evaluator.contradicted:
        assert labels[row] == label != other
    unseen = embed(network, inputs[cut:], device=CPU)
    assert point.recall_at_1 == measure(unseen, labels[cut:]).recall_at_1


def test_embeddings_that_are_not_finite_are_evaluated_without_neighbours(glyphs) -> None:
    inputs, labels = glyphs
    evaluator = HeldOutEvaluator(inputs, labels, inputs[:60], labels[:60], device=CPU, seed=0)
    network = build_network(
        EncoderSpec.model_validate({"kind": "MLP", "dimension": 8, "width": 16}), (16, 16), seed=0
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(float("nan"))
    point = evaluator.evaluate(network, 1)
    assert point.train_recall_at_1 is None and point.contradicted is None
    assert not point.is_sound(0.0)
