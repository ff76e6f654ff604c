"""The training loop with its batches, curves, checkpoints and diagnostics, and a whole `fit`."""

from lockstep_trainer.training.checkpoints import Identity, Keeper
from lockstep_trainer.training.curve import FINAL_STEPS, REPORT_EVERY, CurvePoint, batch_variance
from lockstep_trainer.training.errors import Diverged, Refused, Stopped, TakenOver
from lockstep_trainer.training.eval_points import EvalPoint
from lockstep_trainer.training.hooks import Hooks, Observer
from lockstep_trainer.training.loop import assist, train
from lockstep_trainer.training.outcome import Training
from lockstep_trainer.training.record import Mined

__all__ = [
    "FINAL_STEPS",
    "REPORT_EVERY",
    "CurvePoint",
    "Diverged",
    "EvalPoint",
    "Hooks",
    "Identity",
    "Keeper",
    "Mined",
    "Observer",
    "Refused",
    "Stopped",
    "TakenOver",
    "Training",
    "assist",
    "batch_variance",
    "train",
]
