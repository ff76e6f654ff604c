"""What Jobs and servers are told: configs that the protocol reads."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_core.protocol.config import (
    BuildConfig,
    EvaluateConfig,
    ImportConfig,
    IndexServerConfig,
    TrainConfig,
)
from lockstep_operator.manifests import JobInputs
from lockstep_operator.manifests.job_configs import train_config
from tests.unit.manifests.support import samples
from tests.unit.manifests.support.built import (
    config_of,
    jobs,
    serving,
)

pytestmark = pytest.mark.unit


def test_configs_are_the_protocols() -> None:
    built = {**jobs(), **serving()}
    train = TrainConfig.model_validate_json(config_of(built["train"]))
    imports = ImportConfig.model_validate_json(config_of(built["import"]))
    assert imports.artifact.to_wire() == samples.ARTIFACT
    evaluate = EvaluateConfig.model_validate_json(config_of(built["evaluate"]))
    build = BuildConfig.model_validate_json(config_of(built["build"]))
    server = IndexServerConfig.model_validate_json(config_of(built["index"]))
    assert (train.release, train.release_uid) == ("glyphs-r2", "r2-uid")
    assert evaluate.artifact_digest == samples.digest("a")
    assert evaluate.stable_artifact_digest == samples.digest("f")
    assert train.stable_artifact_digest == samples.digest("f")
    assert (build.index, build.space_id) == ("catalogue", samples.SPACE)
    assert server.build_digest == samples.digest("d")


def test_a_training_for_drift_is_told_which_data_set_is_no_news() -> None:
    known = samples.digest("e")
    drift = {"policy": "watch", "request": "retrain-r1-7", "knownData": known}
    for spec, told in (({"drift": drift}, known), ({}, None)):
        inputs = JobInputs(samples.model(), samples.release(2, **spec), 1)
        assert train_config(inputs).known_data == told


def test_an_import_is_measured_on_its_own_set_and_others_cannot_be() -> None:
    data = {"uri": "file:///artifacts/held-out.npz", "format": "NPZ"}
    frozen: dict[str, Any] = {"training": None, "artifact": samples.ARTIFACT}
    model = samples.model(training=None, artifact={**samples.ARTIFACT, "activeDeadlineSeconds": 9})
    release = samples.release(2, **frozen, evaluation={"data": data})
    job = samples.job("evaluate", model, release)
    config = EvaluateConfig.model_validate_json(config_of(job))
    assert config.data.uri == data["uri"] and job["spec"]["activeDeadlineSeconds"] == 9
    with pytest.raises(ValueError, match=r"glyphs-r2 was imported without `spec\.evaluation`"):
        samples.job("evaluate", model, samples.release(2, **frozen))
    with pytest.raises(ValueError, match="glyphs-r2 is imported: there is nothing to train"):
        samples.job("train", model, release)
    with pytest.raises(ValueError, match="glyphs-r2 is trained: there is nothing to import"):
        samples.job("import", model, samples.release(2))


def test_recall_is_measured_at_each_gates_k_once() -> None:
    gates = [
        {"name": f"g{i}", "type": "Recall", "k": k, "min": "0.9", "minSamples": 1}
        for i, k in enumerate((10, 1, 10))
    ]
    config = EvaluateConfig.model_validate_json(
        config_of(jobs(rollout={"gates": gates})["evaluate"])
    )
    assert config.recall_at == (1, 10)
