"""Data sets come from the volume or bucket of the store, and from nowhere else."""

from __future__ import annotations

from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore

from lockstep_core.artifacts import ArtifactError, ArtifactStore
from lockstep_core.artifacts.backend import Backend
from lockstep_core.protocol.storage import ArtifactsSpec
from tests.unit.core.s3_server import s3_server
from tests.unit.core.support import tree

pytestmark = pytest.mark.unit


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


def test_folders_that_a_console_made_are_no_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with s3_server() as server:
        store = ArtifactStore.open(
            ArtifactsSpec(uri="s3://bucket/models", endpoint=server.url, region="us-east-1")
        )
        for key in ("sets/photos/", "sets/photos/cats/", "sets/photos/empty/", "sets/none/"):
            server.objects[key] = b""
        # Of other tools, without the slash.
        server.objects["sets/photos/dogs"] = b""
        server.objects |= {"sets/photos/cats/1.png": b"c1", "sets/photos/dogs/1.png": b"d1"}
        # A file that is empty stays one: it is told as an image that cannot be read.
        server.objects["sets/photos/dogs/2.png"] = b""
        folder = store.fetch_dataset("s3://bucket/sets/photos", tmp_path / "1")
        assert tree(folder) == {"cats/1.png": b"c1", "dogs/1.png": b"d1", "dogs/2.png": b""}
        with pytest.raises(ArtifactError, match="no object and no prefix"):
            store.fetch_dataset("s3://bucket/sets/none", tmp_path / "2")
