"""What training minimises: a loss over one batch of embeddings."""

from lockstep_trainer.objectives.objective import Objective, Outcome, build_objective

__all__ = ["Objective", "Outcome", "build_objective"]
