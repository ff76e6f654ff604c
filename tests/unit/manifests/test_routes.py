"""The HTTPRoute: who gets which share, and that nobody else gets any."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep_operator.api.objects import Model, Object
from lockstep_operator.decide.vocabulary.compare import difference, spec_difference, with_hash
from lockstep_operator.manifests.routes import http_route
from tests.unit.manifests.support import samples

pytestmark = pytest.mark.unit

HOLDER, CANDIDATE = "glyphs-r1", "glyphs-r2"


def model(**gateway: Any) -> Model:
    gateway = {"parentRefs": [{"name": "edge", "namespace": "infra"}]} | gateway
    traffic = {"router": "GatewayAPI", "gateway": gateway}
    return samples.model(rollout={"traffic": traffic})


def named(rule: Object) -> set[str]:
    """Values of the header that a rule asks for."""
    return {
        header["value"]
        for match in rule["matches"]
        for header in match.get("headers", ())
        if (header["name"], header["type"]) == ("x-lockstep-release", "Exact")
    }


def shares(rule: Object) -> dict[str, int]:
    return {backend["name"]: backend["weight"] for backend in rule["backendRefs"]}


def test_alone_the_holder_gets_everything() -> None:
    route = http_route(model(hostnames=["search.example"]), HOLDER)
    assert route["metadata"]["name"] == "glyphs"
    (owner,) = route["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("EmbeddingModel", "glyphs")
    assert route["metadata"]["labels"]["lockstep.dev/model"] == "glyphs"
    spec = route["spec"]
    assert spec["hostnames"] == ["search.example"]
    (parent,) = spec["parentRefs"]
    assert parent == {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": "edge",
        "namespace": "infra",
    }
    (rule,) = spec["rules"]
    assert shares(rule) == {"glyphs-r1-encoder": 100}
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]


@given(weight=st.integers(0, 100), mirror=st.integers(0, 100))
def test_beside_a_candidate_both_are_listed_and_only_weights_differ(
    weight: int, mirror: int
) -> None:
    route = http_route(model(), HOLDER, candidate=CANDIDATE, weight=weight, mirror=mirror)
    *testers, everybody = route["spec"]["rules"]
    assert shares(everybody) == {"glyphs-r1-encoder": 100 - weight, "glyphs-r2-encoder": weight}
    assert sum(shares(everybody).values()) == 100
    assert [named(rule) for rule in testers] == [{"r2", CANDIDATE}, {"r1", HOLDER}]
    assert [shares(rule) for rule in testers] == [
        {"glyphs-r2-encoder": 100},
        {"glyphs-r1-encoder": 100},
    ]
    assert not any(rule["filters"] for rule in testers), "what a tester asks is never copied"
    copies = [filter_["requestMirror"] for filter_ in everybody["filters"]]
    assert [copy["percent"] for copy in copies] == ([mirror] if mirror else [])
    assert all(copy["backendRef"]["name"] == "glyphs-r2-encoder" for copy in copies)
    zero = http_route(model(), HOLDER, candidate=CANDIDATE, mirror=mirror)
    for backend in (*zero["spec"]["rules"][-1]["backendRefs"], *everybody["backendRefs"]):
        backend.pop("weight")
    assert zero["spec"] == route["spec"]


def test_a_model_without_a_gateway_has_no_route() -> None:
    with pytest.raises(ValueError, match="names no Gateway"):
        http_route(samples.model(), HOLDER)


def _third_backend(spec: Object) -> None:
    retained = {**spec["rules"][-1]["backendRefs"][0], "name": "glyphs-r9-encoder", "weight": 1}
    spec["rules"][-1]["backendRefs"].append(retained)


def _another_rule(spec: Object) -> None:
    spec["rules"].append(spec["rules"][-1])


def _a_filter(spec: Object) -> None:
    spec["rules"][0]["backendRefs"][0]["filters"] = [{"type": "URLRewrite"}]


def _sticky(spec: Object) -> None:
    spec["rules"][-1]["sessionPersistence"] = {"sessionName": "sticky"}


def _a_hostname(spec: Object) -> None:
    spec["hostnames"] = ["other.example"]


def _a_parent(spec: Object) -> None:
    spec["parentRefs"].append({**spec["parentRefs"][0], "name": "other"})


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        (_third_backend, "spec.rules"),
        (_another_rule, "spec.rules"),
        (_a_filter, "spec.rules"),
        (_sticky, "spec.rules"),
        (_a_hostname, "spec.hostnames"),
        (_a_parent, "spec.parentRefs"),
    ],
)
def test_whatever_a_hand_adds_is_a_difference(edit: Any, where: str) -> None:
    manifest = http_route(model(), HOLDER, candidate=CANDIDATE, weight=10)
    live = with_hash(http_route(model(), HOLDER, candidate=CANDIDATE, weight=10))
    assert difference(manifest, live) is None
    edit(live["spec"])
    assert difference(manifest, live) == where


def _a_redirect(spec: Object) -> None:
    spec["rules"][-1]["filters"] = [{"type": "RequestRedirect"}]


def _timeouts(spec: Object) -> None:
    spec["rules"][-1]["timeouts"] = {"request": "10s"}


def _a_name_and_retries(spec: Object) -> None:
    spec["rules"][0] |= {"name": "testers", "retry": {"attempts": 2}}


def _a_port(spec: Object) -> None:
    spec["parentRefs"][0]["port"] = 443


def _no_empty_lists(spec: Object) -> None:
    del spec["hostnames"]
    for rule in spec["rules"]:
        del rule["filters"]


def _another_gateway_by_default(spec: Object) -> None:
    spec["useDefaultGateways"] = "None"


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        (_a_redirect, "spec.rules"),
        (_timeouts, None),
        (_a_name_and_retries, None),
        (_a_port, None),
        (_no_empty_lists, None),
        (_another_gateway_by_default, None),
    ],
)
def test_what_leads_no_request_elsewhere_is_none(edit: Any, where: str | None) -> None:
    manifest = http_route(model(), HOLDER, candidate=CANDIDATE, weight=10)
    live = with_hash(http_route(model(), HOLDER, candidate=CANDIDATE, weight=10))
    edit(live["spec"])
    assert difference(manifest, live) == spec_difference(manifest, live) == where
