"""The training loop, and what keeps it honest: curves, checkpoints and watchers."""

from lockstep_trainer.training.loop import (
    FINAL_STEPS,
    REPORT_EVERY,
    CurvePoint,
    Diverged,
    Observer,
    Stopped,
    Training,
    batch_variance,
    train,
)

__all__ = [
    "FINAL_STEPS",
    "REPORT_EVERY",
    "CurvePoint",
    "Diverged",
    "Observer",
    "Stopped",
    "Training",
    "batch_variance",
    "train",
]
