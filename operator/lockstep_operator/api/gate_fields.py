"""The types of fields of a gate, and the constants that its rules name."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from lockstep_core.protocol.base import Contract


class OnInconclusive(StrEnum):
    """`Pause`: wait for a person. `Fail`: as if the gate had failed. There is no way to pass."""

    PAUSE = "Pause"
    FAIL = "Fail"


# Queries that a replay sends where `maxSamples` is not set.
REPLAYED_QUERIES = 1000

GateName = Annotated[
    str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=40)
]
# A bound on anything that Prometheus knows: it may be negative.
Decimal = Annotated[
    str, StringConstraints(pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,9})?$", max_length=24)
]


class PrometheusQuery(Contract):
    """A query whose answer is one number."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://", max_length=1024)] = Field(
        description="Address of the Prometheus server."
    )
    query: Annotated[str, StringConstraints(min_length=1, max_length=4096)] = Field(
        description="PromQL for a scalar or a vector of one element. `$(namespace)`, `$(model)`,"
        " `$(release)` and `$(stable)` are replaced by those of the candidate."
    )


Quantile = Annotated[str, StringConstraints(pattern=r"^0\.[0-9]{1,4}$", max_length=6)]
Confidence = Annotated[
    str, StringConstraints(pattern=r"^0\.[5-9][0-9]{0,5}$", min_length=3, max_length=8)
]
