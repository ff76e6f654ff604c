"""Removing the operator stops nothing that serves; installing it again writes nothing new."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.support.install import CHART
from tests.e2e.support.kube import Kube, wait_until
from tests.e2e.support.load import glyph_queries, start_load
from tests.e2e.support.world import World


def test_uninstalled_operator_leaves_the_pair_serving(
    kube: Kube, make_world: Callable[[str], World]
) -> None:
    world = make_world("uninstall")
    world.draw()
    world.kube.apply(world.model(), world.index())
    world.until_healthy(1)
    queries = glyph_queries(world, 1, 8)
    load = start_load(world, queries, url="http://glyphs:8080/v1/search", connections=2)
    kube.helm("uninstall", "lockstep", "--namespace", "lockstep-system", "--wait")
    crd = kube.run("get", "crd", "embeddingmodels.lockstep.dev", "-o", "name")
    assert crd.strip(), "uninstalling the chart must keep the CRDs, and with them every model"
    uid = world.em()["metadata"]["uid"]
    kube.helm(
        *("upgrade", "--install", "lockstep", str(CHART), "--namespace", "lockstep-system"),
        *("--set", "registry=lockstep.local,image.tag=dev", "--wait", "--timeout", "3m"),
    )
    wait_until(lambda: world.status().get("phase") == "Healthy", what="Healthy", seconds=60)
    tally = load.stop()
    assert tally["requests"] > 100
    assert tally["failed"] == tally["mixed"] == 0, tally["failures"]
    assert world.em()["metadata"]["uid"] == uid
