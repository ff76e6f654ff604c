"""Where else a training is written down."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from lockstep_core.protocol.base import Contract, rule, validations

# Of a server, or of a folder that is mounted.
TrackingURI = Annotated[
    str, StringConstraints(pattern=r"^(file:///|https?://)[^\s]+$", max_length=512)
]


class MLflowSpec(Contract):
    """A run of an MLflow tracking server, or of a folder."""

    uri: TrackingURI = Field(
        description="Of the server (`https://...`), or of a folder that is mounted"
        " (`file:///artifacts/mlruns`). Credentials are MLflow's own variables of the environment,"
        " which keys of the Secret `spec.artifacts.secretRef` become."
    )
    experiment: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        default="lockstep", description="The experiment; made where it does not exist."
    )


# As Weights & Biases allows them in the address of a page.
WandbName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$", max_length=128)]


class WandbSpec(Contract):
    """A run of Weights & Biases, or of a folder whose runs are sent later."""

    project: WandbName = Field(
        default="lockstep", description="The project; made where it does not exist."
    )
    entity: WandbName | None = Field(
        default=None, description="The user or team; unset: that of the API key."
    )
    uri: TrackingURI | None = Field(
        default=None,
        description="Of the server, or of a folder that is mounted (`file:///artifacts/wandb`),"
        " whose runs `wandb sync` sends. Unset: as `WANDB_BASE_URL` says, else the vendor's. The"
        " key is `WANDB_API_KEY` of the environment, a key of the Secret"
        " `spec.artifacts.secretRef`.",
    )


class TrackingSpec(Contract):
    """A tracker beside the reports of the artifact. It cannot fail or stop a training."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "!(has(self.mlflow) && has(self.wandb))",
                "`mlflow` and `wandb` must not both be set: one tracker keeps one training",
            )
        )
    )

    mlflow: MLflowSpec | None = Field(
        default=None,
        description="Curves, settings, final numbers and reports, one run for each release. Needs"
        " an image that was built with the extra `mlflow`.",
    )
    wandb: WandbSpec | None = Field(
        default=None,
        description="The same as a run of Weights & Biases. Needs an image that was built with the"
        " extra `wandb`.",
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.mlflow is not None and self.wandb is not None:
            raise ValueError("`mlflow` and `wandb` must not both be set")
        return self
