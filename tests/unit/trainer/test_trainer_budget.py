"""Ends before the last step: a budget of time, early stopping, and what is exported then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lockstep_core.protocol.result import Finding
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.networks import Network, build_network
from lockstep_trainer.training import Diverged, EvalPoint, Hooks, Training, train

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")


def spec(**changes: object) -> TrainingSpec:
    return TrainingSpec.model_validate(
        {
            "data": {"uri": "file:///set.npz", "format": "NPZ"},
            "encoder": {"kind": "MLP", "dimension": 8, "width": 16},
            "batch": {"classes": 6, "perClass": 3},
            "budget": {"maxSteps": 60},
            **changes,
        }
    )


def run(
    glyphs: tuple[np.ndarray, np.ndarray], wanted: TrainingSpec, **hooks: Any
) -> tuple[Network, Training]:
    network = build_network(wanted.encoder, (16, 16), seed=0)
    return network, train(network, *glyphs, wanted, device=CPU, hooks=Hooks(**hooks))


def recalls(values: dict[int, float], variance: float = 0.5) -> Callable[[Network, int], EvalPoint]:
    return lambda network, step: EvalPoint(step, values.get(step, 0.1), 0.1, variance)


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that moves by as much whenever it is read."""
    now = [0.0]

    def clock() -> float:
        now[0] += seconds
        return now[0]

    return clock


def equal(one: Network, other: Network) -> bool:
    return all(torch.equal(v, other.state_dict()[k]) for k, v in one.state_dict().items())


def test_what_was_measured_best_is_exported_and_not_the_last(glyphs) -> None:
    best = recalls({10: 0.4, 20: 0.7, 30: 0.7, 40: 0.6})
    wanted = spec(evaluation={"everySteps": 10})
    network, training = run(glyphs, wanted, evaluate=best)
    assert (training.steps, training.exported_step) == (60, 20)
    assert [point.step for point in training.eval_points] == [10, 20, 30, 40, 50, 60]
    kept: dict[str, torch.Tensor] = {}

    def keep(network: Network, step: int) -> EvalPoint:
        if step == 20:
            kept.update({k: v.clone() for k, v in network.state_dict().items()})
        return best(network, step)

    run(glyphs, wanted, evaluate=keep)
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())


def test_early_stopping_ends_after_patience_without_a_gain(glyphs) -> None:
    wanted = spec(
        evaluation={"everySteps": 5},
        budget={"maxSteps": 60, "earlyStopping": {"patience": 2, "minDelta": "0.05"}},
    )
    _, training = run(glyphs, wanted, evaluate=recalls({5: 0.4, 10: 0.5, 15: 0.52, 20: 0.51}))
    assert (training.steps, training.exported_step) == (20, 15)


def test_time_that_is_up_ends_the_run_and_is_told(glyphs) -> None:
    wanted = spec(budget={"maxSteps": 60, "maxSeconds": 30})
    told: list[Finding] = []
    _, training = run(
        glyphs, wanted, clock=ticking(0.5), found=told.append, evaluate=recalls({}), devices=2
    )
    assert 20 < training.steps < 60
    foreseen, stopped = told
    assert foreseen.step < stopped.step == training.steps
    assert "will stop near step" in foreseen.message
    (found,) = training.findings
    assert found == stopped
    assert f"after step {training.steps} of 60" in found.message
    assert "GPU-seconds" in found.message
    assert training.eval_points[-1].step == training.steps


def test_a_collapse_at_the_end_of_the_budget_is_not_exported(glyphs) -> None:
    wanted = spec(budget={"maxSteps": 60, "maxSeconds": 30})
    with pytest.raises(Diverged, match=r"variance 0.0010 .*stopped at budget.maxSeconds 30"):
        run(glyphs, wanted, clock=ticking(0.5), evaluate=recalls({}, variance=0.001))


def test_a_collapse_at_the_end_exports_the_best_before_it_and_says_so(glyphs) -> None:
    def evaluate(network: Network, step: int) -> EvalPoint:
        return EvalPoint(step, 0.5, 0.5, 0.5 if step <= 20 else 0.001)

    network, training = run(glyphs, spec(evaluation={"everySteps": 20}), evaluate=evaluate)
    assert (training.steps, training.exported_step, training.rewinds) == (60, 20, 0)
    short, _ = run(glyphs, spec(evaluation={"everySteps": 20}), evaluate=evaluate)
    assert equal(network, short)
    assert [found.name for found in training.findings] == ["Collapse"]
