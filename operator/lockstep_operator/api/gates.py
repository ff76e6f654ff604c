"""Gates: typed checks with bounds. A new gate is one type here and one row in `decide.gates`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from lockstep_core.protocol.base import Contract, UnitFraction, rule, validations
from lockstep_core.quality.verdicts import Verdict as Verdict


class GateType(StrEnum):
    """`Recall`: relevance recall@k on the held-out set."""

    RECALL = "Recall"


GateName = Annotated[
    str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=40)
]


class Gate(Contract):
    """One check that a candidate must pass. No data is Inconclusive: never Pass, never Fail."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "has(self.min) || has(self.minGainOverBaseline)",
                "`min` or `minGainOverBaseline` must be set: a gate without a bound checks nothing",
                ".min",
            )
        )
    )

    name: GateName = Field(description="Name of the gate, shown in the status.")
    type: GateType = Field(description="`Recall`: relevance recall@k on the held-out set.")
    k: int = Field(default=1, ge=1, le=1000, description="Neighbours that are looked at.")
    min: UnitFraction | None = Field(
        default=None, description="Smallest value whose lower confidence bound passes."
    )
    min_gain_over_baseline: UnitFraction | None = Field(
        default=None,
        description="Smallest gain over searching the raw inputs (no encoder at all), paired by"
        " query, whose lower confidence bound passes.",
    )
    confidence: Annotated[
        str, StringConstraints(pattern=r"^0\.[5-9][0-9]{0,5}$", min_length=3, max_length=8)
    ] = Field(default="0.95", description="One-sided confidence of each bound.")
    min_samples: int = Field(
        ge=1,
        le=10_000_000,
        description="Distinct queries below which the verdict is Inconclusive.",
    )
