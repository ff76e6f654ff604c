"""The Gateway API at a real API server: what it stores, and an operator with and without it.

No controller runs here: the test plays the Gateway's, by writing what one says into the status of
the route.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from devcluster.host import binaries
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.snapshot.observed import GatewayFacts
from lockstep_operator.decide.traffic.routers.gateway import MIRROR
from lockstep_operator.decide.vocabulary.compare import difference, with_hash
from lockstep_operator.manifests.routes import http_route
from lockstep_operator.runtime.client import Api, connect
from lockstep_operator.runtime.gateways import Gateways
from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.kubelet import Kubelet
from tests.cluster.support.models import Cluster, Launch, model, no_crash
from tests.cluster.support.operator_process import (
    OperatorProcess,
    Writes,
    chart_kubeconfig,
    wait_for,
)
from tests.unit.manifests.support import samples

ROUTES = "httproutes.gateway.networking.k8s.io"
GATEWAY = {"parentRefs": [{"name": "edge", "namespace": "infra"}]}
TRAFFIC = {"router": "GatewayAPI", "gateway": GATEWAY}


_NAMES = "jsonpath={.items[*].metadata.name}"


class GatewayApi:
    """The kinds of the Gateway API, as they come and go."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        self._files = str(binaries.bundle("gateway-crds"))

    def install(self) -> None:
        self._control_plane.kubectl("apply", "--server-side", "-f", self._files)
        self._control_plane.kubectl("wait", "--for=condition=Established", "-f", self._files)
        # A kind is deleted once its objects are, and the API server's controller gives up for
        # minutes when it is the first that ever lists them ("storage is (re)initializing").
        named = self._control_plane.kubectl("get", "-f", self._files, "-o", _NAMES).stdout
        self._control_plane.kubectl("get", ",".join(named.split()), "--all-namespaces")

    def remove(self) -> None:
        self._control_plane.kubectl("delete", "--ignore-not-found", "-f", self._files)


@pytest.fixture
def gateway_api(control_plane: ControlPlane) -> Iterator[GatewayApi]:
    """Not there yet."""
    found = GatewayApi(control_plane)
    found.remove()
    yield found
    found.remove()


def route(cluster: Cluster, name: str = "glyphs") -> Object | None:
    return next((r for r in cluster.items(ROUTES) if r["metadata"]["name"] == name), None)


def backends(cluster: Cluster) -> dict[str, int]:
    """Weights of the last rule, which is everybody's."""
    found = route(cluster)
    listed = found["spec"]["rules"][-1]["backendRefs"] if found else []
    return {one["name"].removesuffix("-encoder"): one["weight"] for one in listed}


