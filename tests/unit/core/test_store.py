"""Every byte is checked before it is parsed, and publishing is safe to repeat."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import obstore
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lockstep_core.artifacts.backend as backend_module
from lockstep_core.artifacts import (
    ArtifactDamaged,
    ArtifactError,
    ArtifactStore,
    BuildManifest,
    ModelManifest,
    Role,
    StoreError,
    describe_files,
    sha256_bytes,
)
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.indexing import IndexSpec
from lockstep_core.protocol.result import Program, Result, SampleStatistics
from tests.unit.core.support import blob, tree, truncated

pytestmark = pytest.mark.unit


# Those of the fixture `model_directory`.
MODEL_FILES = ("model.onnx", "preprocess.json", "golden.npz", "eval/report.json")


def manifest_file(volume: Path, digest: str) -> Path:
    return volume / "manifests/sha256" / digest.removeprefix("sha256:")


def plant(volume: Path, data: bytes) -> str:
    """A manifest of these bytes, under their digest."""
    digest = sha256_bytes(data)
    file = manifest_file(volume, digest)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return digest


def test_what_was_published_is_fetched(
    store: ArtifactStore, model_directory: Path, model: ModelManifest, tmp_path: Path
) -> None:
    digest = store.publish(model_directory, model)
    assert digest == sha256_bytes(model.to_bytes())
    assert store.fetch(digest, tmp_path / "deep/out", ModelManifest) == model
    assert tree(tmp_path / "deep/out") == tree(model_directory)
    assert store.verify(digest, ModelManifest) == model
    # A container that starts again fetches over what it fetched before.
    assert store.fetch(digest, tmp_path / "deep/out", ModelManifest) == model
    assert tree(tmp_path / "deep/out") == tree(model_directory)


def test_publishing_twice_writes_nothing(
    store: ArtifactStore, volume: Path, model_directory: Path, model: ModelManifest
) -> None:
    digest = store.publish(model_directory, model)
    before = {file: file.stat().st_mtime_ns for file in volume.rglob("*") if file.is_file()}
    assert store.publish(model_directory, model) == digest
    assert before == {file: file.stat().st_mtime_ns for file in volume.rglob("*") if file.is_file()}


@pytest.mark.parametrize("path", MODEL_FILES)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_one_flipped_bit_of_any_file_is_refused(
    store: ArtifactStore,
    volume: Path,
    model_directory: Path,
    model: ModelManifest,
    tmp_path: Path,
    path: str,
    position: int,
    bit: int,
) -> None:
    digest = store.publish(model_directory, model)
    file = blob(volume, model, path)
    data = bytearray(file.read_bytes())
    data[position % len(data)] ^= 1 << bit
    file.write_bytes(data)
    for attempt in (
        lambda: store.fetch(digest, tmp_path / "out", ModelManifest),
        lambda: store.verify(digest, ModelManifest),
    ):
        with pytest.raises(ArtifactError) as caught:
            attempt()
        # The file, what was promised and what was found.
        assert path in str(caught.value)
        assert f"sha256:{file.name}" in str(caught.value)
        assert sha256_bytes(bytes(data)) in str(caught.value)
    assert not (tmp_path / "out").exists()


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_one_flipped_bit_of_a_manifest_is_refused_before_it_is_parsed(
    store: ArtifactStore,
    volume: Path,
    model_directory: Path,
    model: ModelManifest,
    position: int,
    bit: int,
) -> None:
    digest = store.publish(model_directory, model)
    data = bytearray(model.to_bytes())
    data[position % len(data)] ^= 1 << bit
    manifest_file(volume, digest).write_bytes(data)

    class Unparsed(ModelManifest):
        @classmethod
        def model_validate_json(cls, *args: object, **kwargs: object) -> Unparsed:  # type: ignore[override]
            raise AssertionError("parsed before its digest was checked")

    with pytest.raises(ArtifactError, match="manifest of artifact") as caught:
        store.verify(digest, Unparsed)
    assert digest in str(caught.value)
    assert sha256_bytes(bytes(data)) in str(caught.value)
    manifest_file(volume, digest).write_bytes(model.to_bytes())


def extended(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")


def renamed(file: Path) -> None:
    file.rename(file.with_name("f" * 64))


@pytest.mark.parametrize("path", MODEL_FILES)
@pytest.mark.parametrize(
    ("damage", "said"),
    [(truncated, "corrupt"), (extended, "corrupt"), (Path.unlink, "missing"), (renamed, "missing")],
)
def test_damaged_files_are_refused_and_nothing_is_left(
    store: ArtifactStore,
    volume: Path,
    model_directory: Path,
    model: ModelManifest,
    tmp_path: Path,
    path: str,
    damage: Callable[[Path], None],
    said: str,
) -> None:
    digest = store.publish(model_directory, model)
    damage(blob(volume, model, path))
    into = tmp_path / "out"
    into.mkdir()
    (into / "mine").write_bytes(b"kept")
    with pytest.raises(ArtifactError, match=rf"{path} .*{said}"):
        store.fetch(digest, into, ModelManifest)
    assert tree(into) == {"mine": b"kept"}
    assert [entry.name for entry in into.iterdir()] == ["mine"]


@pytest.mark.parametrize("path", MODEL_FILES)
def test_publishing_again_heals_a_corrupt_file(
    store: ArtifactStore,
    volume: Path,
    model_directory: Path,
    model: ModelManifest,
    path: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    digest = store.publish(model_directory, model)
    truncated(blob(volume, model, path))
    assert store.publish(model_directory, model) == digest
    assert store.verify(digest, ModelManifest) == model
    assert "replacing corrupt" in caplog.text


def test_publishing_again_heals_a_corrupt_manifest(
    store: ArtifactStore, volume: Path, model_directory: Path, model: ModelManifest
) -> None:
    digest = store.publish(model_directory, model)
    truncated(manifest_file(volume, digest))
    assert store.publish(model_directory, model) == digest
    assert store.verify(digest, ModelManifest) == model


def test_a_file_that_changed_since_it_was_described_is_not_published(
    store: ArtifactStore, volume: Path, model_directory: Path, model: ModelManifest
) -> None:
    (model_directory / "model.onnx").write_bytes(b"another model")
    with pytest.raises(ArtifactError, match=r"model\.onnx .*corrupt"):
        store.publish(model_directory, model)
    assert not list(volume.iterdir())


def test_a_write_that_fails_leaves_no_manifest(
    store: ArtifactStore,
    volume: Path,
    model_directory: Path,
    model: ModelManifest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, calls = obstore.put, []

    def torn(target: object, key: str, *args: object, **kwargs: object) -> object:
        calls.append(key)
        if len(calls) == len(MODEL_FILES):
            raise OSError("No space left on device")
        return real(target, key, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(backend_module.obstore, "put", torn)
    with pytest.raises(StoreError, match="No space left"):
        store.publish(model_directory, model)
    assert not (volume / "manifests").exists()
    monkeypatch.undo()
    digest = store.publish(model_directory, model)
    assert store.verify(digest, ModelManifest) == model


def test_two_publishers_at_once_agree(
    store: ArtifactStore, model_directory: Path, model: ModelManifest
) -> None:
    barrier, digests, errors = threading.Barrier(4), [], []

    def publish() -> None:
        barrier.wait()
        try:
            digests.append(store.publish(model_directory, model))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(digests) == 4
    assert store.verify(digests[0], ModelManifest) == model
    assert len(set(digests)) == 1


def build_of(model_directory: Path, digest: str, space: str) -> BuildManifest:
    return BuildManifest(
        files=describe_files(model_directory, {"model.onnx": Role.SERVING}),
        space_id=space,
        artifact_digest=digest,
        source_digest=digest,
        rows=3,
        dimension=8,
        index="glyphs",
        recipe=IndexSpec(),
        recall_k=10,
        recall=SampleStatistics(n=3, mean=1.0, standard_deviation=0.0),
        seed=0,
    )


def test_an_artifact_of_another_kind_is_refused(
    store: ArtifactStore, model_directory: Path, model: ModelManifest, tmp_path: Path
) -> None:
    digest = store.publish(model_directory, model)
    with pytest.raises(ArtifactError, match=r"not a usable lockstep\.dev/build/v1: schema"):
        store.fetch(digest, tmp_path / "out", BuildManifest)
    build = build_of(model_directory, digest, model.space_id)
    built = store.publish(model_directory, build)
    assert store.verify(built, BuildManifest) == build
    with pytest.raises(ArtifactError, match=r"not a usable lockstep\.dev/model/v1: schema"):
        store.verify(built, ModelManifest)


@pytest.mark.parametrize("path", ["../evil", "/tmp/evil", "a/../../evil", ".ssh/keys"])
def test_a_manifest_with_an_unsafe_path_is_refused(
    store: ArtifactStore, volume: Path, model: ModelManifest, tmp_path: Path, path: str
) -> None:
    wire = model.to_wire()
    wire["files"][0]["path"] = path
    digest = plant(volume, json.dumps(wire).encode())
    with pytest.raises(ArtifactError, match=r"files\.0\.path"):
        store.fetch(digest, tmp_path / "out", ModelManifest)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b"[1]", b'{"schema": "other"}'])
def test_bytes_that_are_no_manifest_are_refused(
    store: ArtifactStore, volume: Path, data: bytes
) -> None:
    with pytest.raises(ArtifactError, match="not a usable"):
        store.verify(plant(volume, data), ModelManifest)


def test_a_manifest_that_is_too_large_is_not_read(store: ArtifactStore, volume: Path) -> None:
    with pytest.raises(ArtifactError, match="bytes, more than"):
        store.verify(plant(volume, b"x" * (4 * 1024 * 1024 + 1)), ModelManifest)


def test_an_artifact_that_was_never_published_is_named(store: ArtifactStore) -> None:
    digest = sha256_bytes(b"never")
    with pytest.raises(ArtifactError, match=f"{digest} is not in the store"):
        store.verify(digest, ModelManifest)


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../x", "md5:" + "0" * 64, "0" * 64])
def test_what_is_no_digest_reaches_no_file(store: ArtifactStore, digest: str) -> None:
    with pytest.raises(ArtifactError, match="is not a digest"):
        store.verify(digest, ModelManifest)


def test_a_bucket_keeps_the_same_contract(
    in_memory: ArtifactStore, model_directory: Path, model: ModelManifest, tmp_path: Path
) -> None:
    digest = in_memory.publish(model_directory, model)
    assert in_memory.publish(model_directory, model) == digest
    assert in_memory.fetch(digest, tmp_path / "out", ModelManifest) == model
    assert tree(tmp_path / "out") == tree(model_directory)


def result(message: str) -> Result:
    return Result(program=Program.TRAIN, exit_code=ExitCode.OK, reason="Succeeded", message=message)


def test_the_first_result_stays(store: ArtifactStore) -> None:
    assert store.get_result("uid-1", "train") is None
    store.put_result("uid-1", "train", result("first"))
    store.put_result("uid-1", "train", result("second"))
    assert store.get_result("uid-1", "train") == result("first")
    store.put_result("uid-1", "train", result("third"), replace=True)
    assert store.get_result("uid-1", "train") == result("third")
    assert store.get_result("uid-2", "train") is None
    assert store.get_result("uid-1", "evaluate") is None


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"x" * 5000, b'{"reason": "x"}'])
def test_an_unreadable_result_is_none_and_is_replaced(
    store: ArtifactStore, volume: Path, data: bytes
) -> None:
    store.put_result("uid", "train", result("first"))
    (volume / "results/uid/train.json").write_bytes(data)
    assert store.get_result("uid", "train") is None
    store.put_result("uid", "train", result("second"))
    assert store.get_result("uid", "train") == result("second")


@pytest.mark.parametrize(("uid", "key"), [("..", "x"), ("a/b", "x"), ("u", "../x"), ("u", "")])
def test_a_result_has_a_plain_name(store: ArtifactStore, uid: str, key: str) -> None:
    with pytest.raises(StoreError, match="cannot name a result"):
        store.put_result(uid, key, result(""))


@pytest.mark.parametrize("path", [None, *MODEL_FILES])
@pytest.mark.parametrize("harm", [truncated, extended, Path.unlink])
def test_damage_names_artifact_and_file_and_publishing_mends_it(
    store: ArtifactStore,
    volume: Path,
    model_directory: Path,
    model: ModelManifest,
    path: str | None,
    harm: Callable[[Path], None],
) -> None:
    """What a retry rests on: whose artifact it is, and that making it again makes it whole."""
    digest = store.publish(model_directory, model)
    harm(manifest_file(volume, digest) if path is None else blob(volume, model, path))
    with pytest.raises(ArtifactDamaged) as caught:
        store.verify(digest, ModelManifest)
    assert (caught.value.artifact, caught.value.file) == (digest, path)
    assert store.publish(model_directory, model) == digest
    assert store.verify(digest, ModelManifest) == model


def test_an_artifact_of_another_kind_is_not_damaged(
    store: ArtifactStore, model_directory: Path, model: ModelManifest
) -> None:
    digest = store.publish(model_directory, model)
    with pytest.raises(ArtifactError) as caught:
        store.verify(digest, BuildManifest)
    assert not isinstance(caught.value, ArtifactDamaged)


def test_a_store_is_empty_until_something_is_published(
    store: ArtifactStore, model_directory: Path, model: ModelManifest
) -> None:
    assert store.is_empty()
    store.publish(model_directory, model)
    assert not store.is_empty()
