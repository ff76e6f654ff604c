"""What a training run calls on its way. Every default does nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from lockstep_core.protocol.result import Finding
from lockstep_trainer.networks import Network
from lockstep_trainer.training.checkpoints import Keeper
from lockstep_trainer.training.curve import CurvePoint
from lockstep_trainer.training.eval_points import EvalPoint
from lockstep_trainer.training.record import Mined

Observer = Callable[[CurvePoint, float], None]


@dataclass(frozen=True)
class Hooks:
    """What a run reports, what it asks, and where it saves.

    `observe`: a point of the curve and the seconds trained so far, every `REPORT_EVERY` steps and
    at the end. `evaluated`, `mined`, `found`, `warn`: an evaluation, an offline mining, a finding,
    a sentence. `resumed`: the step that a checkpoint held. `stop`: asked before each step.
    `save_now`: asked after each; true once for every request. `evaluate`: measures a network after
    so many steps; without it nothing is measured. `untrained`: recall@1 of held-out items before
    training. `keeper`: without it nothing is saved. `devices`: accelerators in use, for the cost.
    `clock`: monotonic seconds.
    """

    observe: Observer = lambda point, seconds: None
    evaluated: Callable[[EvalPoint], None] = lambda eval_point: None
    mined: Callable[[Mined], None] = lambda mined: None
    found: Callable[[Finding], None] = lambda finding: None
    warn: Callable[[str], None] = lambda text: None
    resumed: Callable[[int], None] = lambda step: None
    stop: Callable[[], bool] = lambda: False
    save_now: Callable[[], bool] = lambda: False
    evaluate: Callable[[Network, int], EvalPoint] | None = None
    untrained: float | None = None
    keeper: Keeper | None = None
    devices: int = 0
    clock: Callable[[], float] = time.monotonic
