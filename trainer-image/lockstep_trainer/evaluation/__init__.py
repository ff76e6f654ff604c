"""What the embeddings of held-out items are worth, beside what no training would give."""

from lockstep_trainer.evaluation.assessment import Assessment, assess
from lockstep_trainer.evaluation.baselines import Evaluation
from lockstep_trainer.evaluation.embedding import Floats, embed
from lockstep_trainer.evaluation.quality import Quality, measure

__all__ = ["Assessment", "Evaluation", "Floats", "Quality", "assess", "embed", "measure"]
