"""What is watched of the live embeddings of a model: asked for in a plan, done beside it.

What comes back is a `DriftReport` for each policy, in the next snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_core.protocol.drift import Parameters
from lockstep_operator.decide.snapshot.measurements import Target


@dataclass(frozen=True)
class DriftWatch:
    """One policy over the monitors of the release that serves.

    `targets` are its ready encoder pods. `space` is that of the release: a monitor of another one
    is refused. `first_window` is the first that began after its promotion.
    """

    policy: str
    uid: str
    space: str
    targets: tuple[Target, ...]
    first_window: int
    parameters: Parameters
