"""Where else a training is written down."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from lockstep_core.protocol.base import Contract


class MLflowSpec(Contract):
    """A run of an MLflow tracking server, or of a folder."""

    uri: Annotated[
        str, StringConstraints(pattern=r"^(file:///|https?://)[^\s]+$", max_length=512)
    ] = Field(
        description="Of the server (`https://...`), or of a folder that is mounted"
        " (`file:///artifacts/mlruns`). Credentials are MLflow's own variables of the environment."
    )
    experiment: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        default="lockstep", description="The experiment; made where it does not exist."
    )


class TrackingSpec(Contract):
    """Trackers beside the reports of the artifact. None can fail or stop a training."""

    mlflow: MLflowSpec | None = Field(
        default=None,
        description="Curves, settings, final numbers and reports, one run for each release. Needs"
        " an image that was built with the extra `mlflow`.",
    )
