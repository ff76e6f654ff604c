from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import obstore
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

import lockstep_core.artifacts.backend as backend_module
from lockstep_core.artifacts import (
    ArtifactError,
    ArtifactStore,
    BuildManifest,
    ModelManifest,
    Role,
    StoreError,
    describe_files,
    sha256_bytes,
)
from lockstep_core.artifacts.backend import Backend
from lockstep_core.artifacts.sources import DatasetSource
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.indexing import IndexSpec
from lockstep_core.protocol.result import Program, Result, SampleStatistics
from lockstep_core.protocol.storage import ArtifactsSpec

pytestmark = pytest.mark.unit

# Those of the fixture `model_directory`.
MODEL_FILES = ("model.onnx", "preprocess.json", "golden.npz", "eval/report.json")


def blob(volume: Path, model: ModelManifest, path: str) -> Path:
    (entry,) = [item for item in model.files if item.path == path]
    return volume / "blobs/sha256" / entry.sha256.removeprefix("sha256:")


def manifest_file(volume: Path, digest: str) -> Path:
    return volume / "manifests/sha256" / digest.removeprefix("sha256:")


def plant(volume: Path, data: bytes) -> str:
    """A manifest of these bytes, under their digest."""
    digest = sha256_bytes(data)
    file = manifest_file(volume, digest)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return digest


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


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


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


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


def test_large_files_go_up_in_parts(
    store: ArtifactStore,
    model_directory: Path,
    model: ModelManifest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend_module, "SINGLE_PUT_LIMIT", 100)
    digest = store.publish(model_directory, model)
    assert store.verify(digest, ModelManifest) == model


def test_a_file_that_a_rival_wrote_first_is_verified(
    store: ArtifactStore,
    volume: Path,
    model_directory: Path,
    model: ModelManifest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digest = store.publish(model_directory, model)
    truncated(blob(volume, model, "model.onnx"))
    # The rival's file appears between the look and the write.
    monkeypatch.setattr(Backend, "exists", lambda self, key: False)
    assert store.publish(model_directory, model) == digest
    assert store.verify(digest, ModelManifest) == model


def test_a_root_that_is_not_mounted_is_an_unavailable_store(tmp_path: Path) -> None:
    missing = tmp_path / "not-mounted"
    with pytest.raises(StoreError, match=r"artifacts\.claimName"):
        ArtifactStore.open(ArtifactsSpec(uri=f"file://{missing}", claim_name="c"))
    assert not missing.exists()


def test_a_volume_that_vanishes_is_an_unavailable_store(
    store: ArtifactStore, volume: Path, model_directory: Path, model: ModelManifest
) -> None:
    volume.rmdir()
    volume.write_bytes(b"not a folder")
    with pytest.raises(StoreError, match="cannot look for blobs/"):
        store.publish(model_directory, model)


@pytest.mark.parametrize("missing", [FileNotFoundError("no such bucket")])
def test_a_bucket_that_does_not_exist_is_an_unavailable_store(
    store: ArtifactStore,
    model_directory: Path,
    model: ModelManifest,
    monkeypatch: pytest.MonkeyPatch,
    missing: Exception,
) -> None:
    def put(*args: object, **kwargs: object) -> None:
        raise missing

    monkeypatch.setattr(backend_module.obstore, "put", put)
    with pytest.raises(StoreError, match="no such bucket"):
        store.publish(model_directory, model)


def test_an_endpoint_that_nobody_listens_on_is_an_unavailable_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend_module, "RETRIES", {"max_retries": 0})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-value")
    spec = ArtifactsSpec(
        uri="s3://bucket/prefix", endpoint="http://127.0.0.1:9", region="us-east-1"
    )
    with pytest.raises(
        StoreError, match=r"http://127\.0\.0\.1:9/bucket/prefix/manifests"
    ) as caught:
        ArtifactStore.open(spec).verify(sha256_bytes(b"x"), ModelManifest)
    assert "secret-value" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_a_uri_without_a_bucket_is_refused(scheme: str) -> None:
    with pytest.raises(StoreError, match="names no bucket"):
        ArtifactStore.open(ArtifactsSpec(uri=f"{scheme}:///prefix"))


