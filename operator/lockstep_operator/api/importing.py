"""A model that was trained elsewhere: what to import, and what to measure it on."""

from __future__ import annotations

from pydantic import Field

from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.datasets import LabelledDataset
from lockstep_core.protocol.storage import ArtifactSource


class ImportJobSpec(ArtifactSource):
    """The artifact to import, and the Jobs that carry it out."""

    max_attempts: int = Field(
        default=3,
        ge=1,
        le=20,
        description="Attempts of each Job of a release. Disruptions do not count.",
    )
    active_deadline_seconds: int = Field(
        default=3600,
        ge=1,
        le=31_536_000,
        description="Longest run of one attempt to import the artifact, or to measure it.",
    )


class EvaluationSpec(Contract):
    """What an imported model is measured on."""

    data: LabelledDataset = Field(
        description="A labelled set that the model did not train on, or the one that it did with"
        " the same `split`: the held-out classes of the split are measured."
    )
