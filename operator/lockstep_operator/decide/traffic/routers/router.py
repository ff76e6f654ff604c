"""What a router is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lockstep_operator.decide.context.context import ReconcileContext


@dataclass(frozen=True)
class Traffic:
    """Who should answer: `holder` all requests but `weight` percent, which `candidate` answers.

    `mirror` percent of the requests are copied to the candidate. Names are those of releases.
    """

    holder: str
    candidate: str | None = None
    weight: int = 0
    mirror: int = 0


@dataclass(frozen=True)
class Routed:
    """What was read back. `holds`: the traffic is what was asked for.

    `achieved`: the percent that the candidate answers now. `told`: what is lacking, in words that
    do not change from one look to the next while the same thing is lacking.
    """

    holds: bool
    achieved: int
    told: str = ""


class Router(Protocol):
    """One way to split the requests of a model. Stateless: everything is in the context."""

    def problem(self, context: ReconcileContext) -> str | None:
        """Why the steps of this model cannot be taken with this router, with the fix."""
        ...

    def replicas_for(self, context: ReconcileContext, weight: int, mirror: int) -> int:
        """Encoder pods of a candidate that answers `weight` percent of the requests."""
        ...

    def steer(self, context: ReconcileContext, wanted: Traffic) -> None:
        """Plans what is different from `wanted` into `context.apply`."""
        ...

    def verify(self, context: ReconcileContext, wanted: Traffic) -> Routed:
        """Whether what was read back is `wanted`."""
        ...
