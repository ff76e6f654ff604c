"""What a batch holds."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from lockstep_core.protocol.base import Contract, rule, validations


class BatchSpec(Contract):
    """A batch holds `classes` x `perClass` items."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "self.classes * self.perClass >= 8 && self.classes * self.perClass <= 8192",
                "`classes` x `perClass` must be between 8 and 8192",
                ".classes",
            )
        )
    )

    classes: int = Field(default=32, ge=2, le=2048, description="Classes in a batch (P).")
    per_class: int = Field(default=4, ge=2, le=256, description="Items of each class (K).")
    chunk_size: int | None = Field(
        default=None,
        ge=1,
        le=8192,
        description="Items that pass through the encoder at a time. Less memory for one more pass,"
        " the same gradient. The whole batch when left out.",
    )
