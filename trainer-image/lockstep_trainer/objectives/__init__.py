"""What training minimises: a loss over one batch of embeddings."""

from lockstep_trainer.objectives.objective import Objective, build_objective
from lockstep_trainer.objectives.outcome import Outcome

__all__ = ["Objective", "Outcome", "build_objective"]
