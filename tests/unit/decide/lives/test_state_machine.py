"""Any interleaving of people, failures, slow watches and kills keeps the promises, and settles.

The operator's own writes are seen at once, everything else only when the watch tells it, object by
object and in any order; a restart lists all anew. See `worlds`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


ENDED = {"Failed", "Superseded", "Retired"}
RESTING = ENDED | {"Serving", "Retained"}
VERBS = ("promote", "abort", "rollback", "retry")
pick = st.integers(min_value=0, max_value=1000)


SHORT_STEPS = [{"setWeight": 50}, {"pause": {"seconds": 30}}]
JUDGED_STEPS = [{"setWeight": 50}, {"analysis": {"gates": ["errors"]}}]
GATES = [worlds.GATE, worlds.ERRORS]
ROUTE = {"router": "GatewayAPI", "gateway": {"parentRefs": [{"name": "edge"}]}}
IMPORTED = {
    "training": None,
    "artifact": {"uri": "file:///artifacts/imports", "digest": "sha256:" + 64 * "0"},
    "evaluation": {"data": {"uri": "file:///artifacts/held-out.npz", "format": "NPZ"}},
}


def routed() -> World:
    """r2 takes a step through a Gateway, and is to be judged then."""
    spec = worlds.model_spec(serving={"replicas": 2})
    spec["rollout"] |= {"steps": JUDGED_STEPS, "gates": GATES, "traffic": ROUTE}
    world = worlds.World(gateway_api=True, tended=True).apply_model(**spec).apply_index().run()
    world.tended = False
    return world.change_model("training.seed", 7).run_to("Canary", 2)


def judged() -> World:
    return worlds.canary(steps=JUDGED_STEPS, replicas=2, at=1, gates=GATES)


def watched() -> World:
    """r2 was just promoted, and is judged on all requests."""
    found = {"gates": GATES, "afterPromotion": {"gates": ["errors"]}}
    return worlds.healthy(rollout=found).change_model("training.seed", 7).run()


STARTS = {
    "model first": lambda: worlds.World().apply_model().apply_index(),
    "index first": lambda: worlds.World().apply_index().apply_model(),
    "r1 serves": worlds.healthy,
    "r2 is evaluated": lambda: worlds.second("Evaluating"),
    "r2 warms": lambda: worlds.second("Warming"),
    "r2 serves": worlds.two,
    "r2 takes a step": lambda: worlds.canary(at=1),
    "r2 waits at a step": lambda: worlds.canary(at=3),
    "r2 takes a step through a Gateway": routed,
    "r2 is judged by its requests": judged,
    "r2 is judged after its promotion": watched,
    "an import": lambda: worlds.World().apply_model(**IMPORTED).apply_index(),
    "r1 serves with monitors": worlds.monitored,
    "r2 shares the pods": lambda: worlds.canary(replicas=4, at=2, capacity="ResourceAware"),
}


class Releases(RuleBasedStateMachine):
    """Rules are what happens around the operator; `operate` is the operator itself."""

    @initialize(start=st.sampled_from(sorted(STARTS)))
    def begin(self, start: str) -> None:
        self.world = STARTS[start]()
        self.facts: dict[str, dict[str, Any]] = {}
        self.lost: dict[str, set[str]] = {}
        self.falling: dict[str, int] = {}
        self.tokens = 0
        # No cluster loses its Gateway API in these runs.
        self.world.gateway_api = True

    # -- the operator and its watch

    @rule(kill_after=st.none() | st.integers(min_value=0, max_value=6))
    def operate(self, kill_after: int | None) -> None:
        self._operate(kill_after)

    @rule(times=st.integers(min_value=1, max_value=4), kill_after=st.none() | st.just(1))
    def all_goes_well(self, times: int, kill_after: int | None) -> None:
        """The way of most releases, or no run would get far."""
        for _ in range(times):
            self.hear_all()
            self._operate(kill_after)
            self.operate_until_quiet()
            self.world.end_jobs().ready_all()

    @rule()
    def operate_until_quiet(self) -> None:
        for _ in range(6):
            before = len(self.world.writes)
            self._operate(None)
            if len(self.world.writes) == before:
                return

    def _operate(self, kill_after: int | None) -> None:
        world = self.world
        before, heard = world.entry(), dict(world.heard)
        shared, selector = self._shared(), self._selector()
        try:
            world.step(kill_after=kill_after)
        except worlds.Killed:
            world.restart()
        after = world.entry()
        if before is not None:
            assert after is not None, "the entry point disappeared"
        if after is not None and after != before:
            self._check_switch(after, heard)
        # Pods that come back behind a selector that stood are no new way to a release.
        if self._selector() != selector:
            for beside in self._shared() - shared - {after, before}:
                self._check_pair(beside, heard)

    def _selector(self) -> Any:
        return (self.world.objects.get(("Service", "glyphs")) or {}).get("spec", {}).get("selector")

    def _shared(self) -> set[str]:
        """Who stands behind the entry point, where more than one does."""
        found = self.world.behind_entry()
        return found if len(found) > 1 else set()

    def _check_switch(self, release: str, heard: dict[Any, Any]) -> None:
        """What the operator knew when it moved the entry: a whole pair of one space."""
        raw = heard["EmbeddingRelease", release]
        status = raw["status"]
        if status.get("stage") not in ("Promoting", "Warming", "Retained"):
            return  # A hand edit or a deletion is put right.
        self._check_pair(release, heard)
        model = heard["EmbeddingModel", "glyphs"]
        number = raw["spec"]["number"]
        annotations = model["metadata"].get("annotations") or {}
        assert annotations.get("lockstep.dev/pause") != f"r{number}"
        if status.get("promotedAt") is None:
            assert not model["spec"]["rollout"].get("paused")

    def _check_pair(self, release: str, heard: dict[Any, Any]) -> None:
        raw = heard["EmbeddingRelease", release]
        status = raw["status"]
        encoder = heard["Deployment", f"{release}-encoder"]
        _assert_ready(encoder)
        space, told = worlds.served_space(encoder)
        assert space == status["training"]["spaceID"]
        for index in raw["spec"]["indexes"]:
            servers = heard["Deployment", f"{release}-{index['name']}"]
            _assert_ready(servers)
            assert worlds.served_build(servers) == told[index["name"]]
            assert told[index["name"]][1] == space

    @rule(which=pick)
    def hear_one(self, which: int) -> None:
        behind = self.world.behind()
        if behind:
            self.world.tell(behind[which % len(behind)])

    @rule()
    def hear_all(self) -> None:
        for key in self.world.behind():
            self.world.tell(key)

    @rule(seconds=st.sampled_from([1, 20, 61, 950, 2000, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    # -- controllers, kubelets, nodes

    @rule(which=pick, code=st.sampled_from([0, 0, 0, 0, 70, 75, 3, 74]), tell=st.booleans())
    def a_job_ends(self, which: int, code: int, tell: bool) -> None:
        jobs = self.world.jobs()
        if jobs:
            self.world.end_job(jobs[which % len(jobs)], code=code, tell=tell)

    @rule(which=pick, tell=st.booleans())
    def a_job_has_a_pod_that_cannot_start(self, which: int, tell: bool) -> None:
        jobs = [job for job in self.world.jobs() if self.world.pod_of(job) is None]
        if jobs:
            pod = self.world.start_pod(jobs[which % len(jobs)], tell=tell)
            waiting = {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}
            containers = [{"name": "main", "image": "x", "state": waiting}]
            self.world.set_status("Pod", pod, {"containerStatuses": containers}, tell=tell)

    @rule(which=pick, ready=st.sampled_from([None, None, None, 0]), tell=st.booleans())
    def pods_become_ready_or_not(self, which: int, ready: int | None, tell: bool) -> None:
        workloads = self.world.workloads()
        if workloads:
            self.world.ready(*workloads[which % len(workloads)], ready=ready, tell=tell)

    @rule()
    def all_pods_become_ready(self) -> None:
        self.world.ready_all()

    @rule(which=pick, tell=st.booleans())
    def someone_deletes_a_child(self, which: int, tell: bool) -> None:
        kinds = ("Job", "Pod", "Deployment", "Service", "HTTPRoute")
        children = [key for key in sorted(self.world.objects) if key[0] in kinds]
        if children:
            self.world.remove(*children[which % len(children)], tell=tell)

    @rule(which=pick, model=st.booleans(), seen=st.booleans(), tell=st.booleans())
    def files_are_lost(self, which: int, model: bool, seen: bool, tell: bool) -> None:
        """Of the model or of a build; a pod may start just then, and refuses them."""
        releases = self._releases()
        name, raw = releases[which % len(releases)] if releases else ("", {"status": {}})
        facts, builds = raw["status"].get("training"), raw["status"].get("builds")
        if facts is None or not (model or builds):
            return
        digest = facts["artifactDigest"] if model or not builds else builds[0]["buildDigest"]
        self.world.rotten = {*self.world.rotten, digest}
        runs = ("Deployment", f"{name}-encoder") in self.world.objects
        if seen and runs and ("Pod", f"{name}-refuses") not in self.world.objects:
            self.world.refuse(name, digest, tell=tell)

    @rule()
    def files_are_restored(self) -> None:
        self.world.rotten = set()
        self._let_pods_that_refuse_go()

    def _let_pods_that_refuse_go(self) -> None:
        for kind, name in sorted(self.world.objects):
            if kind == "Pod" and name.endswith("-refuses"):
                self.world.remove(kind, name)

    @rule(
        word=st.sampled_from(["acts", "acts", "acts", "is behind", "refuses"]), tell=st.booleans()
    )
    def a_gateway_speaks(self, word: str, tell: bool) -> None:
        self.world.speak(word, tell=tell)

    @rule(failed=st.sampled_from([0, 0, 0, 50, 300]))
    def requests_are_counted(self, failed: int) -> None:
        self.world.measure(failed)

    # -- people

    @rule(seed=st.integers(min_value=0, max_value=2), tell=st.booleans())
    def the_model_changes(self, seed: int, tell: bool) -> None:
        if self.world.objects["EmbeddingModel", "glyphs"]["spec"]["training"] is None:
            self.world.change_model("artifact.digest", f"sha256:{64 * str(seed)}", tell=tell)
        else:
            self.world.change_model("training.seed", seed, tell=tell)

    @rule(kind=st.sampled_from(["HNSW", "Flat"]))
    def the_index_changes(self, kind: str) -> None:
        self.world.change_index("index", {"type": kind})

    @rule()
    def a_second_index_comes_or_goes(self) -> None:
        if ("VectorIndex", "second") in self.world.objects:
            self.world.remove("VectorIndex", "second")
        else:
            self.world.apply_index("second")

    @rule(minimum=st.sampled_from(["0.95", "0.995"]), samples=st.sampled_from([200, 4623]))
    def bounds_and_data_change(self, minimum: str, samples: int) -> None:
        self.world.change_model("rollout.gates", [{**worlds.GATE, "min": minimum}])
        self.world.samples = samples

    @rule(replicas=st.integers(min_value=1, max_value=3), paused=st.booleans())
    def serving_and_policy_change(self, replicas: int, paused: bool) -> None:
        self.world.change_model("serving.replicas", replicas)
        self.world.change_model("rollout.paused", paused)

    @rule(most=st.none() | st.integers(min_value=1, max_value=4))
    def autoscaling_comes_or_goes(self, most: int | None) -> None:
        found = None if most is None else {"minReplicas": 1, "maxReplicas": most}
        self.world.change_model("serving.autoscaling", found)

    @rule(which=pick, count=st.integers(min_value=1, max_value=4), tell=st.booleans())
    def an_autoscaler_scales(self, which: int, count: int, tell: bool) -> None:
        kind = "HorizontalPodAutoscaler"
        names = [name for found, name in sorted(self.world.objects) if found == kind]
        if names and ("Deployment", names[which % len(names)]) in self.world.objects:
            self.world.scale(names[which % len(names)], count, tell=tell)

    @rule(verb=st.sampled_from(("rollback", *VERBS)), number=st.integers(min_value=1, max_value=3))
    def someone_asks(self, verb: str, number: int) -> None:
        self.tokens += 1
        self.world.annotate(verb, f"r{number}.{self.tokens}")

    @rule(verb=st.sampled_from(VERBS))
    def someone_asks_about_the_newest(self, verb: str) -> None:
        self.tokens += 1
        numbers = [raw["spec"]["number"] for _, raw in self._releases()]
        self.world.annotate(verb, f"r{max(numbers, default=1)}.{self.tokens}")

    @rule(
        steps=st.sampled_from([[], SHORT_STEPS, worlds.STEPS, JUDGED_STEPS, [{"setWeight": 7}]]),
        hold=st.none() | st.just(1),
        promotion=st.sampled_from(["Automatic", "Manual"]),
        capacity=st.sampled_from(["Availability", "ResourceAware"]),
        supersede=st.sampled_from(["Restart", "Queue"]),
    )
    def the_rollout_changes(self, **fields: Any) -> None:
        steps, hold = fields.pop("steps"), fields.pop("hold")
        fields |= {"steps": steps, "holdAtStep": hold if steps else None}
        if steps == JUDGED_STEPS:
            fields["gates"] = GATES
        for name, value in fields.items():
            self.world.change_model(f"rollout.{name}", value)

    @rule(traffic=st.sampled_from([ROUTE, {"router": "Replicas"}]))
    def the_router_changes(self, traffic: Any) -> None:
        self.world.change_model("rollout.traffic", traffic)

    @rule(number=st.none() | st.integers(min_value=1, max_value=5))
    def someone_pauses(self, number: int | None) -> None:
        self.world.annotate("pause", None if number is None else f"r{number}")

    # -- drift

    @rule(
        actions=st.lists(
            st.sampled_from(["Alert", "Pause", "Rollback", "Retrain", "Rebuild"]), unique=True
        ),
        approval=st.sampled_from(["Human", "None"]),
    )
    def a_policy_comes_or_changes(self, actions: list[str], approval: str) -> None:
        at_once = ("Alert", "Pause")
        rules = [
            {"when": "Invalid", "do": deed}
            | ({} if deed in at_once else {"approval": approval, "cooldownSeconds": 600})
            for deed in actions
        ]
        key = "DriftPolicy", worlds.POLICY
        if key in self.world.objects:
            self.world.edit(*key, lambda raw: raw["spec"].update(actions=rules))
        else:
            self.world.create(worlds.own_object(*key, worlds.policy_spec(actions=rules)))

    @rule()
    def a_policy_goes(self) -> None:
        self.world.remove("DriftPolicy", worlds.POLICY)

    @rule(seen=st.booleans(), made=st.integers(min_value=0, max_value=5), tell=st.booleans())
    def monitors_show_something(self, seen: bool, made: int, tell: bool) -> None:
        self.world.drift_releases = made
        worlds.show_drift(self.world, seen=seen)

    @rule(tell=st.booleans())
    def someone_approves(self, tell: bool) -> None:
        raw = self.world.objects.get(("DriftPolicy", worlds.POLICY))
        request = ((raw or {}).get("status") or {}).get("request")
        if raw is not None and request is not None:
            annotations = {"annotations": {"lockstep.dev/approve": request["id"]}}
            self.world.edit(
                "DriftPolicy",
                worlds.POLICY,
                lambda found: found["metadata"].update(annotations),
                tell=tell,
            )

    # -- promises

    @invariant()
    def a_request_makes_one_release_at_most(self) -> None:
        made = [(raw["spec"].get("drift") or {}).get("request") for _, raw in self._releases()]
        asked = [request for request in made if request is not None]
        assert len(asked) == len(set(asked)), asked

    def _releases(self) -> list[tuple[str, Any]]:
        objects = self.world.objects.items()
        return [(name, raw) for (kind, name), raw in objects if kind == "EmbeddingRelease"]

    @invariant()
    def never_two_live_jobs_of_one_kind(self) -> None:
        live = []
        for job in self.world.jobs():
            labels = self.world.objects["Job", job]["metadata"]["labels"]
            live.append(
                tuple(labels.get(f"lockstep.dev/{k}") for k in ("release", "component", "index"))
            )
        assert len(live) == len(set(live)), live

    @invariant()
    def encoder_and_indexes_of_a_release_share_one_space(self) -> None:
        for name, raw in self._releases():
            encoder = self.world.objects.get(("Deployment", f"{name}-encoder"))
            for index in raw["spec"]["indexes"]:
                servers = self.world.objects.get(("Deployment", f"{name}-{index['name']}"))
                if encoder is None or servers is None:
                    continue
                space, told = worlds.served_space(encoder)
                assert worlds.served_build(servers) == told[index["name"]]
                assert told[index["name"]][1] == space

    @invariant()
    def facts_are_written_once(self) -> None:
        """But for those of an artifact that was lost, and of what follows from it."""
        for _, raw in self._releases():
            uid, status = raw["metadata"]["uid"], raw["status"]
            facts, lost = self.facts.setdefault(uid, {}), self.lost.setdefault(uid, set())
            for damaged in status.get("damaged") or []:
                lost |= {f"build {damaged['index']}"} if "index" in damaged else set(facts)
            builds = {f"build {b['index']}": b for b in status.get("builds") or []}
            now = {"training": status.get("training"), **builds}
            for key, value in list(facts.items()):
                if key in lost and now.get(key) is None:
                    del facts[key]
                    lost.discard(key)
                else:
                    assert now.get(key) == value, f"{key} changed"
            facts.update({key: value for key, value in now.items() if value is not None})

    @invariant()
    def the_entry_point_selects_stable_and_its_candidate_at_most(self) -> None:
        found = self.world.behind_entry()
        assert len(found) <= 2, found
        if len(found) == 2:
            (beside,) = found - {self.world.entry()}
            record = self.world.objects["EmbeddingRelease", beside]["status"]
            assert record.get("canaryOf") == self.world.entry()

    @invariant()
    def weights_sum_to_a_hundred(self) -> None:
        status = self.world.objects["EmbeddingModel", "glyphs"].get("status") or {}
        told = [(status.get(k) or {}).get("weight") for k in ("stable", "candidate")]
        assert sum(weight or 0 for weight in told) in (0, 100), told

    @invariant()
    def no_gateway_sends_requests_to_a_release_that_ended(self) -> None:
        stages = {name: raw["status"].get("stage") for name, raw in self._releases()}
        for name, weight in self.world.routed.items():
            assert not weight or stages.get(name) not in ENDED, (name, stages.get(name))
        route = self.world.objects.get(("HTTPRoute", "glyphs"))
        rules = route["spec"]["rules"] if route else []
        assert all(sum(b["weight"] for b in rule["backendRefs"]) == 100 for rule in rules)

    @invariant()
    def a_candidate_that_gives_its_traffic_back_gets_no_more(self) -> None:
        for name, raw in self._releases():
            asked = (raw["status"].get("weights") or {}).get("asked", 0)
            uid = raw["metadata"]["uid"]
            if raw["status"].get("stage") == "RollingBack":
                assert asked <= self.falling.get(uid, 100), name
                self.falling[uid] = asked
            else:
                self.falling.pop(uid, None)

    @invariant()
    def at_most_one_release_serves_when_all_is_said(self) -> None:
        stages = [raw["status"].get("stage") for _, raw in self._releases()]
        assert stages.count("Serving") + stages.count("Finalizing") <= 2
        assert stages.count("Finalizing") <= 1

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        self._let_pods_that_refuse_go()
        world.restart()
        world.samples, world.tended = 4623, True
        world.annotate("pause", None)
        world.change_model("rollout.paused", False)
        world.change_model("rollout.gates", [worlds.GATE])
        world.change_model("rollout.holdAtStep", None)
        world.change_model("rollout.afterPromotion", None)
        # Beside it, no share of pods can be held.
        world.change_model("serving.autoscaling", None)
        # Of three shared pods no share is near to 50 %.
        world.change_model("serving.replicas", 2)
        if world.objects["EmbeddingModel", "glyphs"]["spec"]["rollout"].get("steps"):
            world.change_model("rollout.steps", SHORT_STEPS)
        self._run_out()
        for _ in range(4):
            if world.status.get("phase") != "Paused":
                break
            # What was measured does not decide, or a promotion is to be approved: a person does it.
            waits = world.says("Reconciling")
            assert waits in (("True", "GateInconclusive"), ("True", "ApprovalRequired")), waits
            candidate = world.status["candidate"]["release"]
            self.tokens += 1
            world.annotate("promote", f"{candidate}.{self.tokens}")
            self._run_out()
        assert worlds.is_empty(world.decide()), world.decide()
        stages = {name: raw["status"].get("stage") for name, raw in self._releases()}
        assert set(stages.values()) <= RESTING, (stages, world.status["message"])
        serving = [name for name, stage in stages.items() if stage == "Serving"]
        assert len(serving) <= 1 and world.entry() == (serving[0] if serving else world.entry())
        if not serving:
            assert world.status["phase"] == "Degraded", world.status["message"]
        if world.status["phase"] == "Healthy":
            self._assert_asked(serving[0])

    def _run_out(self) -> None:
        """Lets the world run, with its clock, until nothing is waited for but retention."""
        for _ in range(12):
            self.world.run(limit=40)
            self.never_two_live_jobs_of_one_kind()
            self.facts_are_written_once()
            wait = self.world.look_again_after
            if wait is None or wait > 5000:
                return
            self.world.pass_time(wait + 1)

    def _assert_asked(self, release: str) -> None:
        """Healthy means that what serves is what the specs ask for."""
        spec = self.world.release(int(release.rpartition("-r")[2]))["spec"]
        model = self.world.objects["EmbeddingModel", "glyphs"]["spec"]
        if model["training"] is None:
            assert spec["artifact"]["digest"] == model["artifact"]["digest"]
        else:
            assert spec["training"].get("seed", 0) == model["training"].get("seed", 0)
        live = {n: raw["spec"] for (k, n), raw in self.world.objects.items() if k == "VectorIndex"}
        frozen = {index["name"]: index for index in spec["indexes"]}
        for name, recipe in live.items():
            assert frozen[name]["index"]["type"] == recipe["index"]["type"]


def _assert_ready(raw: Any) -> None:
    wanted, status = raw["spec"]["replicas"], raw.get("status") or {}
    assert status.get("readyReplicas", 0) >= wanted, json.dumps(raw["metadata"]["name"])
    assert status["observedGeneration"] == raw["metadata"]["generation"]


TestReleases = Releases.TestCase
TestReleases.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
