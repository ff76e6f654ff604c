"""The interface of a router."""

from __future__ import annotations

from typing import Protocol

from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.traffic import Routed, Traffic


class Router(Protocol):
    """One way to split the requests of a model. Stateless: everything is in the context."""

    def problem(self, context: ReconcileContext) -> str | None:
        """Why the steps of this model cannot be taken with this router, with the fix."""
        ...

    def look_again_in(self, context: ReconcileContext) -> float | None:
        """Seconds after which such a problem may have passed without any event."""
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
