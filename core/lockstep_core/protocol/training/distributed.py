"""How many processes train together."""

from __future__ import annotations

from pydantic import Field

from lockstep_core.protocol.base import Contract


class DistributedSpec(Contract):
    """Processes that share each batch. `batch` is that of all of them together, and the encoder is
    that of one process, up to rounding: it says how training is run, not what is trained."""

    processes_per_pod: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes in a pod: as many as `template.resources.limits` gives it GPUs, of"
        " whatever resource name.",
    )
    pods: int = Field(
        default=1, ge=1, le=256, description="Pods; above 1, an Indexed Job that meets at pod 0."
    )

    @property
    def processes(self) -> int:
        return self.processes_per_pod * self.pods
