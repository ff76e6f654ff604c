"""Fixtures over `support`: a store, two models of one width, and a Ready pair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.encoder.support import (
    INDEX_SERVER,
    Pair,
    PublishedModel,
    Spawn,
    encoder_arguments,
    encoder_config,
    endpoint,
    index_config,
    publish_model,
    spawning,
)


@pytest.fixture(scope="session")
def store_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def model(store_root: Path, tmp_path_factory: pytest.TempPathFactory) -> PublishedModel:
    return publish_model(store_root, tmp_path_factory.mktemp("models") / "r1", seed=1)


@pytest.fixture(scope="session")
def other_model(store_root: Path, tmp_path_factory: pytest.TempPathFactory) -> PublishedModel:
    """The same width and inputs, another space."""
    return publish_model(store_root, tmp_path_factory.mktemp("models") / "r2", seed=2)


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    folder = tmp_path / "processes"
    folder.mkdir()
    with spawning(folder) as start:
        yield start


@pytest.fixture(scope="session")
def pair(
    store_root: Path, model: PublishedModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """A Ready encoder and its exact index server."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "processes").mkdir()
    with spawning(folder / "processes") as start:
        index = start([str(INDEX_SERVER)], index_config(model, folder))
        config = encoder_config(store_root, model, endpoint(index.url, model))
        encoder = start(encoder_arguments(), config).until_ready()
        yield Pair(encoder, index, model)
