"""What a store out of reach, a rival or a large file looks like to its callers."""

from __future__ import annotations

from pathlib import Path

import pytest

import lockstep_core.artifacts.backend as backend_module
from lockstep_core.artifacts import ArtifactStore, ModelManifest, StoreError, sha256_bytes
from lockstep_core.artifacts.backend import Backend
from lockstep_core.artifacts.errors import StoreUnsuitable
from lockstep_core.jobs import as_failure
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.storage import ArtifactsSpec
from tests.unit.core.s3_server import s3_server
from tests.unit.core.support import blob, truncated

pytestmark = pytest.mark.unit


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


def test_a_bucket_without_conditional_writes_is_told_at_the_first_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-value")
    with s3_server() as server:
        spec = ArtifactsSpec(uri="s3://bucket/models", endpoint=server.url, region="us-east-1")
        backend = Backend.open(spec, "models")
        assert backend.put("key", b"one") and not backend.put("key", b"two")
        assert server.objects == {"models/key": b"one"} and server.puts == 2
        server.conditional = False
        with pytest.raises(StoreUnsuitable, match=r"conditional writes \(If-None-Match\)") as told:
            Backend.open(spec, "models").put("other", b"one")
        assert server.puts == 3
        # No attempt of a Job would end otherwise.
        assert as_failure(told.value).code is ExitCode.BAD_CONFIG


def test_a_folder_that_is_not_there_is_told_with_both_fixes(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"--store file:///.*new.*volume.*mkdir -p /.*new"):
        ArtifactStore.open(ArtifactsSpec(uri=f"file://{tmp_path}/new"), field="--store")
