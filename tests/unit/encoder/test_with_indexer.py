"""The encoder with the real indexer: built, served, and searched end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from lockstep_core.protocol import headers
from lockstep_core.protocol.config import BuildConfig, IndexEndpoint, IndexServerConfig
from lockstep_core.protocol.datasets import DatasetFormat, DatasetSpec
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.http import SearchResponse
from lockstep_core.protocol.indexing import IndexSpec, IndexType, ObjectivesSpec
from lockstep_core.protocol.result import Result
from lockstep_core.quality.recall import exact_neighbours
from tests.unit.encoder.support import (
    PublishedModel,
    Spawn,
    artifacts,
    encoder_arguments,
    encoder_config,
    letters,
)

pytestmark = [pytest.mark.unit, pytest.mark.programs]


@pytest.mark.parametrize("kind", [IndexType.FLAT, IndexType.HNSW])
def test_a_built_index_is_searched_by_its_encoder_and_refuses_another(
    kind: IndexType,
    spawn: Spawn,
    store_root: Path,
    model: PublishedModel,
    other_model: PublishedModel,
    tmp_path: Path,
) -> None:
    build = _build(kind, store_root, model, tmp_path)
    server = IndexServerConfig(
        release="letters-r1",
        index="letters",
        artifacts=artifacts(store_root),
        build_digest=build,
        space_id=model.manifest.space_id,
    )
    command = ["-m", "lockstep_indexer", "serve", "--host", "127.0.0.1", "--port", "0"]
    index = spawn([*command, "--drain-seconds", "0"], server.to_wire())
    found = IndexEndpoint(
        name="letters", url=index.url, build_digest=build, space_id=model.manifest.space_id
    )
    encoder = spawn(encoder_arguments(), encoder_config(store_root, model, found)).until_ready()
    images, labels = letters()
    query: dict[str, Any] = {"input": [image.ravel().tolist() for image in images[::30]], "k": 5}
    response = httpx.post(f"{encoder.url}/v1/search", json=query, timeout=30)
    answer = SearchResponse.model_validate(response.json())
    assert response.headers[headers.BUILD] == answer.build == build
    assert answer.index_space_id == answer.space_id == model.manifest.space_id
    vectors = model.embed(images)
    rows, distances = exact_neighbours(vectors[::30], vectors, 5)
    for hits, expected, apart in zip(answer.results, rows, distances, strict=True):
        assert [hit.label for hit in hits] == list(labels[expected])
        np.testing.assert_allclose([hit.distance for hit in hits], apart, atol=2e-3)
    encoder.process.terminate()
    encoder.process.wait(timeout=60)
    assert "Warning" not in "".join(encoder.log), "a search floods the log"

    # The other encoder is planted on the same index: of the same width, and of another space.
    planted = found.model_copy(update={"space_id": other_model.manifest.space_id})
    mixed = spawn(encoder_arguments(), encoder_config(store_root, other_model, planted))
    assert mixed.process.wait(timeout=60) == ExitCode.SELF_CHECK_FAILED
    assert model.manifest.space_id in mixed.result().message


def _build(kind: IndexType, root: Path, model: PublishedModel, folder: Path) -> str:
    """Runs `lockstep-indexer build` over the letters; returns the build's digest."""
    images, labels = letters()
    np.savez(root / "corpus.npz", inputs=images, labels=labels)
    config = BuildConfig(
        release="letters-r1",
        release_uid=f"uid-{kind.value}",
        artifacts=artifacts(root),
        artifact_digest=model.digest,
        space_id=model.manifest.space_id,
        index="letters",
        source=DatasetSpec(uri=f"file://{root}/corpus.npz", format=DatasetFormat.NPZ),
        recipe=IndexSpec(type=kind),
        objectives=ObjectivesSpec(),
    )
    (folder / "build.json").write_text(json.dumps(config.to_wire()))
    built = subprocess.run(
        [sys.executable, "-m", "lockstep_indexer", "build", "--config", f"{folder}/build.json"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    facts = Result.from_json(built.stdout.splitlines()[-1]).build
    assert facts is not None and facts.rows == len(images)
    return facts.build_digest
