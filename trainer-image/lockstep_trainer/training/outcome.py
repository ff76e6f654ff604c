"""What a finished run leaves."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_core.protocol.result import Finding
from lockstep_trainer.training.curve import CurvePoint
from lockstep_trainer.training.eval_points import EvalPoint
from lockstep_trainer.training.record import Mined


@dataclass(frozen=True)
class Training:
    """What a finished run leaves besides the weights, which are those after `exported_step`.

    `seconds` are of training, over all attempts. `kept_step`: what the newest checkpoint holds.
    """

    curve: tuple[CurvePoint, ...]
    eval_points: tuple[EvalPoint, ...]
    minings: tuple[Mined, ...]
    findings: tuple[Finding, ...]
    steps: int
    exported_step: int
    seconds: float
    rewinds: int
    resumed_from_step: int | None
    kept_step: int | None
    final_loss: float
    active_triplets: float
    skipped_anchors: int
