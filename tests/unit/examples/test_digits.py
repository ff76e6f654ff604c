"""The example that must be refused: five digits teach nothing about the other five."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from examples.digits.__main__ import make, training
from examples.workspace import write_config
from lockstep_core.artifacts import ArtifactStore
from lockstep_core.jobs import Reporter, Stopping
from lockstep_core.protocol.config import EvaluateConfig, TrainConfig
from lockstep_core.quality.verdicts import Verdict
from lockstep_encoder.evaluate import measure
from lockstep_operator.api.gates import Gate
from lockstep_operator.decide import gates
from lockstep_trainer.commands.run import train_release
from lockstep_trainer.validation.examination import examine

pytestmark = pytest.mark.unit

GATE = Gate.model_validate(
    {"name": "relevance", "type": "Recall", "k": 1, "minGainOverBaseline": "0.0", "minSamples": 300}
)
NOW = "2026-01-31T12:00:00Z"


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """Of the example, narrower and with fewer steps: they suffice to be worse than pixels."""
    make(tmp_path)
    asked = training(steps=30)
    return write_config(
        tmp_path / "digits.json", {**asked, "encoder": {**asked["encoder"], "width": 8}}
    )


def test_validation_warns_of_few_classes(config: TrainConfig, tmp_path: Path) -> None:
    found = examine(
        config.training, ArtifactStore.open(config.artifacts), tmp_path, config.artifacts
    )
    assert any("only 5 classes to train on" in str(warning) for warning in found.warnings)


def test_the_gate_refuses_what_is_worse_than_raw_pixels(config: TrainConfig) -> None:
    store = ArtifactStore.open(config.artifacts)
    reporter = Reporter("Train", config.release, stream=io.StringIO())
    trained = train_release(config, store, reporter, Stopping())
    assert trained.metrics["recallAt1"] < trained.metrics["rawRecallAt1"]

    asked = EvaluateConfig(
        release=config.release,
        release_uid=config.release_uid,
        artifacts=config.artifacts,
        artifact_digest=trained.artifact_digest,
        data=config.training.data,
    )
    (verdict,) = gates.judge_offline(
        [GATE], measure(asked, store, reporter, Stopping(), threads=1), [], NOW
    )
    assert verdict.verdict == Verdict.FAIL
    assert "gain over raw inputs -0." in verdict.line
