"""What a release's status records of its traffic: the step of the canary, the weights, and the
analysis after the promotion."""

from __future__ import annotations

from pydantic import Field

from lockstep_core.protocol.base import Contract, ReleaseName
from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.status import Hash, Time


class StepRecord(Contract):
    """The step of the canary that is under way. `hash` is that of the steps: others start anew."""

    index: int = Field(ge=0, description="From 0; the number of steps when all are done.")
    hash: Hash
    started_at: Time
    passed: bool = Field(
        default=False, description="A person let the release pass this step's pause or analysis."
    )

    @property
    def analysis(self) -> str:
        """Names the analysis of this step among all of the release."""
        return f"{self.index}@{self.started_at}"


class Watch(Contract):
    """The analysis after the promotion (`spec.rollout.afterPromotion`)."""

    started_at: Time
    replaced: ReleaseName = Field(description="The release that it took the place of.")
    verdict: str | None = Field(default=None, description="Unset while it is measured.")
    told: str | None = Field(default=None, description="The lines that decided.")
    returned_at: Time | None = Field(
        default=None, description="When the way back began; it is tried once."
    )

    @property
    def analysis(self) -> str:
        """Names this analysis among all of the release."""
        return f"promoted@{self.started_at}"

    @property
    def has_failed(self) -> bool:
        """Whether its gates failed."""
        return self.verdict == Verdict.FAIL


class Weights(Contract):
    """Percent of the requests that the candidate answers: asked, and read back when it held."""

    asked: int = Field(ge=0, le=100)
    achieved: int = Field(ge=0, le=100)
    since: Time