def act(cluster: Cluster, name: str = "glyphs") -> None:
    """What a controller says of a route that it acts on."""
    found = route(cluster, name)
    assert found is not None
    conditions = [
        {
            "type": type_,
            "status": "True",
            "reason": type_,
            "message": "",
            "observedGeneration": found["metadata"]["generation"],
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for type_ in ("Accepted", "ResolvedRefs")
    ]
    parent = {
        "parentRef": found["spec"]["parentRefs"][0],
        "controllerName": "example.net/gateway",
        "conditions": conditions,
    }
    status = {"parents": [parent]}
    cluster.control_plane.set_status(ROUTES, name, cluster.namespace, status)


def noise(process: OperatorProcess) -> list[dict[str, Any]]:
    return [line for line in process.lines() if line["level"] not in ("debug", "info")]


SHARES: list[dict[str, Any]] = [
    {},
    {"candidate": "glyphs-r2"},
    {"candidate": "glyphs-r2", "weight": 25},
    {"candidate": "glyphs-r2", "weight": 100, "mirror": 100},
    {"candidate": "glyphs-r2", "mirror": 1},
]


def test_the_server_stores_the_route_as_it_was_written(
    control_plane: ControlPlane, namespace: str, gateway_api: GatewayApi
) -> None:
    """No default is added, so the second apply is no write and an exact comparison may decide."""
    gateway_api.install()
    for hostnames in ([], ["*.example.net"]):
        rollout = {"traffic": TRAFFIC | {"gateway": GATEWAY | {"hostnames": hostnames}}}
        for shares in SHARES:
            manifest = http_route(samples.model(rollout=rollout), "glyphs-r1", **shares)
            _is_stored_as_written(control_plane, namespace, manifest)


def _is_stored_as_written(control_plane: ControlPlane, namespace: str, manifest: Object) -> None:
    manifest["metadata"]["namespace"] = namespace
    # The owner is not on this server, and its garbage collector would take the route away.
    del manifest["metadata"]["ownerReferences"]
    verb = ("apply", "--server-side", "--field-manager=lockstep", "-f", "-", "-o", "json")
    stored = [
        json.loads(control_plane.kubectl(*verb, stdin=with_hash(manifest)).stdout) for _ in range(2)
    ]
    assert stored[0]["spec"] == manifest["spec"]
    assert difference(manifest, stored[0]) is None
    versions = {found["metadata"]["resourceVersion"] for found in stored}
    assert len(versions) == 1


def test_the_kind_comes_goes_and_comes_while_the_operator_runs(
    cluster: Cluster, launch: Launch, kubelet: Kubelet, writes: Writes, gateway_api: GatewayApi
) -> None:
    operator = launch()
    cluster.apply(model("plain"), model("glyphs", traffic=TRAFFIC))
    cluster.healthy("plain", "plain-r1")
    cluster.healthy("glyphs", "glyphs-r1")
    told = {c["type"]: c for c in cluster.status("em", "glyphs")["conditions"]}
    assert "the cluster has no kind HTTPRoute" in told["StepsAccepted"]["message"]
    without = writes.settled()
    assert not [what for what in without if "httproutes" in what]
    assert noise(operator) == [], "what is optional is missed without a word"

    gateway_api.install()
    wait_for("the route is made", lambda: backends(cluster) == {"glyphs-r1": 100}, 40)
    act(cluster)
    cluster.healthy("glyphs", "glyphs-r1")
    found = writes.settled()
    assert found["patch httproutes 200"] + found["patch httproutes 201"] == 1
    assert [r["metadata"]["name"] for r in cluster.items(ROUTES)] == ["glyphs"]

    stray = json.dumps([{"op": "replace", "path": "/spec/hostnames", "value": ["stray.example"]}])
    cluster.kubectl("patch", ROUTES, "glyphs", "--type=json", "-p", stray)
    wait_for("a hand edit is undone", lambda: (route(cluster) or {})["spec"]["hostnames"] == [])
    act(cluster)
    after = writes.settled()
    assert after["patch httproutes 200"] == found["patch httproutes 200"] + 1
    assert noise(operator) == []

    gateway_api.remove()
    cluster.kubectl("annotate", "em", "glyphs", "looked-at=now")
    gateway_api.install()
    wait_for("the route is made again", lambda: backends(cluster) == {"glyphs-r1": 100}, 60)
    act(cluster)
    cluster.kubectl("patch", "em", "glyphs", "--type=json", "-p", DROP_TRAFFIC)
    wait_for("nobody asks for the route", lambda: route(cluster) is None)
    assert operator.stop() == 0
    no_crash(operator)


DROP_TRAFFIC = json.dumps([{"op": "remove", "path": "/spec/rollout/traffic"}])


def test_a_canary_by_weights_costs_one_write_of_the_route_for_each(
    cluster: Cluster, launch: Launch, kubelet: Kubelet, writes: Writes, gateway_api: GatewayApi
) -> None:
    gateway_api.install()
    operator = launch()
    steps = [{"setWeight": 5}, {"setWeight": 50}, {"pause": {}}]
    cluster.apply(model("glyphs", traffic=TRAFFIC, steps=steps))
    wait_for("the route is made", lambda: backends(cluster) == {"glyphs-r1": 100}, 60)
    act(cluster)
    cluster.healthy("glyphs", "glyphs-r1")
    before = writes.settled()["patch httproutes 200"]
    seed = json.dumps({"spec": {"training": {"seed": 7}}})
    cluster.kubectl("patch", "em", "glyphs", "--type=merge", "-p", seed)
    for share in (5, 50):
        weights = {"glyphs-r1": 100 - share, "glyphs-r2": share}
        wait_for(f"r2 has {share}%", partial(_are, weights, cluster), 60)
        settled = writes.settled(1.0)
        assert settled["patch httproutes 200"] == before + (1 if share == 5 else 2)
        assert achieved(cluster) < share, "no Gateway has said yet that it acts on it"
        act(cluster)
        wait_for(f"{share}% is read back", partial(_is_achieved, share, cluster))
    cluster.kubectl("annotate", "em", "glyphs", "lockstep.dev/promote=r2")
    wait_for("r2 has everything", lambda: backends(cluster) == {"glyphs-r2": 100})
    act(cluster)
    cluster.healthy("glyphs", "glyphs-r2")
    found = writes.settled()
    assert found["patch httproutes 200"] == before + 3
    assert operator.stop() == 0
    again = launch(name="again")
    assert writes.settled() == found, "a restart writes nothing"
    assert noise(again) == []
    no_crash(operator)


def _are(weights: dict[str, int], cluster: Cluster) -> bool:
    return backends(cluster) == weights


def _is_achieved(share: int, cluster: Cluster) -> bool:
    return achieved(cluster) == share


CLASS = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "lockstep-test"},
    "spec": {"controllerName": "example.net/gateway"},
}
EDGE = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "edge"},
    "spec": {
        "gatewayClassName": "lockstep-test",
        "listeners": [{"name": "web", "port": 80, "protocol": "HTTP"}],
    },
}


