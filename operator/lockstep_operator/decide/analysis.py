"""Analysis: the live gates of a step, measured side by side until they decide."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.status import GateVerdict


@dataclass(frozen=True)
class Analysis:
    """`verdict` is Pass, Fail or Inconclusive once the gates have decided, None while they are
    measured. `told` stays the same from look to look."""

    verdict: Verdict | None
    verdicts: list[GateVerdict]
    told: str
