"""The comparison that decisions and the applier share: both must mean the same by "differs"."""

from lockstep_operator.decide.compare import APPLIED_HASH, applied_hash, difference, with_hash

__all__ = ["APPLIED_HASH", "applied_hash", "difference", "with_hash"]
