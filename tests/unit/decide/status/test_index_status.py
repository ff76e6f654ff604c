"""The status of an index."""

from __future__ import annotations

import pytest

from tests.unit.decide import worlds

pytestmark = pytest.mark.unit


def test_the_indexes_tell_their_own_story() -> None:
    world = worlds.second("Training")
    assert world.index_status()["message"] == "r1 serves it."
    world = worlds.healthy().change_index("index", {"type": "Flat"}).settle()
    status = world.index_status()
    assert status["message"] == "r2 carries it and is Indexing. r1 serves an earlier build."
    assert status["phase"] == "Progressing" and status["serving"]["release"] == "glyphs-r1"
    world.end_jobs().settle()
    assert world.index_status()["candidate"]["release"] == "glyphs-r2"
    assert world.index_status()["candidate"]["recall"] == (
        "recall@10 0.998 >= 0.950 OK (95% lower 0.998; n=1000)"
    )
    world.run()
    world.ready("Deployment", "glyphs-r2-glyphs", ready=0)
    assert world.settle().index_status()["phase"] == "Degraded"
    world.change_index("replicas", 2).settle()
    assert world.index_status()["phase"] == "Progressing"
    assert world.run().index_status()["replicas"] == 2
    world.change_index("source.uri", "s3://elsewhere/x.npz").settle()
    assert "must begin with file://" in world.index_status()["message"]
