"""Gates: what was measured against the bounds of the spec, one readable line each.

A program reports statistics, and only here they are held against a bound. The bounds are read from
the live spec until a release is judged, so a person who lowers a bound need not train again.

Each type of gate has its row in `lockstep_operator.api.gates`, and a `judge` in the module here
that has its name.
"""

from lockstep_operator.decide.gates.analysis import Analysis, analyse
from lockstep_operator.decide.gates.offline import judge_offline
from lockstep_operator.decide.gates.verdicts import (
    NO_GATES,
    inherited,
    merged,
    of_then,
    overall,
    summary,
)

__all__ = [
    "NO_GATES",
    "Analysis",
    "analyse",
    "inherited",
    "judge_offline",
    "merged",
    "of_then",
    "overall",
    "summary",
]
