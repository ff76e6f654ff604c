"""An encoder and its monitor, from the artifact's files to the sums of what was embedded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from lockstep_core.artifacts import ArtifactStore, ModelManifest, Role, describe_files
from lockstep_core.drift import features_file
from lockstep_core.drift.features import draw
from lockstep_core.protocol import headers
from lockstep_core.protocol.environment import MONITOR_VARIABLE
from lockstep_core.protocol.monitoring import (
    BASELINE_PATH,
    FEATURES_PATH,
    HANDOVER_NAME,
    MAX_HANDOVER_BYTES,
    NO_FEATURES,
    Handover,
    TapConfig,
    model_folder,
)
from lockstep_encoder.handover import hand_over
from tests.unit.encoder.support import (
    DIMENSION,
    INDEX_SERVER,
    PublishedModel,
    Spawn,
    artifacts,
    encoder_arguments,
    encoder_config,
    endpoint,
    index_config,
    letters,
)
from tests.unit.monitor.support import monitor_process, short_folder

pytestmark = pytest.mark.unit


@pytest.fixture
def shared() -> Iterator[Path]:
    with short_folder() as found:
        yield found


def watched(root: Path, model: PublishedModel, work: Path, dimension: int = DIMENSION) -> Any:
    """The model published anew with features: a copy, the manifest and the features."""
    store = ArtifactStore.open(artifacts(root))
    store.fetch(model.digest, work, ModelManifest)
    rng = np.random.default_rng(0)
    space = model.manifest.space_id
    features = draw(dimension, (0.5, 1.0), rng, size=32, space_id=space)
    (work / "drift").mkdir()
    features_file.write(features, work / FEATURES_PATH)
    (work / BASELINE_PATH).write_text('{"n": 1}')
    more = describe_files(work, dict.fromkeys((FEATURES_PATH, BASELINE_PATH), Role.REPORT))
    manifest = model.manifest.replace(
        files=tuple(sorted((*model.manifest.files, *more), key=lambda entry: entry.path))
    )
    return store.publish(work, manifest), manifest, features


def told(shared: Path) -> Handover:
    return Handover.model_validate_json((shared / HANDOVER_NAME).read_text())


def test_files_of_the_monitor_change_neither_digest_nor_space(
    store_root: Path, model: PublishedModel, tmp_path: Path
) -> None:
    digest, manifest, _ = watched(store_root, model, tmp_path / "model")
    assert digest != model.digest
    assert manifest.model_digest == model.manifest.model_digest
    assert manifest.space_id == model.manifest.space_id


def test_the_monitor_is_given_the_files_as_they_are(
    store_root: Path, model: PublishedModel, tmp_path: Path, shared: Path
) -> None:
    digest, manifest, features = watched(store_root, model, tmp_path / "model")
    config = TapConfig(directory=str(shared))
    assert hand_over(tmp_path / "model", manifest, digest, config) == features.digest
    assert told(shared).features_digest == features.digest and told(shared).unit_norm
    folder = shared / model_folder(features.digest)
    for path in (FEATURES_PATH, BASELINE_PATH):
        given = folder / Path(path).name
        assert given.read_bytes() == (tmp_path / "model" / path).read_bytes()
    assert hand_over(tmp_path / "model", manifest, digest, config) == features.digest
    assert not list(folder.glob(".*")), "nothing half written is left"


def test_an_artifact_of_before_is_told_to_the_monitor(
    model: PublishedModel, tmp_path: Path, shared: Path
) -> None:
    config = TapConfig(directory=str(shared))
    assert hand_over(tmp_path, model.manifest, model.digest, config) is None
    assert told(shared).problem == NO_FEATURES and told(shared).features_digest is None


def test_features_of_another_model_are_not_handed_over(
    store_root: Path, model: PublishedModel, tmp_path: Path, shared: Path
) -> None:
    digest, manifest, _ = watched(store_root, model, tmp_path / "model", dimension=5)
    config = TapConfig(directory=str(shared))
    assert hand_over(tmp_path / "model", manifest, digest, config) is None
    assert "and 5 numbers, the model" in (told(shared).problem or "")


def test_files_that_would_fill_the_folder_are_not_handed_over(
    store_root: Path, model: PublishedModel, tmp_path: Path, shared: Path
) -> None:
    digest, manifest, _ = watched(store_root, model, tmp_path / "model")
    files = [
        entry.replace(bytes=MAX_HANDOVER_BYTES) if entry.path == BASELINE_PATH else entry
        for entry in manifest.files
    ]
    config = TapConfig(directory=str(shared))
    larger = manifest.replace(files=tuple(files))
    assert hand_over(tmp_path / "model", larger, digest, config) is None
    assert "above 25165824" in (told(shared).problem or "")
    assert not (shared / "model").exists()


def test_a_folder_that_is_not_there_costs_the_watching_alone(
    store_root: Path, model: PublishedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    digest, manifest, _ = watched(store_root, model, tmp_path / "model")
    config = TapConfig(directory=str(tmp_path / "nowhere"))
    (tmp_path / "nowhere").write_text("a file")
    assert hand_over(tmp_path / "model", manifest, digest, config) is None
    assert "cannot be told what is served" in caplog.text


@pytest.fixture
def encoder(
    store_root: Path, model: PublishedModel, tmp_path: Path, shared: Path, spawn: Spawn
) -> Any:
    digest, _, _ = watched(store_root, model, tmp_path / "model")
    index = spawn([str(INDEX_SERVER)], index_config(model, tmp_path))
    config = encoder_config(store_root, model, endpoint(index.url, model))
    config["artifactDigest"] = digest
    tap = TapConfig(directory=str(shared), max_per_second=1000).to_wire()
    more = {MONITOR_VARIABLE: json.dumps(tap)}
    return spawn(encoder_arguments(), config, **more).until_ready()


def items(start: int, count: int) -> list[list[int]]:
    images, _ = letters()
    return images[start : start + count].reshape(count, -1).tolist()


@pytest.mark.programs
def test_what_was_searched_and_embedded_is_in_the_sketches(shared: Path, encoder: Any) -> None:
    with monitor_process(shared) as monitor:
        monitor.until(lambda report: report["features"] == 32)
        searched = {"input": items(0, 20), "k": 1}
        assert httpx.post(f"{encoder.url}/v1/search", json=searched).status_code == 200
        embedded = {"input": items(40, 30)}
        assert httpx.post(f"{encoder.url}/v1/embeddings", json=embedded).status_code == 200
        replayed = {headers.REPLAY: "1"}
        again = {"input": items(80, 20), "k": 1}
        assert httpx.post(f"{encoder.url}/v1/search", json=again, headers=replayed).is_success

        def counts(report: dict[str, Any]) -> dict[str, int]:
            found: dict[str, int] = {}
            for window in report["windows"]:
                seen = window["n"] + window["duplicates"]
                found[window["role"]] = found.get(window["role"], 0) + seen
            return found

        report = monitor.until(lambda report: sum(counts(report).values()) >= 50)
        assert counts(report) == {"Query": 20, "Embedding": 30}
        assert report["problem"] is None and report["heldOutBaseline"] is True
        assert httpx.get(f"{monitor.url}/v1/baseline").json() == {"n": 1}


@pytest.mark.programs
def test_an_encoder_serves_and_ends_without_a_monitor(encoder: Any) -> None:
    for start in range(3):
        body = {"input": items(start, 5)}
        assert httpx.post(f"{encoder.url}/v1/embeddings", json=body).status_code == 200
    encoder.process.terminate()
    assert encoder.process.wait(20) == 0


@pytest.mark.programs
@pytest.mark.parametrize("text", ["{", '{"maxPerSecond": 0}', '{"directory": "/nowhere"}'])
def test_nonsense_about_the_monitor_costs_the_watching_alone(
    text: str, store_root: Path, model: PublishedModel, tmp_path: Path, spawn: Spawn
) -> None:
    config = encoder_config(store_root, model)
    spawn(encoder_arguments(), config, **{MONITOR_VARIABLE: text}).until_ready()
