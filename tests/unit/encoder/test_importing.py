"""`lockstep-encoder import` and `inspect` over real artifacts in real stores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep_core.artifacts import (
    ArtifactStore,
    ModelManifest,
    describe_files,
    sha256_bytes,
)
from lockstep_core.encoding import GOLDEN_FILE, MODEL_FILE
from lockstep_core.protocol.config import ImportConfig
from lockstep_core.protocol.environment import TERMINATION_PATH_VARIABLE
from lockstep_core.protocol.exitcodes import RETRYABLE, UNCOUNTED, ExitCode
from lockstep_core.protocol.result import Program, Result
from lockstep_core.protocol.storage import ArtifactSource
from lockstep_encoder.__main__ import main
from tests.unit.encoder.support import DIMENSION, PublishedModel, artifacts, publish_model

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The progress port is one for the machine; the Jobs of these tests need none."""
    monkeypatch.setattr("lockstep_core.jobs.running.PROGRESS_PORT", 0)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """The volume of a release; the other store lies on it, as a copy from elsewhere would."""
    (tmp_path / "volume" / "imports").mkdir(parents=True)
    return tmp_path / "volume"


@pytest.fixture
def elsewhere(volume: Path, tmp_path: Path) -> PublishedModel:
    (volume / "imports" / "store").mkdir()
    return publish_model(volume / "imports" / "store", tmp_path / "model", seed=4)


def config_of(volume: Path, model: PublishedModel, **source: str) -> ImportConfig:
    found = {"uri": f"file://{volume}/imports/store", "digest": model.digest, **source}
    return ImportConfig(
        release="letters-r1",
        release_uid="uid-1",
        artifacts=artifacts(volume),
        artifact=ArtifactSource.model_validate(found),
    )