@pytest.mark.parametrize(
    ("uri", "kind"),
    [("s3://b/p", "S3Store"), ("gs://b/p", "GCSStore"), ("az://b/p", "AzureStore")],
)
def test_each_scheme_opens_its_own_store(
    uri: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    opened = backend_module.connect(ArtifactsSpec(uri=uri), "p")
    assert type(opened).__name__ == kind
    assert opened.prefix == "p"


def test_a_store_that_cannot_be_configured_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(StoreError, match="cannot open az://container"):
        ArtifactStore.open(ArtifactsSpec(uri="az://container"))


@pytest.fixture
def in_memory() -> ArtifactStore:
    """As a bucket behaves: no folders, no volume."""
    backend = Backend(MemoryStore(), None)
    return ArtifactStore(backend, DatasetSource("s3://bucket/models", backend))


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


def test_a_data_set_on_the_volume_is_its_own_path(
    store: ArtifactStore, volume: Path, tmp_path: Path
) -> None:
    (volume / "datasets").mkdir()
    (volume / "datasets/set.npz").write_bytes(b"x")
    found = store.fetch_dataset(f"file://{volume}/datasets/set.npz", tmp_path / "work")
    assert found == volume / "datasets/set.npz"
    assert store.fetch_dataset(f"file://{volume}/datasets", tmp_path) == volume / "datasets"


def test_a_data_set_never_lies_outside_of_the_volume(
    store: ArtifactStore, volume: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside.npz").write_bytes(b"x")
    (volume / "link.npz").symlink_to(tmp_path / "outside.npz")
    (volume / "loop").symlink_to("loop")
    for uri, said in [
        (f"file://{tmp_path}/outside.npz", "outside of the artifact store"),
        (f"file://{volume}/../outside.npz", "outside of the artifact store"),
        (f"file://{volume}/link.npz", "outside of the artifact store"),
        (f"file://{volume}/missing.npz", "does not exist"),
        (f"file://{volume}/loop", "does not exist"),
        ("s3://bucket/set.npz", "cannot be read with a file:// store"),
    ]:
        with pytest.raises(ArtifactError, match=said) as caught:
            store.fetch_dataset(uri, tmp_path / "work")
        assert f"file://{volume}" in str(caught.value)


@pytest.fixture
def bucket(in_memory: ArtifactStore) -> MemoryStore:
    memory: MemoryStore = in_memory._backend._store  # type: ignore[assignment]
    return memory


def test_a_data_set_comes_from_the_stores_own_bucket(
    in_memory: ArtifactStore, bucket: MemoryStore, tmp_path: Path
) -> None:
    obstore.put(bucket, "sets/one.npz", b"one")
    obstore.put(bucket, "sets/folder/a/1.png", b"a1")
    obstore.put(bucket, "sets/folder/b/2.png", b"b2")
    obstore.put(bucket, "sets/folder-of-another/c/3.png", b"c3")
    one = in_memory.fetch_dataset("s3://bucket/sets/one.npz", tmp_path / "1")
    assert one == tmp_path / "1/one.npz"
    assert one.read_bytes() == b"one"
    folder = in_memory.fetch_dataset("s3://bucket/sets/folder", tmp_path / "2")
    assert tree(folder) == {"a/1.png": b"a1", "b/2.png": b"b2"}
    with pytest.raises(ArtifactError, match="no object and no prefix"):
        in_memory.fetch_dataset("s3://bucket/sets/fold", tmp_path / "3")
    for uri in ("s3://other/sets/one.npz", "gs://bucket/sets/one.npz", "file:///sets/one.npz"):
        with pytest.raises(ArtifactError, match=r"copy it to s3://bucket/\.\.\."):
            in_memory.fetch_dataset(uri, tmp_path / "4")


def test_an_object_whose_name_leads_out_of_the_folder_is_refused(
    in_memory: ArtifactStore, bucket: MemoryStore, tmp_path: Path
) -> None:
    obstore.put(bucket, "sets/folder/a\\..\\evil.png", b"x")
    with pytest.raises(ArtifactError, match="rename it"):
        in_memory.fetch_dataset("s3://bucket/sets/folder", tmp_path / "out")


def test_an_object_that_vanishes_while_it_is_read_is_named(
    in_memory: ArtifactStore,
    bucket: MemoryStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Backend, "exists", lambda self, key: True)
    with pytest.raises(ArtifactError, match=r"sets/one\.npz vanished"):
        in_memory.fetch_dataset("s3://bucket/sets/one.npz", tmp_path / "out")
