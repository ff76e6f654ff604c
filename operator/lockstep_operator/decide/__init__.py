"""The rules of a release, pure: one snapshot in, one plan out.

Split by concern: `model` (which releases exist), `release` and `stages` (one release's way),
`verbs` and `pauses` (what people ask), `traffic` (the entry point), `retention` (what is kept),
`gates` (verdicts), `summary` and `projection` (what the statuses say), `reasons` (every reason).
"""

from lockstep_operator.decide.decide import decide

__all__ = ["decide"]
