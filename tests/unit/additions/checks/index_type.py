"""The toy index type builds, seals and serves, and its advice is in the operator's message."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from lockstep_core.artifacts import ArtifactStore
from lockstep_core.jobs import Reporter, Stopping
from lockstep_core.protocol.config import BuildConfig, IndexServerConfig
from lockstep_indexer import building
from lockstep_indexer.opened_build import golden_difference
from lockstep_indexer.serving import load_build
from tests.unit.additions.checks.support.generated import schema_of
from tests.unit.decide.worlds import World

pytest_plugins = ("tests.unit.indexer.conftest",)

RECIPE = {"type": "IVF", "ivf": {"cells": 8, "probes": 6}}


def test_it_builds_seals_and_serves(
    configure: Callable[..., BuildConfig],
    store: ArtifactStore,
    letters: Any,
    model: Any,
    tmp_path: Path,
) -> None:
    config = configure(recipe=RECIPE)
    reporter = Reporter("Build", config.release, stream=io.StringIO())
    facts = building.build(config, store, reporter, Stopping())
    again = building.build(config, store, reporter, Stopping())
    assert again.build_digest == facts.build_digest
    assert facts.rows == len(letters.ids) and facts.recall.mean > 0.9
    server = IndexServerConfig(
        release="letters-r1",
        index="letters",
        artifacts=config.artifacts,
        build_digest=facts.build_digest,
        space_id=facts.space_id,
    )
    opened = load_build(server, tmp_path)
    assert isinstance(opened.searcher.index, faiss.IndexIVFFlat)
    assert golden_difference(opened) is None
    rows, _ = opened.search(model.embed(letters.inputs), 1)
    assert (rows[:, 0] == np.arange(len(letters.ids))).mean() > 0.9


def test_its_parameters_are_in_the_crd() -> None:
    schema = schema_of("vectorindexes", "spec.index")
    assert "IVF" in schema["properties"]["type"]["enum"]
    assert schema["properties"]["ivf"]["properties"]["probes"]["maximum"] == 65_536
    assert any("type` is IVF" in rule["message"] for rule in schema["x-kubernetes-validations"])


def test_its_advice_is_in_the_message_of_the_operator() -> None:
    world = World(build_changes={"recall": {"n": 1000, "mean": 0.5, "standardDeviation": 0.4}})
    world.apply_model().apply_index(index=RECIPE).run()
    assert world.stage(1) == "Failed"
    assert "raise `spec.index.ivf.probes` of VectorIndex glyphs" in world.status["message"]
