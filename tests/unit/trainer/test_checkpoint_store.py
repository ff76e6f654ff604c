"""Checkpoints in the store: whole or not there, the newest first, and only of their release."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockstep_core.artifacts import ArtifactError, ArtifactStore, StoreError
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_trainer.training.checkpoint_store import Checkpoint, Checkpoints

pytestmark = pytest.mark.unit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> ArtifactStore:
    return ArtifactStore.open(ArtifactsSpec(uri=f"file://{root}", claim_name="volume"))


def a_file(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "new"
    file.write_text(text)
    return file


def test_what_was_saved_is_fetched_newest_first(store, tmp_path):
    kept = Checkpoints(store.backend, "uid-1")
    assert kept.newest_first() == []
    for step in (9, 10, 200):
        kept.save(step, a_file(tmp_path, f"state {step}"))
    again = kept.save(10, a_file(tmp_path, "state 10"))
    assert [one.step for one in kept.newest_first()] == [200, 10, 9]
    assert kept.fetch(again, tmp_path).read_text() == "state 10"
    assert Checkpoints(store.backend, "uid-2").newest_first() == []


def test_prune_keeps_the_newest_and_remove_all_leaves_nothing(store, root, tmp_path):
    kept, other = Checkpoints(store.backend, "uid-1"), Checkpoints(store.backend, "uid-12")
    other.save(1, a_file(tmp_path, "other"))
    for step in range(5):
        kept.save(step, a_file(tmp_path, f"state {step}"))
    assert [one.step for one in kept.prune(2)] == [2, 1, 0]
    assert [one.step for one in kept.newest_first()] == [4, 3]
    # What a write that was cut off leaves on a volume has no key.
    (root / kept.folder / "0000000005-cut.safetensors#1").write_text("half")
    kept.remove_all()
    kept.remove_all()
    assert not (root / kept.folder).exists()
    assert len(other.newest_first()) == 1


def test_a_torn_checkpoint_is_refused_and_replaced(store, root, tmp_path):
    kept = Checkpoints(store.backend, "uid-1")
    found = kept.save(7, a_file(tmp_path, "whole"))
    torn = root / kept.folder / found.name
    torn.chmod(0o644)
    torn.write_text("who")
    with pytest.raises(ArtifactError, match="corrupt: expected sha256:"):
        kept.fetch(found, tmp_path)
    assert not (tmp_path / found.name).exists()
    assert kept.save(7, a_file(tmp_path, "whole")) == found
    assert kept.fetch(found, tmp_path).read_text() == "whole"
    absent = Checkpoint(8, found.digest)
    with pytest.raises(ArtifactError, match="is gone"):
        kept.fetch(absent, tmp_path)


def test_the_last_claim_holds(store, root):
    kept = Checkpoints(store.backend, "uid-1")
    assert kept.writer() is None
    kept.claim("attempt 1 on a")
    kept.claim("attempt 2 on b")
    assert Checkpoints(store.backend, "uid-1").writer() == "attempt 2 on b"
    kept.remove_all()
    assert kept.writer() is None


@pytest.mark.parametrize("uid", ["", "../x", "a/b", ".hidden"])
def test_a_uid_cannot_leave_its_folder(store, uid):
    with pytest.raises(StoreError, match="cannot name checkpoints"):
        Checkpoints(store.backend, uid)
