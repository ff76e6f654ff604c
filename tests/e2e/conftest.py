"""End to end: the chart on a real node, real images, one namespace a scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.support.install import install
from tests.e2e.support.kube import Kube
from tests.e2e.support.world import World


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def kube() -> Kube:
    """The dev cluster with the operator installed from the chart (`make e2e` loads the images)."""
    kube = Kube.find()
    install(kube)
    return kube


@pytest.fixture(scope="module")
def make_world(kube: Kube) -> Iterator[Callable[[str], World]]:
    """Makes worlds that are removed when the module ends."""
    opened: list[World] = []

    def make(namespace: str) -> World:
        world = World(kube, namespace)
        world.close()
        world.open()
        opened.append(world)
        return world

    yield make
    for world in opened:
        world.close()
