"""What is known of the stored files of a release: which are damaged, and when they were read."""

from __future__ import annotations

from pydantic import Field

from lockstep_core.protocol.base import Contract, KindName
from lockstep_core.protocol.result import Damage
from lockstep_operator.api.status import Time


class DamagedArtifact(Damage):
    """An artifact of the release that is not whole in its store."""

    index: KindName | None = Field(
        default=None, description="The index whose build it is; unset: it is the model."
    )

    @property
    def what(self) -> str:
        """`model`, or `index <name>`."""
        return "model" if self.index is None else f"index {self.index}"


class ArtifactCheck(Contract):
    """When the files of the release were read, and what became of the last Job that tried."""

    asked_at: Time | None = Field(
        default=None, description="When a check was asked for outside of the schedule."
    )
    tried_at: Time | None = Field(default=None, description="When the last check ended.")
    checked_at: Time | None = Field(
        default=None, description="When the last check that gave a verdict ended."
    )
    trouble: str | None = Field(default=None, description="Why the last one gave no verdict.")
