"""Scalars of the JSON of this room, and how it is parsed: strict, and bounded."""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from lockstep_core.drift.errors import SketchError
from lockstep_core.drift.features import MAX_DIM
from lockstep_core.protocol.base import Contract

Count = Annotated[int, Field(ge=0, le=10**12)]
Number = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=1e60, allow_inf_nan=False)]
Base64 = Annotated[str, Field(max_length=4 * math.ceil(4 * MAX_DIM / 3))]
Role = Literal["Query", "Embedding"]
Key = Annotated[str, Field(min_length=1, max_length=128)]
Parsed = TypeVar("Parsed", bound=Contract)


def parse(model: type[Parsed], content: object, what: str) -> Parsed:
    try:
        return model.model_validate(content, strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or what
        raise SketchError(f"{what}: `{where}`: {problem['msg']}; ask its sender again") from None
