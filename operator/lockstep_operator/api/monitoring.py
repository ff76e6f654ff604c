"""`spec.monitoring` of an EmbeddingModel: the monitor beside every encoder."""

from __future__ import annotations

from pydantic import Field

from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.monitoring import (
    DEFAULT_MAX_PER_SECOND,
    DEFAULT_RECALL_K,
    DEFAULT_RECALL_PER_MINUTE,
    DEFAULT_WINDOW_SECONDS,
    MAX_RECALL_K,
    MAX_RECALL_PER_MINUTE,
)


class RecallSamplingSpec(Contract):
    """Live searches that a monitor asks the release's indexes once more, and exactly."""

    per_minute: int = Field(
        default=DEFAULT_RECALL_PER_MINUTE,
        ge=0,
        le=MAX_RECALL_PER_MINUTE,
        description="Searches of a pod in a minute, at most, its indexes in turn; 0 measures"
        " nothing. Exact searches of a pod take 1 % of the time of an index server at most.",
    )
    k: int = Field(
        default=DEFAULT_RECALL_K,
        ge=1,
        le=MAX_RECALL_K,
        description="Neighbours of each that are compared: the k of recall@k.",
    )


class MonitoringSpec(Contract):
    """The monitor beside every encoder. A change here rolls in place: no new release."""

    enabled: bool = Field(
        default=True,
        description="Whether encoders hand a sample of their embeddings to a monitor in their pod,"
        " which sums it up for drift.",
    )
    max_per_second: int = Field(
        default=DEFAULT_MAX_PER_SECOND,
        ge=1,
        le=1000,
        description="Embeddings that a pod samples in a second, at most.",
    )
    window_seconds: int = Field(
        default=DEFAULT_WINDOW_SECONDS,
        ge=10,
        le=3600,
        description="Length of the windows that embeddings are summed up in.",
    )
    recall: RecallSamplingSpec = Field(
        default_factory=RecallSamplingSpec,
        description="How often index recall is measured while it serves.",
    )
