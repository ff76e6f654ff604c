"""Trackers beside the files of the artifact. None can fail, stop or hold up a training."""

from lockstep_trainer.tracking.opening import open_tracker, tracked
from lockstep_trainer.tracking.tracker import Backend, Ending, Tracker

__all__ = ["Backend", "Ending", "Tracker", "open_tracker", "tracked"]
