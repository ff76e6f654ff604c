"""A training that drift asked for ends before its first step where the data set is no news."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep_core.artifacts import ArtifactStore
from lockstep_core.jobs import JobFailure, Reporter, Stopping
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.exitcodes import RETRYABLE, ExitCode
from lockstep_trainer.commands.news import NOTHING_NEW, check_news
from lockstep_trainer.commands.run import train_release
from lockstep_trainer.validation import TrainingData, prepare

pytestmark = [pytest.mark.unit, pytest.mark.programs]


def prepared(wire: dict[str, Any], folder: Path) -> tuple[TrainConfig, ArtifactStore, TrainingData]:
    config = TrainConfig.model_validate(wire)
    store = ArtifactStore.open(config.artifacts)
    return config, store, prepare(config.training, store, folder, config.artifacts)


def test_the_same_data_set_ends_as_nothing_new(wire: dict[str, Any], tmp_path: Path) -> None:
    _, _, data = prepared(wire, tmp_path)
    config = TrainConfig.model_validate(wire | {"knownData": data.dataset.digest})
    reporter = Reporter("Train", "glyphs-r1")
    with pytest.raises(JobFailure, match="add examples of what is embedded now") as told:
        train_release(config, ArtifactStore.open(config.artifacts), reporter, Stopping())
    assert (told.value.reason, told.value.code) == (NOTHING_NEW, ExitCode.BAD_DATASET)
    assert told.value.code not in RETRYABLE
    assert "training.data.uri file://" in told.value.message


def test_another_data_set_or_none_that_is_known_goes_on(
    wire: dict[str, Any], store_root: Path, tmp_path: Path, glyphs: tuple[np.ndarray, np.ndarray]
) -> None:
    config, _, before = prepared(wire, tmp_path)
    check_news(config, before)
    config = TrainConfig.model_validate(wire | {"knownData": before.dataset.digest})
    inputs, labels = glyphs
    np.savez(store_root / "glyphs.npz", inputs=inputs[:-1], labels=labels[:-1])
    _, _, after = prepared(wire, tmp_path)
    check_news(config, after)