def run(config: ImportConfig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    (folder / "config.json").write_text(json.dumps(config.to_wire()))
    monkeypatch.setenv(TERMINATION_PATH_VARIABLE, str(folder / "termination"))
    code = main(["import", "--config", str(folder / "config.json"), "--threads", "1"])
    result = Result.from_json((folder / "termination").read_text())
    assert result.program is Program.IMPORT and result.exit_code == code
    return result


def stored(volume: Path) -> list[str]:
    """Files of the release's own store, without those that lie in `imports`."""
    found = (p.relative_to(volume) for p in volume.rglob("*") if p.is_file())
    return sorted(str(p) for p in found if p.parts[0] not in ("imports", "results"))


def blob(volume: Path, model: PublishedModel, path: str) -> Path:
    (entry,) = [entry for entry in model.manifest.files if entry.path == path]
    return volume / "imports/store/blobs/sha256" / entry.sha256.removeprefix("sha256:")


def test_an_artifact_keeps_its_digest_and_its_space(
    volume: Path, elsewhere: PublishedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(config_of(volume, elsewhere), tmp_path, monkeypatch)
    facts = result.training
    assert result.exit_code is ExitCode.OK and facts is not None
    assert (facts.artifact_digest, facts.space_id) == (
        elsewhere.digest,
        elsewhere.manifest.space_id,
    )
    assert (facts.dimension, facts.steps, facts.train_items) == (DIMENSION, 0, 0)
    own = ArtifactStore.open(artifacts(volume))
    assert own.verify(elsewhere.digest, ModelManifest) == elsewhere.manifest
    # A pod that replaces a lost one, and a retry, give the same facts without another copy.
    again = run(
        config_of(volume, elsewhere).model_copy(update={"attempt": 2}), tmp_path, monkeypatch
    )
    assert again.reason == "AlreadyDone" and again.training == facts


def test_the_store_of_the_release_itself_may_be_the_source(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = publish_model(volume, tmp_path / "own", seed=5)
    before = stored(volume)
    result = run(config_of(volume, model, uri=f"file://{volume}"), tmp_path, monkeypatch)
    assert result.exit_code is ExitCode.OK and stored(volume) == before


def test_a_manifest_that_is_not_canonical_keeps_its_name(
    volume: Path, elsewhere: PublishedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program wrote it, with spaces: the digest is of its bytes."""
    data = json.dumps(elsewhere.manifest.to_wire(), indent=1).encode()
    digest = sha256_bytes(data)
    name = digest.removeprefix("sha256:")
    (volume / "imports/store/manifests/sha256" / name).write_bytes(data)
    result = run(config_of(volume, elsewhere, digest=digest), tmp_path, monkeypatch)
    assert result.training is not None and result.training.artifact_digest == digest
    assert (volume / "manifests/sha256" / name).read_bytes() == data


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)


@pytest.mark.parametrize("path", [MODEL_FILE, GOLDEN_FILE])
def test_a_flipped_bit_is_refused_before_anything_is_parsed(
    path: str,
    volume: Path,
    elsewhere: PublishedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flip(blob(volume, elsewhere, path))
    monkeypatch.setattr("onnxruntime.InferenceSession", None)
    result = run(config_of(volume, elsewhere), tmp_path, monkeypatch)
    assert result.exit_code is ExitCode.DIGEST_MISMATCH
    assert path in result.message and "corrupt" in result.message
    assert stored(volume) == []


def test_a_missing_file_is_named(
    volume: Path, elsewhere: PublishedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob(volume, elsewhere, MODEL_FILE).unlink()
    result = run(config_of(volume, elsewhere), tmp_path, monkeypatch)
    assert result.exit_code is ExitCode.DIGEST_MISMATCH
    assert MODEL_FILE in result.message and "missing" in result.message
    assert stored(volume) == []


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"digest": "sha256:" + "0" * 64}, "manifests/ and blobs/"),
        ({"uri": "imports"}, "manifests/ and blobs/"),
        ({"uri": "imports/none"}, "is not a folder"),
        ({"uri": "imports/../../elsewhere"}, "lies outside of the artifact store"),
        ({"uri": "s3://bucket/store"}, "is not in the bucket of the artifact store"),
    ],
)
def test_a_wrong_digest_and_a_wrong_place_name_the_field(
    source: dict[str, str],
    told: str,
    volume: Path,
    elsewhere: PublishedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "uri" in source and "//" not in source["uri"]:
        source = {"uri": f"file://{volume}/{source['uri']}"}
    result = run(config_of(volume, elsewhere, **source), tmp_path, monkeypatch)
    assert result.exit_code is ExitCode.DIGEST_MISMATCH
    assert result.exit_code not in RETRYABLE | UNCOUNTED, "no other attempt would end better"
    assert told in result.message and "`spec.artifact`" in result.message
    assert stored(volume) == []


def test_a_link_does_not_lead_out_of_the_volume(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    model = publish_model(tmp_path / "other", tmp_path / "linked", seed=6)
    (volume / "imports" / "store").symlink_to(tmp_path / "other")
    result = run(config_of(volume, model), tmp_path, monkeypatch)
    assert result.exit_code is ExitCode.DIGEST_MISMATCH and "lies outside" in result.message


def resealed(volume: Path, model: PublishedModel, name: str, data: bytes) -> str:
    """The artifact with another file in it, and digests that are right for it."""
    store, work = volume / "imports/store", volume / "imports/work"
    ArtifactStore.open(artifacts(store)).fetch(model.digest, work, ModelManifest)
    (work / name).write_bytes(data)
    old = model.manifest
    files = describe_files(work, {entry.path: entry.role for entry in old.files})
    manifest = ModelManifest.describe(
        files,
        preprocessing_digest=old.preprocessing_digest,
        pooling=old.pooling,
        normalisation=old.normalisation,
        dimension=old.dimension,
        input=old.input,
        provenance={},
    )
    return ArtifactStore.open(artifacts(store)).publish(work, manifest)


def test_a_model_that_does_not_give_its_own_vectors_is_refused(
    volume: Path, elsewhere: PublishedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    wrong = elsewhere.golden, rng.normal(size=(6, DIMENSION)).astype(np.float32)
    np.savez(tmp_path / "wrong.npz", inputs=wrong[0], embeddings=wrong[1])
    digest = resealed(volume, elsewhere, GOLDEN_FILE, (tmp_path / "wrong.npz").read_bytes())
    result = run(config_of(volume, elsewhere, digest=digest), tmp_path, monkeypatch)
    assert result.exit_code is ExitCode.SELF_CHECK_FAILED
    assert "golden vectors differ" in result.message and stored(volume) == []


def test_a_file_that_is_no_model_is_refused(
    volume: Path, elsewhere: PublishedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = resealed(volume, elsewhere, MODEL_FILE, b"not a model")
    result = run(config_of(volume, elsewhere, digest=digest), tmp_path, monkeypatch)
    assert result.exit_code is ExitCode.SELF_CHECK_FAILED
    assert f"{MODEL_FILE} cannot be loaded" in result.message and stored(volume) == []


def test_a_volume_that_is_not_mounted_is_tried_again(
    volume: Path, elsewhere: PublishedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(volume, elsewhere)
    volume.rename(tmp_path / "gone")
    result = run(config, tmp_path, monkeypatch)
    assert result.exit_code is ExitCode.STORE_UNAVAILABLE and result.exit_code in RETRYABLE


def shown(text: str) -> list[Any]:
    decoder, found, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found


def test_inspect_prints_what_an_import_asks_for(
    volume: Path, elsewhere: PublishedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = volume / "imports/store"
    second = publish_model(store, tmp_path / "second", seed=7)
    uri = f"file://{store}"
    assert main(["inspect", uri]) == ExitCode.OK
    found = {item["digest"]: item for item in shown(capsys.readouterr().out)}
    assert set(found) == {elsewhere.digest, second.digest}
    item = found[elsewhere.digest]
    assert (item["spaceID"], item["dimension"]) == (elsewhere.manifest.space_id, DIMENSION)
    assert item["manifest"] == elsewhere.manifest.to_wire()
    flip(blob(volume, elsewhere, MODEL_FILE))
    assert main(["inspect", uri]) == ExitCode.DIGEST_MISMATCH
    told = capsys.readouterr()
    assert [item["digest"] for item in shown(told.out)] == [second.digest]
    assert MODEL_FILE in told.err
    assert main(["inspect", uri, second.digest]) == ExitCode.OK
    assert main(["inspect", "letters"]) == ExitCode.BAD_CONFIG
    assert main(["inspect", f"file://{volume}"]) == ExitCode.DIGEST_MISMATCH
    assert "is it the root of a store?" in capsys.readouterr().err
