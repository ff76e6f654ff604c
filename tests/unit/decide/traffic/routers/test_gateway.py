"""The router GatewayAPI in a world whose Gateway answers when the test says so."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.snapshot import snapshot
from lockstep_operator.decide.snapshot.observed import FOREIGN_OWNER, GatewayFacts, Refusal
from lockstep_operator.decide.traffic.routers.gateway import MIRROR, MIRROR_PERCENT, GatewayAPI
from lockstep_operator.decide.traffic.routers.router import Traffic
from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit

ROUTE = ("HTTPRoute", "glyphs")
R1, R2 = "glyphs-r1", "glyphs-r2"
PARENT = {
    "group": "gateway.networking.k8s.io",
    "kind": "Gateway",
    "name": "edge",
    "namespace": "infra",
}
TRAFFIC = {
    "router": "GatewayAPI",
    "gateway": {"parentRefs": [{"name": "edge", "namespace": "infra"}]},
}
CAN_COPY = (GatewayFacts("infra", "edge", "able", frozenset({MIRROR, MIRROR_PERCENT})),)
STEPS = [{"setWeight": 5}, {"setWeight": 50}, {"pause": {}}]
ROUTER = GatewayAPI()


def condition(type_: str, status: str = "True", reason: str = "", message: str = "") -> Object:
    return {"type": type_, "status": status, "reason": reason or type_, "message": message}


def says(world: World, *conditions: Object, generation: int | None = None, **parent: Any) -> None:
    """The controller writes its word on the stored route."""
    seen = world.objects[ROUTE]["metadata"]["generation"] if generation is None else generation
    entry = {
        "parentRef": PARENT | parent,
        "controllerName": "example.net/gateway",
        "conditions": [found | {"observedGeneration": seen} for found in conditions],
    }
    world.set_status(*ROUTE, {"parents": [entry]})


def acts(world: World) -> World:
    says(world, condition("Accepted"), condition("ResolvedRefs"))
    return world


def live(world: World, limit: int = 30) -> World:
    """Pods become ready, the Gateway acts on the route, until nothing changes any more."""
    for _ in range(limit):
        before = len(world.writes)
        world.settle().ready_all()
        if ROUTE in world.objects:
            acts(world)
        world.settle()
        if len(world.writes) == before:
            return world
    raise AssertionError("it does not settle")


def serving(*, steps: Any = STEPS, replicas: int = 4, **rollout: Any) -> World:
    """r1 serves, and the Gateway acts on the route to it alone."""
    world = World(gateway_api=True, gateways=CAN_COPY)
    spec = worlds.model_spec(serving={"replicas": replicas})
    asked: Object = {"steps": copy.deepcopy(list(steps)), "traffic": copy.deepcopy(TRAFFIC)}
    spec["rollout"] |= asked | rollout
    world.apply_model(**spec).apply_index().run()
    return live(world)


def canary(**spec: Any) -> World:
    """r2 stands at its first step: the route asks for it, and the Gateway has not read that."""
    world = serving(**spec).change_model("training.seed", 7)
    for _ in range(12):
        world.settle().end_jobs().settle()
        if world.has_release(2) and world.stage(2) == "Canary":
            return world
        world.ready_all().settle()
        if world.has_release(2) and world.stage(2) == "Canary":
            return world
    raise AssertionError(f"r2 is {world.stage(2)}: {world.status['message']}")


def context(world: World) -> ReconcileContext:
    return ReconcileContext(snapshot.read(world.observed(), world.settings, world.now))


def backends(world: World, rule: int = -1) -> dict[str, int]:
    found = world.objects[ROUTE]["spec"]["rules"][rule]["backendRefs"]
    return {backend["name"].removesuffix("-encoder"): backend["weight"] for backend in found}


def everywhere(world: World) -> set[str]:
    """All releases that a request may reach through the route."""
    count = len(world.objects[ROUTE]["spec"]["rules"])
    return {name for rule in range(count) for name in backends(world, rule)}


def test_the_route_is_there_from_the_first_release_on() -> None:
    world = serving()
    assert world.entry() == R1
    assert backends(world) == {R1: 100}
    assert everywhere(world) == {R1}
    assert world.says("StepsAccepted") == (
        "True",
        "StepsAccepted",
    )


def test_a_step_is_over_when_the_gateway_acts_on_the_weight() -> None:
    world = canary()
    assert backends(world) == {R1: 95, R2: 5}
    assert world.entry() == R1, "requests from inside the cluster stay with the holder"
    for _ in range(3):
        world.pass_time(20).settle()
    assert world.record(2)["step"]["index"] == 0, "nobody has read the weight yet"
    acts(world).settle()
    assert world.record(2)["weights"]["achieved"] == 5
    assert world.record(2)["step"]["index"] == 1
    live(world)
    assert backends(world) == {R1: 50, R2: 50}
    assert world.record(2)["weights"] | {"since": ""} == {"asked": 50, "achieved": 50, "since": ""}
    assert world.record(2)["step"]["index"] == 2


def test_promotion_leaves_one_backend_and_is_read_back_from_the_gateway() -> None:
    world = live(canary()).annotate("promote", "r2")
    for _ in range(6):
        world.settle().ready_all().settle()
    assert world.entry() == R2
    assert everywhere(world) == {R2}
    assert world.stage(2) == "Promoting", "the Gateway may still send requests to r1"
    told = "waits for all requests: Gateway infra/edge has not read the last change of HTTPRoute"
    assert told in world.status["message"]
    live(world)
    assert (world.stage(1), world.stage(2)) == ("Retained", "Serving")


def test_an_abort_takes_the_candidate_out_of_the_route_before_its_pods() -> None:
    world = live(canary()).annotate("abort", "r2").settle()
    assert everywhere(world) == {R1}
    assert world.stage(2) == "RollingBack"
    world.pass_time(60).settle()
    assert world.stage(2) == "RollingBack", "the Gateway has not said that it read the change"
    assert ("Deployment", "glyphs-r2-encoder") in world.objects
    live(world)
    world.pass_time(60).settle()
    assert world.stage(2) == "Superseded"


def test_nothing_is_written_while_a_step_waits() -> None:
    world = live(canary())
    before = len(world.writes)
    for _ in range(10):
        world.pass_time(60).settle()
    assert world.writes[before:] == []


def test_a_hand_edit_of_the_route_is_undone() -> None:
    world = serving()

    def change(raw: Object) -> None:
        raw["spec"] = copy.deepcopy(raw["spec"])
        backend = raw["spec"]["rules"][0]["backendRefs"][0]
        raw["spec"]["rules"][0]["backendRefs"].append({**backend, "name": "stranger"})

    world.edit(*ROUTE, change)
    assert ROUTER.verify(context(world), Traffic(R1)).missing == (
        "HTTPRoute glyphs is not as asked yet: something else changes `spec.rules`"
    )
    world.settle()
    assert backends(world) == {R1: 100}


def test_a_router_or_traffic_that_is_gone_takes_the_route_with_it() -> None:
    world = serving()
    world.change_model("rollout.traffic", {"router": "Replicas"}).settle()
    assert ROUTE not in world.objects
    assert world.entry() == R1
    world.change_model("rollout.traffic", TRAFFIC).settle()
    assert backends(world) == {R1: 100}
    world.change_model("rollout.traffic", {}).settle()
    assert ROUTE not in world.objects


def test_a_cluster_without_the_kind_serves_and_says_what_lacks() -> None:
    world = World()
    spec = worlds.model_spec()
    spec["rollout"] |= {"traffic": TRAFFIC}
    world.apply_model(**spec).apply_index().run()
    assert world.stage(1) == "Serving"
    assert world.entry() == R1
    assert ROUTE not in world.objects
    condition_ = world.condition("StepsAccepted")
    assert condition_ is not None
    assert condition_["status"] == "False"
    assert "the cluster has no kind HTTPRoute" in condition_["message"]
    assert "`router: Replicas`" in condition_["message"]
    before = len(world.writes)
    world.pass_time(600).settle()
    assert len(world.writes) == before
    world.gateway_api = True
    world.settle()
    assert backends(world) == {R1: 100}
    assert world.condition("StepsAccepted") is None


def test_a_route_of_someone_else_is_told_and_not_touched() -> None:
    world = World(gateway_api=True)
    foreign = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "glyphs", "labels": {}},
        "spec": {"rules": []},
    }
    world.create(foreign)
    spec = worlds.model_spec()
    spec["rollout"] |= {"traffic": TRAFFIC}
    world.apply_model(**spec).apply_index().run()
    assert world.objects[ROUTE]["spec"] == {"rules": []}
    assert world.entry() == R1
    problem = ROUTER.problem(context(world))
    assert problem is not None
    assert "exists and belongs to someone else" in problem


def test_a_stranger_known_from_a_refused_write_alone_stays_known() -> None:
    """A route without our label is not in the snapshot: only the refusal tells of it."""
    world = serving()
    world.objects.pop(ROUTE)
    world.tell(ROUTE)
    world.refusals = (Refusal("HTTPRoute", "glyphs", "belongs to someone else", FOREIGN_OWNER),)
    plan = world.decide()
    assert [found["kind"] for found in plan.apply] == ["HTTPRoute"], "asked again, so it stays told"
    assert "belongs to someone else" in str(plan.projections)


REFUSED = [
    (
        condition("Accepted", "False", "NotAllowedByListeners", "no namespace of that label."),
        ("Accepted=False, NotAllowedByListeners: no namespace of that label", "allowedRoutes"),
    ),
    (
        condition("Accepted", "False", "NoMatchingListenerHostname"),
        ("NoMatchingListenerHostname", "`spec.rollout.traffic.gateway.hostnames`"),
    ),
    (condition("Accepted", "False", "NoMatchingParent"), ("NoMatchingParent", "sectionName")),
    (
        condition("Accepted", "False", "UnsupportedValue", "RequestMirror"),
        ("UnsupportedValue: RequestMirror", "`mirror` step"),
    ),
    (
        condition("ResolvedRefs", "False", "RefNotPermitted", "no grant"),
        ("ResolvedRefs=False, RefNotPermitted: no grant", "log of its controller"),
    ),
    (
        condition("PartiallyInvalid", "True", "UnsupportedValue", "dropped rule 2"),
        ("PartiallyInvalid=True, UnsupportedValue: dropped rule 2", "`mirror` step"),
    ),
]


@pytest.mark.parametrize(("said", "words"), REFUSED, ids=lambda found: str(found)[-40:])
def test_a_refusal_is_told_in_the_controllers_words_with_the_fix(
    said: Object, words: tuple[str, ...]
) -> None:
    world = serving()
    others = [condition("Accepted"), condition("ResolvedRefs")]
    says(world, said, *(other for other in others if other["type"] != said["type"]))
    problem = ROUTER.problem(context(world))
    assert problem is not None
    assert problem.startswith("Gateway infra/edge refuses HTTPRoute glyphs (")
    for word in words:
        assert word in problem
    world.settle()
    assert world.says("StepsAccepted") == ("False", "StepsRefused")
    acts(world).settle()
    assert world.says("StepsAccepted") == ("True", "StepsAccepted")


def test_a_canary_waits_while_its_route_is_refused_and_goes_on_after() -> None:
    world = canary()
    says(world, condition("Accepted", "False", "NotAllowedByListeners"))
    world.settle()
    assert world.status["phase"] == "Paused"
    assert "Gateway infra/edge refuses HTTPRoute glyphs" in world.status["message"]
    live(world)
    assert world.record(2)["step"]["index"] == 2


def test_a_refusal_that_outlives_its_cause_ends_with_the_route() -> None:
    world = canary()
    says(world, condition("Accepted", "False", "NotAllowedByListeners"))
    world.settle()
    for _ in range(5):
        world.pass_time(3600).settle()
    assert world.status["phase"] == "Paused", "its controller does not look again"
    assert "where that is mended and this stays, delete the route" in world.status["message"]
    world.objects.pop(ROUTE)
    world.tell(ROUTE)
    live(world)
    assert world.record(2)["step"]["index"] == 2


def test_a_gateway_that_dates_nothing_is_refused_and_not_waited_for() -> None:
    world = serving()
    says(world, condition("Accepted"), condition("ResolvedRefs"))
    (entry,) = copy.deepcopy(world.objects[ROUTE]["status"]["parents"])
    for found in entry["conditions"]:
        del found["observedGeneration"]
    world.set_status(*ROUTE, {"parents": [entry]})
    world.settle()
    told = world.condition("StepsAccepted")
    assert told is not None and told["status"] == "False"
    assert told["message"].startswith("Gateway infra/edge does not say which change")
    for word in (
        "`observedGeneration`",
        "another class",
        "`spec.rollout.traffic.router: Replicas`",
    ):
        assert word in told["message"]
    assert not ROUTER.verify(context(world), Traffic(R1, R2, 5)).holds
    world.change_model("training.seed", 7)
    for _ in range(8):
        world.settle().end_jobs().settle().ready_all().settle().pass_time(300)
    assert world.stage(2) == "Warming" and world.entry() == R1, "it waits, and does not fail"
    acts(world).settle()
    assert world.says("StepsAccepted") == ("True", "StepsAccepted")


def test_a_route_with_a_harmless_field_more_is_as_asked() -> None:
    """An admission policy sets it anew at each write: the canary must not wait for its end."""
    world = canary()

    def change(raw: Object) -> None:
        raw["spec"] = copy.deepcopy(raw["spec"])
        raw["spec"]["parentRefs"][0]["port"] = 80
        for rule in raw["spec"]["rules"]:
            rule["timeouts"] = {"request": "10s"}
            del rule["filters"]

    world.edit(*ROUTE, change)
    before = len(world.writes)
    world.settle()
    assert world.writes[before:] == [], "nothing to undo"
    acts(world)
    assert ROUTER.verify(context(world), Traffic(R1, R2, 5)).holds
    assert world.settle().record(2)["step"]["index"] == 1


NOT_YET = [
    ((), {}, "Gateway infra/edge has not taken up HTTPRoute glyphs: is it there"),
    ((condition("Accepted"),), {"name": "other"}, "has not taken up"),
    ((condition("Accepted"),), {"sectionName": "web"}, "has not taken up"),
    ((condition("Accepted"),), {}, "has not read the last change"),
    ((condition("Accepted"), condition("ResolvedRefs", "Unknown")), {}, "has not read"),
    (
        (condition("Accepted"), condition("ResolvedRefs", "False", "BackendNotFound", "r2")),
        {},
        "does not act on HTTPRoute glyphs (ResolvedRefs=False, BackendNotFound: r2)",
    ),
]


@pytest.mark.parametrize(("conditions", "parent", "told"), NOT_YET)
def test_a_weight_does_not_hold_before_every_parent_acts_on_it(
    conditions: tuple[Object, ...], parent: Object, told: str
) -> None:
    world = canary()
    says(world, *conditions, **parent)
    if not conditions:
        world.set_status(*ROUTE, {"parents": []})
    routed = ROUTER.verify(context(world), Traffic(R1, R2, 5))
    assert (routed.holds, routed.achieved) == (False, 5)
    assert told in routed.missing
    assert ROUTER.problem(context(world)) is None, "it may pass by itself"


def test_the_word_on_an_earlier_generation_does_not_count() -> None:
    world = canary()
    before = world.objects[ROUTE]["metadata"]["generation"] - 1
    says(world, condition("Accepted"), condition("ResolvedRefs"), generation=before)
    assert (
        "has not read the last change" in ROUTER.verify(context(world), Traffic(R1, R2, 5)).missing
    )
    assert not ROUTER.verify(context(world), Traffic(R1, R2, 6)).holds
    acts(world)
    assert ROUTER.verify(context(world), Traffic(R1, R2, 5)).holds


def test_all_parents_must_act() -> None:
    gateway = {"parentRefs": [{"name": "edge", "namespace": "infra"}, {"name": "inner"}]}
    world = canary(traffic={"router": "GatewayAPI", "gateway": gateway})
    routed = ROUTER.verify(context(world), Traffic(R1, R2, 5))
    assert "Gateway infra/edge" in routed.missing
    acts(world)
    routed = ROUTER.verify(context(world), Traffic(R1, R2, 5))
    assert "Gateway shop/inner has not taken up" in routed.missing
    (one,) = world.objects[ROUTE]["status"]["parents"]
    inner = {**one, "parentRef": {"name": "inner"}}
    world.set_status(*ROUTE, {"parents": [one, inner]})
    assert ROUTER.verify(context(world), Traffic(R1, R2, 5)).holds


MIRRORED = [{"mirror": 10}, {"setWeight": 50}, {"pause": {}}]
ABLE, BARE = frozenset({MIRROR, MIRROR_PERCENT}), frozenset({"HTTPRouteMethodMatching"})


@pytest.mark.parametrize(
    ("gateways", "words"),
    [
        ((GatewayFacts("infra", "edge", "traefik", BARE),), "class traefik of Gateway infra/edge"),
        ((GatewayFacts("infra", "edge", "some", ABLE - {MIRROR_PERCENT}),), MIRROR_PERCENT),
        ((GatewayFacts("infra", "edge", problem="it is not there"),), "(it is not there)"),
        ((), "(it was not read)"),
    ],
)
def test_a_class_that_cannot_copy_is_never_asked_to(gateways: Any, words: str) -> None:
    """Such a one may accept the route and answer every request of it with 500."""
    world = serving(steps=MIRRORED)
    world.gateways = gateways
    world.change_model("training.seed", 7)
    for _ in range(6):
        world.settle().end_jobs().settle().ready_all().settle()
    assert world.stage(2) == "Warming"
    problem = ROUTER.problem(context(world))
    assert problem is not None
    assert problem.startswith("`spec.rollout.steps[0].mirror` is 10, and ")
    assert words in problem
    assert problem in world.status["message"]
    assert world.look_again_after is not None, "a class may learn"
    asked = context(world)
    ROUTER.steer(asked, Traffic(R1, R2, 0, 10))
    (route,) = [found for found in asked.apply if found["kind"] == "HTTPRoute"]
    assert [rule["filters"] for rule in route["spec"]["rules"]] == [[], [], []]
    assert not ROUTER.verify(context(world), Traffic(R1, R2, 0, 10)).holds
    world.gateways = CAN_COPY
    live(world)
    assert world.stage(2) == "Canary"


TRUSTED = {**TRAFFIC, "gateway": {**TRAFFIC["gateway"], "mirroring": "Trusted"}}
SILENT = GatewayFacts("infra", "edge", "envoy", problem="GatewayClass envoy has no `status.…`")


@pytest.mark.parametrize(
    ("gateways", "trusted", "words"),
    [
        ((SILENT,), False, "set `spec.rollout.traffic.gateway.mirroring: Trusted`"),
        ((SILENT,), True, None),
        ((), True, None),
        ((GatewayFacts("infra", "edge", "traefik", BARE),), True, "class traefik of Gateway"),
    ],
    ids=["silence is no yes", "unless it is trusted", "nor read", "what is listed is believed"],
)
def test_a_class_that_lists_nothing_copies_where_it_is_trusted(
    gateways: Any, trusted: bool, words: str | None
) -> None:
    world = serving(steps=MIRRORED, traffic=TRUSTED if trusted else TRAFFIC)
    world.gateways = gateways
    problem = ROUTER.problem(context(world))
    assert problem is None if words is None else words in (problem or "")
    asked = context(world)
    ROUTER.steer(asked, Traffic(R1, R2, 0, 10))
    (route,) = [found for found in asked.apply if found["kind"] == "HTTPRoute"]
    copies = [f["requestMirror"]["percent"] for f in route["spec"]["rules"][-1]["filters"]]
    assert copies == ([10] if words is None else [])


def test_copies_are_asked_of_a_class_that_can_and_end_with_the_step() -> None:
    world = canary(steps=[{"mirror": 100}, {"mirror": 0}, {"pause": {}}])
    (filter_,) = world.objects[ROUTE]["spec"]["rules"][-1]["filters"]
    assert filter_["requestMirror"]["percent"] == 100
    assert filter_["requestMirror"]["backendRef"]["name"] == "glyphs-r2-encoder"
    live(world)
    assert world.objects[ROUTE]["spec"]["rules"][-1]["filters"] == []
    assert backends(world) == {R1: 100, R2: 0}


@pytest.mark.parametrize(
    ("replicas", "capacity", "weight", "mirror", "pods"),
    [
        (4, "Availability", 0, 0, 1),
        (4, "Availability", 5, 0, 1),
        (4, "Availability", 26, 0, 2),
        (4, "Availability", 50, 0, 2),
        (4, "Availability", 5, 75, 3),
        (4, "Availability", 0, 100, 4),
        (4, "Availability", 100, 0, 4),
        (1, "Availability", 50, 0, 1),
        (4, "ResourceAware", 90, 0, 3),
        (4, "ResourceAware", 0, 100, 3),
        (4, "ResourceAware", 100, 0, 4),
        (1, "ResourceAware", 50, 0, 1),
    ],
)
def test_pods_for_a_share(
    replicas: int, capacity: str, weight: int, mirror: int, pods: int
) -> None:
    world = World(gateway_api=True)
    spec = worlds.model_spec(serving={"replicas": replicas})
    spec["rollout"] |= {"traffic": TRAFFIC, "capacity": capacity}
    world.apply_model(**spec).apply_index()
    assert ROUTER.replicas_for(context(world), weight, mirror) == pods


def test_a_mirror_is_not_looked_at_again_and_again_where_the_kind_is_not_served() -> None:
    gateway = {"parentRefs": [{"name": "edge"}]}
    traffic = {"router": "GatewayAPI", "gateway": gateway}
    world = worlds.healthy(rollout={"steps": [{"mirror": 10}], "traffic": traffic})
    assert not world.gateway_api and ROUTER.look_again_in(context(world)) is None
    world.gateway_api = True
    assert ROUTER.look_again_in(context(world)) == 60.0
