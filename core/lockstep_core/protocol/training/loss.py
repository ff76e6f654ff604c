"""The loss that is minimised."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from lockstep_core.protocol.base import Contract, rule, validations
from lockstep_core.protocol.training.numbers import PositiveDecimal


class LossName(StrEnum):
    TRIPLET = "Triplet"
    CONTRASTIVE = "Contrastive"
    INFO_NCE = "InfoNCE"
    SUP_CON = "SupCon"
    PROXY_ANCHOR = "ProxyAnchor"
    ARC_FACE = "ArcFace"


PAIRWISE = (LossName.TRIPLET, LossName.CONTRASTIVE, LossName.INFO_NCE, LossName.SUP_CON)
"""Losses that compare items with one another; the others learn a vector for each class."""


class Distance(StrEnum):
    """Distance between L2-normalised embeddings that the loss uses."""

    EUCLIDEAN = "Euclidean"
    SQUARED_EUCLIDEAN = "SquaredEuclidean"
    COSINE = "Cosine"


DEFAULTS: dict[LossName, dict[str, str]] = {
    LossName.TRIPLET: {"margin": "0.2", "distance": Distance.EUCLIDEAN},
    LossName.CONTRASTIVE: {"margin": "1.0", "distance": Distance.EUCLIDEAN},
    LossName.INFO_NCE: {"temperature": "0.1"},
    LossName.SUP_CON: {"temperature": "0.1"},
    LossName.PROXY_ANCHOR: {"margin": "0.1", "scale": "32"},
    LossName.ARC_FACE: {"margin": "0.5", "scale": "64"},
}
"""Which numbers a loss reads, and what they are when they are left out."""

_NUMBERS = ("margin", "distance", "temperature", "scale")


def _readers(field: str) -> list[str]:
    return [str(name) for name, fields in DEFAULTS.items() if field in fields]


def _needs(field: str) -> str:
    return f"`{field}` must not be set unless `name` is {' or '.join(_readers(field))}"


_SOFT = "`softMargin` must not be true unless `name` is Triplet"
_ONE_MARGIN = "`margin` must not be set when `softMargin` is true: it takes the margin's place"


class AuxiliarySpec(Contract):
    """Terms that are added to the loss, each times its weight; none when left out."""

    cross_entropy: PositiveDecimal | None = Field(
        default=None,
        description="Weight of the cross-entropy of a linear classifier of the training classes."
        " It keeps hard mining from collapse.",
    )
    center: PositiveDecimal | None = Field(
        default=None,
        description="Weight of the centre loss: half the squared distance to the learned centre of"
        " the item's class.",
    )
    spread_out: PositiveDecimal | None = Field(
        default=None,
        description="Weight of the spread-out term: pairs of different classes should be as"
        " orthogonal as random directions are.",
    )


class LossSpec(Contract):
    """The loss that is minimised."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            *(
                rule(f"!has(self.{field}) || self.name in {_readers(field)}", _needs(field))
                for field in _NUMBERS
            ),
            rule("!self.softMargin || self.name == 'Triplet'", _SOFT, ".softMargin"),
            rule("!self.softMargin || !has(self.margin)", _ONE_MARGIN, ".margin"),
        )
    )

    name: LossName = Field(
        default=LossName.TRIPLET,
        description="`Triplet` (hinge on d(a,p)-d(a,n)+margin over mined triplets), `Contrastive`,"
        " `InfoNCE` or `SupCon` over all pairs of the batch, `ProxyAnchor` or `ArcFace` with a"
        " learned vector for each class.",
    )
    margin: PositiveDecimal | None = Field(
        default=None,
        description="Of Triplet (0.2 when left out) and Contrastive (1.0), in units of `distance`;"
        " of ProxyAnchor (0.1), a cosine; of ArcFace (0.5), radians.",
    )
    soft_margin: bool = Field(
        default=False,
        description="ln(1 + exp(d(a,p)-d(a,n))) instead of the hinge, so there is no margin. Only"
        " Triplet.",
    )
    distance: Distance | None = Field(
        default=None,
        description="`Euclidean` (also when left out), `SquaredEuclidean` or `Cosine`, of"
        " L2-normalised embeddings. Of Triplet and Contrastive; the others use the cosine.",
    )
    temperature: PositiveDecimal | None = Field(
        default=None, description="Of InfoNCE and SupCon (0.1 when left out)."
    )
    scale: PositiveDecimal | None = Field(
        default=None,
        description="What cosines are multiplied by: of ProxyAnchor (32 when left out) and ArcFace"
        " (64).",
    )
    auxiliary: AuxiliarySpec = Field(
        default_factory=AuxiliarySpec, description="Terms that are added to the loss."
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_defaults_out(cls, value: Any) -> Any:
        """A number that equals its default is as if it were not there: an object that an API
        server filled in before describes the same space as one that leaves the field out."""
        if not isinstance(value, dict):
            return value
        name = value.get("name", LossName.TRIPLET)
        known = DEFAULTS.get(LossName(name), {}) if name in list(LossName) else {}
        return {
            key: given for key, given in value.items() if key not in known or known[key] != given
        }

    @model_validator(mode="after")
    def _fields_fit_the_loss(self) -> Self:
        """What the CRD says in CEL, which does not run for a config file."""
        for field in _NUMBERS:
            if getattr(self, field) is not None and field not in DEFAULTS[self.name]:
                raise ValueError(f"{_needs(field)}; it is {self.name}, so leave it out")
        if self.soft_margin and self.name is not LossName.TRIPLET:
            raise ValueError(f"{_SOFT}; it is {self.name}")
        if self.soft_margin and self.margin is not None:
            raise ValueError(_ONE_MARGIN)
        return self

    def number(self, field: str) -> float:
        """`margin`, `temperature` or `scale` of the loss, or what it is when left out.

        Raises:
            KeyError: this loss reads no such number.
        """
        return float(getattr(self, field) or DEFAULTS[self.name][field])

    def metric(self) -> Distance:
        """The distance that the loss uses."""
        named = self.distance or DEFAULTS[self.name].get("distance", Distance.COSINE)
        return Distance(named)

    def value_at_collapse(self) -> float | None:
        """What a triplet loss is when all embeddings are one point; None for other losses."""
        if self.name is not LossName.TRIPLET:
            return None
        return math.log(2.0) if self.soft_margin else self.number("margin")
