"""Hard negatives of the whole training set, mined now and then while training goes on."""

from lockstep_trainer.offline.guide import Guide
from lockstep_trainer.offline.mining import Embedded, Outdated, due_every, embed_all, mine
from lockstep_trainer.offline.neighbours import hard_negatives

__all__ = ["Embedded", "Guide", "Outdated", "due_every", "embed_all", "hard_negatives", "mine"]