async def test_what_a_class_can_do_is_read_where_steps_mirror_and_may_be_read(
    cluster: Cluster, gateway_api: GatewayApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway_api.install()
    control_plane, place = cluster.control_plane, cluster.namespace

    def asks(**step: int) -> Object:
        traffic = {"gateway": {"parentRefs": [{"name": "edge"}]}}
        rollout = {"steps": [step], "traffic": traffic}
        return {
            "metadata": {"name": "glyphs", "namespace": place},
            "spec": {"rollout": rollout},
        }

    chart = chart_kubeconfig(control_plane, place, tmp_path)

    async def read(kubeconfig: Path, model: Object) -> tuple[GatewayFacts, ...]:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        api = Api(await connect())
        try:
            return await Gateways(api).of(model)
        finally:
            await api.close()

    async def edge(kubeconfig: Path = control_plane.kubeconfig) -> GatewayFacts:
        (found,) = await read(kubeconfig, asks(mirror=5))
        assert (found.namespace, found.name) == (place, "edge")
        return found

    assert await read(control_plane.kubeconfig, asks(setWeight=5)) == ()
    assert (await edge()).problem == "it is not there"
    cluster.apply(EDGE)
    assert (await edge()).problem == "GatewayClass lockstep-test is not there"
    cluster.apply(CLASS)
    assert "no `status.supportedFeatures`" in (await edge()).problem
    listed = {"supportedFeatures": [{"name": MIRROR}, {"name": "HTTPRouteMethodMatching"}]}
    control_plane.set_status("gatewayclass", "lockstep-test", place, listed)
    assert (await edge()).features == frozenset({MIRROR, "HTTPRouteMethodMatching"})
    namespaced = await edge(chart)
    assert namespaced.features is None
    assert "gatewayclasses" in namespaced.problem
    assert "forbidden" in namespaced.problem


def achieved(cluster: Cluster) -> int:
    weights = cluster.status("er", "glyphs-r2").get("weights") or {}
    return int(weights.get("achieved", 0))
