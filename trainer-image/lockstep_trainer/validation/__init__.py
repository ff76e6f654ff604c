"""The data set, checked before a second of training: what stops it, and what to know about it.

Needs no torch, so that `validate` answers at once.
"""

from lockstep_trainer.validation.data import TrainingData, prepare
from lockstep_trainer.validation.examination import Examination, examine

__all__ = ["Examination", "TrainingData", "examine", "prepare"]
