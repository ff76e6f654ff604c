"""A training that drift asked for needs another data set than the one before: else it ends at once.

The same data with the same settings give the same model, whatever the live traffic has become.
"""

from __future__ import annotations

from lockstep_core.jobs import JobFailure
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_trainer.validation import TrainingData

NOTHING_NEW = "NothingNew"


def check_news(config: TrainConfig, data: TrainingData) -> None:
    """Raises JobFailure (exit 3, not tried again) for the data set that is known already."""
    if config.known_data is None or data.dataset.digest != config.known_data:
        return
    raise JobFailure(
        ExitCode.BAD_DATASET,
        NOTHING_NEW,
        f"training.data.uri {config.training.data.uri} is {config.known_data}, which the model that"
        " serves was trained on: add examples of what is embedded now, labelled, and ask again",
    )
