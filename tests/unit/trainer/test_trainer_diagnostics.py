"""Failure detection as functions of numbers: what trips, what must not, and what is said."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep_core.protocol.result import Finding
from lockstep_core.protocol.training import EarlyStoppingSpec, StoppingMetric, TrainingSpec
from lockstep_trainer.training import CurvePoint, EvalPoint, diagnostics
from lockstep_trainer.training.curve import NotFinite
from lockstep_trainer.training.eval_points import Standing

pytestmark = pytest.mark.unit


def spec(**changes: object) -> TrainingSpec:
    return TrainingSpec.model_validate(
        {
            "data": {"uri": "file:///set.npz", "format": "NPZ"},
            "encoder": {"kind": "MLP"},
            "budget": {"maxSteps": 1000},
            **changes,
        }
    )


BATCH_HARD = spec(mining={"strategy": "BatchHard"})


def curve(
    steps: int, *, loss: float = 0.2, active: float = 1.0, variance: float = 0.001, fall: float = 0
) -> list[CurvePoint]:
    """`fall` is taken from the loss at every point."""
    return [
        CurvePoint(step, loss - fall * at, active, variance, 0.004)
        for at, step in enumerate(range(10, steps + 1, 10))
    ]


def eval_point(
    step: int, *, variance: float = 0.5, recall: float = 0.5, **more: float
) -> EvalPoint:
    return EvalPoint(step, recall, recall / 2, variance, **more)


def test_two_evaluations_on_one_point_are_a_collapse() -> None:
    flat = [eval_point(300, variance=0.001), eval_point(400, variance=0.002)]
    found = diagnostics.collapse_seen(flat, BATCH_HARD, since=0)
    assert found is not None
    assert (found.value, found.bound, found.step) == (0.002, 0.02, 400)
    assert "variance 0.0020 of held-out items is below 0.02 at two evaluations" in found.message
    assert "steps 300 and 400. Use mining.strategy SemiHard (now BatchHard)" in found.message
    assert diagnostics.collapse_seen(flat[1:], BATCH_HARD, since=0) is None
    assert diagnostics.collapse_seen([flat[0], eval_point(400)], BATCH_HARD, since=0) is None
    # A fresh network, or one that was just rewound, is not judged yet.
    assert diagnostics.collapse_seen(flat, BATCH_HARD, since=150) is None
    broken = [eval_point(300, variance=math.nan), eval_point(400, variance=math.nan)]
    found = diagnostics.collapse_seen(broken, spec(), since=0)
    assert found is not None and found.value is None
    assert "are not finite (variance nan, must be at least 0.02)" in found.message
    assert diagnostics.collapse_seen(flat, spec(collapse={"minVariance": "0"}), since=0) is None


def test_the_loss_alone_tells_a_collapse_after_two_hundred_steps() -> None:
    found = diagnostics.collapse_by_loss(curve(200, loss=0.2012), BATCH_HARD, since=0)
    assert found is not None
    assert (found.value, found.bound, found.step) == (0.2012, 0.2, 200)
    assert "the loss 0.2012 is within 2 % of 0.2" in found.message
    soft = spec(loss={"softMargin": True})
    assert diagnostics.collapse_by_loss(curve(200, loss=0.6938), soft, since=0) is not None


@pytest.mark.parametrize(
    "points",
    [
        curve(190),
        curve(200, loss=0.19),
        curve(200, active=0.97),
        curve(200, variance=0.12),
        [*curve(190), CurvePoint(200, 0.15, 1.0, 0.001, 0.004)],
    ],
    ids=["short", "loss falls", "some taught", "wide", "just escaped"],
)
def test_what_is_no_collapse_does_not_trip(points: list[CurvePoint]) -> None:
    assert diagnostics.collapse_by_loss(points, BATCH_HARD, since=0) is None


def test_other_losses_have_no_fingerprint_and_a_rewind_starts_the_window_anew() -> None:
    assert diagnostics.collapse_by_loss(curve(400), spec(loss={"name": "InfoNCE"}), since=0) is None
    assert diagnostics.collapse_by_loss(curve(400), BATCH_HARD, since=250) is None


def test_the_weak_but_sound_model_of_a_short_run_ends_well() -> None:
    """As the third release of the example: batch-hard, ten steps, variance 0.075."""
    short = spec(
        mining={"strategy": "BatchHard"},
        optimizer={"learningRate": "0.0004"},
        budget={"maxSteps": 10},
    )
    weak = eval_point(10, variance=0.075, recall=0.3, train_recall_at_1=0.35, contradicted=0.02)
    points = curve(10, variance=0.075)
    assert diagnostics.collapse_at_end(weak, 0.2, short) is None
    assert diagnostics.collapse_by_loss(points, short, since=0) is None
    assert diagnostics.slow_convergence(points, [weak], short, untrained=0.3, since=0) is None
    assert diagnostics.overfitting(weak, short) is None
    assert diagnostics.noisy_negatives(weak, short) is None


def test_at_the_end_one_evaluation_is_enough() -> None:
    found = diagnostics.collapse_at_end(eval_point(60, variance=0.0123), 0.2004, BATCH_HARD)
    assert found is not None
    assert "variance 0.0123" in found.message
    assert "at the end, step 60; the loss 0.2004 is stuck at 0.2." in found.message
    other = diagnostics.collapse_at_end(eval_point(60, variance=0.0123), 0.5, spec())
    assert other is not None and "stuck" not in other.message
    assert "Lower optimizer.learningRate (now 0.004, try a third), or train" in other.message


def test_numbers_that_are_none_name_the_step_and_the_fix() -> None:
    found = diagnostics.not_finite(NotFinite(37, "gradient's norm", math.inf), spec())
    assert (found.step, found.value) == (37, None)
    assert "the gradient's norm is inf at step 37 of 1000; it must be finite" in found.message


def slow(points: list[CurvePoint], recall: float, untrained: float = 0.4) -> Finding | None:
    last = points[-1].step
    eval_points = [eval_point(last, recall=recall)]
    return diagnostics.slow_convergence(points, eval_points, spec(), untrained=untrained, since=0)


def test_a_flat_loss_is_slow_only_where_recall_has_not_moved() -> None:
    flat = curve(300, loss=0.19)
    found = slow(flat, 0.405)
    assert found is not None and (found.value, found.bound) == (0.0, 0.01)
    assert "100% of the terms still violate it" in found.message
    assert "recall@1 0.405 is no better than 0.400 untrained" in found.message
    assert slow(flat, 0.45) is None
    assert slow(curve(300, fall=0.002), 0.405) is None
    assert slow(curve(190), 0.405) is None


def test_batches_that_teach_nothing_are_slow_while_recall_is_low() -> None:
    idle = curve(300, loss=0.001, active=0.004)
    found = slow(idle, 0.7)
    assert found is not None and found.value == 0.004
    assert "only 0.4% of the terms taught anything" in found.message
    assert slow(idle, 0.97) is None


def test_a_gap_between_training_and_held_out_recall_is_overfitting() -> None:
    found = diagnostics.overfitting(eval_point(500, recall=0.6, train_recall_at_1=0.9), spec())
    assert found is not None and (found.value, found.bound) == (0.3, 0.15)
    assert "a gap of 0.300" in found.message and "budget.earlyStopping" in found.message
    assert (
        diagnostics.overfitting(eval_point(500, recall=0.8, train_recall_at_1=0.9), spec()) is None
    )
    assert diagnostics.overfitting(eval_point(500), spec()) is None


def test_neighbours_that_agree_against_the_label_are_noise() -> None:
    found = diagnostics.noisy_negatives(eval_point(500, contradicted=0.08), BATCH_HARD)
    assert found is not None and (found.value, found.bound) == (0.08, 0.05)
    assert "8.0% of the training items" in found.message
    assert "Use mining.strategy SemiHard (now BatchHard)." in found.message
    assert diagnostics.noisy_negatives(eval_point(500, contradicted=0.05), spec()) is None


def test_a_budget_of_time_is_foreseen_and_kept() -> None:
    timed = spec(budget={"maxSteps": 1000, "maxSeconds": 60})
    assert diagnostics.will_be_over_budget(90, 50.0, timed) is None
    found = diagnostics.will_be_over_budget(100, 12.0, timed)
    assert found is not None and (found.value, found.bound) == (120.0, 60.0)
    assert "will stop near step 500" in found.message
    assert diagnostics.will_be_over_budget(100, 6.0, timed) is None
    assert diagnostics.over_budget(400, 59.0, timed) is None
    found = diagnostics.over_budget(400, 61.0, timed, devices=1)
    assert found is not None and "after step 400 of 1000 (61 GPU-seconds)" in found.message
    assert diagnostics.over_budget(1000, 61.0, timed) is None
    assert diagnostics.over_budget(400, 1e9, spec()) is None


@given(st.floats(allow_nan=True, allow_infinity=True), st.text(min_size=1, max_size=2000))
def test_every_finding_fits_into_a_status(value: float, message: str) -> None:
    found = diagnostics.finding(diagnostics.FindingName.BUDGET, 1, value, 1.0, message)
    assert Finding.model_validate_json(found.model_dump_json(by_alias=True)) == found


METRIC = StoppingMetric.RECALL_AT_1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from([0.0, 0.05]))
def test_the_best_evaluation_is_the_first_highest_and_patience_counts_from_the_last_gain(
    recalls: list[float], min_delta: float
) -> None:
    standing, reference, waited = Standing(), -math.inf, 0
    for step, recall in enumerate(recalls, start=1):
        standing = standing.after(eval_point(step, recall=recall), METRIC, min_delta)
        gained = step == 1 or recall > reference + min_delta
        reference, waited = (recall, 0) if gained else (reference, waited + 1)
    assert standing.best is not None
    assert standing.best.step == recalls.index(max(recalls)) + 1
    assert standing.without_gain == waited
    assert Standing.from_state(standing.to_state()) == standing
    for patience in (1, 3):
        early = EarlyStoppingSpec(patience=patience)
        assert standing.is_enough(early) is (waited >= patience)
    assert not standing.is_enough(None)
