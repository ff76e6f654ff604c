"""`lockstep-encoder check` over real artifacts in real stores: whole, lost, or not known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lockstep_core.artifacts import (
    ArtifactDamaged,
    ArtifactStore,
    BuildManifest,
    Role,
    describe_files,
)
from lockstep_core.jobs.failure import damage_of
from lockstep_core.jobs.outcome import success
from lockstep_core.protocol.config import CheckConfig
from lockstep_core.protocol.environment import TERMINATION_PATH_VARIABLE
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.indexing import IndexSpec
from lockstep_core.protocol.result import (
    MAX_DAMAGED,
    CheckFacts,
    Program,
    Result,
    SampleStatistics,
)
from lockstep_encoder.__main__ import main
from lockstep_encoder.checking import MESSAGE_BYTES
from tests.unit.encoder.support import PublishedModel, artifacts, publish_model

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The progress port is one for the machine; the Jobs of these tests need none."""
    monkeypatch.setattr("lockstep_core.jobs.running.PROGRESS_PORT", 0)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume"


@pytest.fixture
def model(volume: Path, tmp_path: Path) -> PublishedModel:
    return publish_model(volume, tmp_path / "model", seed=4)


@pytest.fixture
def build(volume: Path, tmp_path: Path, model: PublishedModel) -> str:
    return published_build(volume, tmp_path / "build", model)


def published_build(volume: Path, folder: Path, model: PublishedModel, text: str = "rows") -> str:
    folder.mkdir()
    (folder / "index.faiss").write_text(text)
    manifest = BuildManifest(
        files=describe_files(folder, {"index.faiss": Role.SERVING}),
        space_id=model.manifest.space_id,
        artifact_digest=model.digest,
        index="letters",
        recipe=IndexSpec(),
        source_digest=model.digest,
        rows=2,
        dimension=12,
        recall_k=1,
        recall=SampleStatistics(n=2, mean=1.0, standard_deviation=0.0),
        seed=0,
    )
    return ArtifactStore.open(artifacts(volume)).publish(folder, manifest)


def run(
    volume: Path, model: PublishedModel, folder: Path, patch: pytest.MonkeyPatch, *builds: str
) -> Result:
    config = CheckConfig(
        release="letters-r1",
        release_uid="uid-1",
        artifacts=artifacts(volume),
        artifact_digest=model.digest,
        builds=builds,
    )
    (folder / "config.json").write_text(json.dumps(config.to_wire()))
    patch.setenv(TERMINATION_PATH_VARIABLE, str(folder / "termination"))
    code = main(["check", "--config", str(folder / "config.json")])
    result = Result.from_json((folder / "termination").read_text())
    assert result.program is Program.CHECK and result.exit_code == code
    return result


def everything(volume: Path) -> dict[str, bytes]:
    return {str(p.relative_to(volume)): p.read_bytes() for p in volume.rglob("*") if p.is_file()}


def blob_of(volume: Path, model: PublishedModel, path: str) -> Path:
    (entry,) = [entry for entry in model.manifest.files if entry.path == path]
    return volume / "blobs/sha256" / entry.sha256.removeprefix("sha256:")


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_what_is_whole_is_told_and_nothing_is_written(
    volume: Path, model: PublishedModel, build: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(volume)
    for _ in range(2):  # another check reads again, and does not repeat the one before
        result = run(volume, model, tmp_path, monkeypatch, build)
        facts = result.check
        assert result.exit_code is ExitCode.OK and result.reason == "Succeeded"
        assert facts is not None and (facts.artifacts, facts.damaged, facts.more) == (2, (), 0)
        assert facts.bytes == sum(entry.bytes for entry in model.manifest.files) + len("rows")
    assert everything(volume) == before


@pytest.mark.parametrize(
    ("harm", "said"), [(flip, "corrupt"), (Path.unlink, "missing"), (Path.touch, None)]
)
def test_a_file_that_is_not_what_was_published_is_named(
    harm: Callable[[Path], None],
    said: str | None,
    volume: Path,
    model: PublishedModel,
    build: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harm(blob_of(volume, model, "model.onnx"))
    facts = run(volume, model, tmp_path, monkeypatch, build).check
    assert facts is not None
    named = [(damage.artifact, damage.file) for damage in facts.damaged]
    assert named == ([] if said is None else [(model.digest, "model.onnx")])
    assert all(said in damage.message for damage in facts.damaged if said)
    # The build after it was read all the same.
    assert facts.artifacts == 2 and facts.bytes >= len("rows")


@pytest.mark.parametrize(("harm", "said"), [(flip, "corrupt"), (Path.unlink, "not in the store")])
def test_a_manifest_that_is_lost_is_named_by_its_digest(
    harm: Callable[[Path], None],
    said: str,
    volume: Path,
    model: PublishedModel,
    build: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harm(volume / "manifests/sha256" / build.removeprefix("sha256:"))
    facts = run(volume, model, tmp_path, monkeypatch, build).check
    assert facts is not None
    (damage,) = facts.damaged
    assert (damage.artifact, damage.file) == (build, None) and said in damage.message


def test_a_store_that_is_away_or_not_mounted_is_no_verdict(
    volume: Path, model: PublishedModel, build: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = tmp_path / "aside"
    shutil.move(volume, aside)
    away = run(volume, model, tmp_path, monkeypatch, build)
    volume.mkdir()
    empty = run(volume, model, tmp_path, monkeypatch, build)
    for result in (away, empty):
        assert result.exit_code is ExitCode.STORE_UNAVAILABLE and result.check is None
    assert "holds no artifact at all" in empty.message
    # One that holds others is the store, and has lost these.
    publish_model(volume, tmp_path / "other", seed=5)
    facts = run(volume, model, tmp_path, monkeypatch, build).check
    assert facts is not None and len(facts.damaged) == 2


def test_the_verdict_on_many_lost_builds_fits_into_a_termination_message(
    volume: Path, model: PublishedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = [published_build(volume, tmp_path / f"b{n}", model, f"rows {n}") for n in range(5)]
    for digest in builds:
        (volume / "manifests/sha256" / digest.removeprefix("sha256:")).unlink()
    facts = run(volume, model, tmp_path, monkeypatch, *builds).check
    assert facts is not None and (len(facts.damaged), facts.more) == (MAX_DAMAGED, 2)
    long = damage_of(ArtifactDamaged("ü" * 900, model.digest, "ü" * 900), MESSAGE_BYTES)
    many = CheckFacts(artifacts=33, bytes=10**15, damaged=(long,) * MAX_DAMAGED, seconds=1e5)
    assert success(Program.CHECK, many)
