"""Which triplets of a batch count; one rule a file.

Usual implementations materialise B x B x B booleans. Here each chunk of anchors needs its own rows
of the similarity matrix only, and the items of an anchor's class are a list of columns, not a mask:
memory is O(chunk x B), and the result is that of the naive triple loop, triplet for triplet.
"""

from lockstep_trainer.mining.comparison import Comparison, Memorised
from lockstep_trainer.mining.triplets import Triplets, mine
from lockstep_trainer.mining.windows import WINDOWS, Window

__all__ = ["WINDOWS", "Comparison", "Memorised", "Triplets", "Window", "mine"]
