"""A tiny cluster for `decide`: an API of dicts, an applier that can be killed, and a slow watch.

Nothing here is a test. The applier and the cache follow `runtime`: own writes are seen at once,
what others do is seen when the watch tells it, and a restart lists everything anew.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lockstep_core.protocol.environment import CONFIG_VARIABLE
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_operator.api.objects import Object
from lockstep_operator.api.release import Images
from lockstep_operator.decide import decide
from lockstep_operator.decide.context.plan import Event, Plan
from lockstep_operator.decide.snapshot.measurements import Measurement, Series, SeriesKey, Tally
from lockstep_operator.decide.snapshot.observed import (
    FOREIGN_OWNER,
    GatewayFacts,
    Observed,
    Refusal,
    Settings,
)
from lockstep_operator.decide.vocabulary.compare import difference, with_hash
from tests.unit.tallies import tally_of

NAMESPACE, MODEL = "shop", "glyphs"
START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SETTINGS = Settings(images=Images(trainer="trainer:1", encoder="encoder:1", indexer="indexer:1"))
DATA = "file:///artifacts/datasets/glyphs.npz"
GATE = {
    "name": "relevance",
    "type": "Recall",
    "k": 1,
    "min": "0.95",
    "minGainOverBaseline": "0.05",
    "minSamples": 300,
}
OWN = ("EmbeddingModel", "VectorIndex", "EmbeddingRelease")
Key = tuple[str, str]


class Killed(Exception):
    """The operator died before its next write."""


class Conflict(Exception):
    """A status was written against an old resourceVersion."""


def model_spec(**changes: Any) -> Object:
    spec: Object = {
        "artifacts": {"uri": "file:///artifacts", "claimName": "lockstep-artifacts"},
        "training": {
            "data": {"uri": DATA, "format": "NPZ"},
            "encoder": {"kind": "CNN", "dimension": 64},
            "budget": {"maxSteps": 400},
        },
        "rollout": {"gates": [copy.deepcopy(GATE)]},
    }
    return spec | changes


def index_spec(**changes: Any) -> Object:
    spec: Object = {
        "modelRef": {"name": MODEL},
        "source": {"uri": DATA, "format": "NPZ"},
        "index": {"type": "HNSW"},
    }
    return spec | changes


def sha(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass
class World:
    """What is true (`objects`), and what the operator has heard of it (`heard`)."""

    now: datetime = START
    objects: dict[Key, Object] = field(default_factory=dict)
    heard: dict[Key, Object] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    gateway_api: bool = False
    gateways: tuple[GatewayFacts, ...] = ()
    # Whether `run` lets the Gateways act on the route and measurements come.
    tended: bool = False
    # What the Gateways act on: percent of the requests by release.
    routed: dict[str, int] = field(default_factory=dict)
    measurements: dict[SeriesKey, Series] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    settings: Settings = SETTINGS
    look_again_after: float | None = None
    plan: Plan = field(default_factory=Plan)
    recall: float = 0.99
    samples: int = 4623
    build_changes: dict[str, Any] = field(default_factory=dict)
    # The operator dies instead of making the write of this number, once.
    kill_at: int | None = None
    was_killed: bool = False
    _serial: int = 0

    # -- the API server

    def put(self, raw: Object, *, tell: bool = True) -> Object:
        self._serial += 1
        metadata = raw["metadata"]
        metadata["resourceVersion"] = str(self._serial)
        self.objects[raw["kind"], metadata["name"]] = raw
        if tell:
            self.tell((raw["kind"], metadata["name"]))
        return raw

    def create(self, raw: Object, *, tell: bool = True) -> Object:
        raw = copy.deepcopy(raw)
        self._serial += 1
        metadata = raw["metadata"]
        assert (raw["kind"], metadata["name"]) not in self.objects
        metadata.setdefault("namespace", NAMESPACE)
        metadata["uid"] = f"uid-{self._serial}"
        metadata["creationTimestamp"] = self.text()
        metadata["generation"] = 1
        if raw["kind"] in OWN:
            raw["status"] = {"observedGeneration": -1}
        return self.put(raw, tell=tell)

    def remove(self, kind: str, name: str, *, tell: bool = True) -> None:
        """Background deletion: what the object owns goes too."""
        gone = self.objects.pop((kind, name), None)
        if gone is None:
            return
        if kind == "HTTPRoute":
            self.routed = {}
        if tell:
            self.tell((kind, name))
        uid = gone["metadata"]["uid"]
        for (child_kind, child), raw in list(self.objects.items()):
            owners = raw["metadata"].get("ownerReferences") or []
            if any(owner["uid"] == uid for owner in owners):
                self.remove(child_kind, child, tell=tell)

    def edit(self, kind: str, name: str, change: Any, *, tell: bool = True) -> None:
        """A change of the spec (or labels, annotations) by `change(raw)`."""
        raw = copy.deepcopy(self.objects[kind, name])
        before = copy.deepcopy(raw.get("spec"))
        change(raw)
        if raw.get("spec") != before:
            raw["metadata"]["generation"] += 1
        self.put(raw, tell=tell)

    def set_status(self, kind: str, name: str, status: Object, *, tell: bool = True) -> None:
        raw = copy.deepcopy(self.objects[kind, name])
        raw["status"] = {**(raw.get("status") or {}), **status}
        self.put(raw, tell=tell)

    # -- the watch

    def tell(self, key: Key) -> None:
        if key in self.objects:
            # Shared, never changed: a change of an object is another dict.
            self.heard[key] = self.objects[key]
        else:
            self.heard.pop(key, None)

    def behind(self) -> list[Key]:
        """What the operator has not heard yet."""
        keys = sorted({*self.objects, *self.heard})
        return [key for key in keys if self.objects.get(key) != self.heard.get(key)]

    def restart(self) -> None:
        """A new process lists everything, and remembers no refusal."""
        for key in self.behind():
            self.tell(key)
        self.refusals, self.measurements = (), {}

    def observed(self) -> Observed:
        def all_of(kind: str) -> tuple[Object, ...]:
            names = sorted(name for found, name in self.heard if found == kind)
            return tuple(self.heard[kind, name] for name in names)

        model = self.heard.get(("EmbeddingModel", MODEL))
        return Observed(
            namespace=NAMESPACE,
            name=MODEL,
            model=model,
            releases=all_of("EmbeddingRelease"),
            indexes=all_of("VectorIndex"),
            jobs=all_of("Job"),
            pods=all_of("Pod"),
            deployments=all_of("Deployment"),
            services=all_of("Service"),
            autoscalers=all_of("HorizontalPodAutoscaler"),
            routes=all_of("HTTPRoute"),
            gateway_api=self.gateway_api,
            gateways=self.gateways,
            refusals=self.refusals,
            measurements=self.measurements,
        )

    # -- the operator

    def decide(self) -> Plan:
        return decide(self.observed(), self.settings, self.now)

    def step(self, *, kill_after: int | None = None) -> Plan:
        """One pass. `kill_after` writes the operator dies (before the next one)."""
        self.plan = plan = self.decide()
        self.was_killed = False
        self.look_again_after = plan.look_again_after
        asked = {request.series for request in plan.measure}
        self.measurements = {k: v for k, v in self.measurements.items() if k in asked}
        left = [kill_after]
        refusals: list[Refusal] = []
        try:
            self._carry_out(plan, left, refusals)
        except Conflict:
            for key in self.behind():
                self.tell(key)
        except Killed:
            if kill_after is not None:
                raise
            self.was_killed = True
            self.restart()
            return plan
        self.refusals = tuple(refusals)
        return plan

    def _carry_out(self, plan: Plan, left: list[int | None], refusals: list[Refusal]) -> None:
        for raw in plan.releases:
            self._create(raw, left, refusals)
        if plan.releases:
            others = (plan.records, plan.create, plan.apply, plan.delete, plan.projections)
            assert not any(others), "a plan that creates a release writes nothing else"
        for write in plan.records:
            self._status(write.of.kind, write.of.name, write.status, left)
        for raw in plan.create:
            self._create(raw, left, refusals)
        for raw in plan.apply:
            self._apply(raw, left, refusals)
        for reference in plan.delete:
            live = self.objects.get((reference.kind, reference.name))
            if live is None or live["metadata"]["uid"] != reference.uid:
                self.tell((reference.kind, reference.name))
                continue
            self._write(left, f"DELETE {reference.kind} {reference.name}")
            self.remove(reference.kind, reference.name)
        for write in plan.projections:
            self._status(write.of.kind, write.of.name, write.status, left)
        self.events.extend(plan.events)

    def _write(self, left: list[int | None], what: str) -> None:
        if left[0] is not None:
            if left[0] == 0:
                raise Killed(what)
            left[0] -= 1
        if self.kill_at == len(self.writes):
            self.kill_at = None
            raise Killed(what)
        self.writes.append(what)

    def _create(self, raw: Object, left: list[int | None], refusals: list[Refusal]) -> None:
        key = raw["kind"], raw["metadata"]["name"]
        live = self.objects.get(key)
        if live is not None:
            self._adopt(raw, live, refusals)
            return
        self._write(left, f"POST {key[0]} {key[1]}")
        self.create(raw)

    def _adopt(self, raw: Object, live: Object, refusals: list[Refusal]) -> None:
        if not _owners(raw) & _owners(live):
            name, message = raw["metadata"]["name"], "exists and belongs to someone else"
            refusals.append(Refusal(raw["kind"], name, message, FOREIGN_OWNER))
        self.tell((raw["kind"], raw["metadata"]["name"]))

    def _apply(self, raw: Object, left: list[int | None], refusals: list[Refusal]) -> None:
        key = raw["kind"], raw["metadata"]["name"]
        live = self.objects.get(key)
        if live is None:
            self._write(left, f"APPLY {key[0]} {key[1]}")
            self.create(with_hash(raw))
            return
        if not _owners(raw) & _owners(live):
            self._adopt(raw, live, refusals)
            return
        if difference(raw, live) is None:
            self.tell(key)
            return
        self._write(left, f"APPLY {key[0]} {key[1]}")
        body = copy.deepcopy(with_hash(raw))

        def merge(found: Object) -> None:
            # What the API server defaults, or an autoscaler wrote, stays where it is not named.
            kept = {k: v for k, v in found["spec"].items() if k == "replicas"}
            found["spec"] = kept | body["spec"]
            found["metadata"] |= {
                field: body["metadata"][field]
                for field in ("labels", "annotations", "ownerReferences")
            }

        self.edit(*key, merge)

    def _status(self, kind: str, name: str, status: Object, left: list[int | None]) -> None:
        live, known = self.objects.get((kind, name)), self.heard.get((kind, name))
        if live is None or known is None:
            self.tell((kind, name))
            return
        field_name = "resourceVersion" if kind == "EmbeddingRelease" else "uid"
        if live["metadata"][field_name] != known["metadata"][field_name]:
            raise Conflict(name)
        self._write(left, f"STATUS {kind} {name}")
        # Through JSON, as the real one goes.
        self.put({**copy.deepcopy(live), "status": json.loads(json.dumps(status))})

    def settle(self, limit: int = 30) -> World:
        """Passes until nothing is left to write, as the work queue does."""
        for _ in range(limit):
            before = len(self.writes)
            self.step()
            if self.was_killed:
                continue
            if len(self.writes) == before and not self.behind():
                again = self.decide()
                assert is_empty(again), f"a settled world got {again}"
                return self
        raise AssertionError(f"does not settle: {self.writes[-12:]}")

    def pass_time(self, seconds: float) -> World:
        self.now += timedelta(seconds=seconds)
        return self

    def text(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    # -- users

    def apply_model(self, **changes: Any) -> World:
        self.create(_own("EmbeddingModel", MODEL, model_spec(**changes)))
        return self

    def apply_index(self, name: str = MODEL, **changes: Any) -> World:
        self.create(_own("VectorIndex", name, index_spec(**changes)))
        return self

    def change_model(self, path: str, value: Any, *, tell: bool = True) -> World:
        self.edit("EmbeddingModel", MODEL, lambda raw: _set(raw["spec"], path, value), tell=tell)
        return self

    def change_index(self, path: str, value: Any, name: str = MODEL) -> World:
        self.edit("VectorIndex", name, lambda raw: _set(raw["spec"], path, value))
        return self

    def annotate(self, verb: str, value: str | None, *, tell: bool = True) -> World:
        def change(raw: Object) -> None:
            annotations = raw["metadata"].setdefault("annotations", {})
            annotations.pop(f"lockstep.dev/{verb}", None)
            if value is not None:
                annotations[f"lockstep.dev/{verb}"] = value

        self.edit("EmbeddingModel", MODEL, change, tell=tell)
        return self

    # -- controllers and kubelets

    def jobs(self, *, live_only: bool = True) -> list[str]:
        return [
            name
            for (kind, name), raw in sorted(self.objects.items())
            if kind == "Job" and not (live_only and _is_over(raw))
        ]

    def start_pod(self, job: str, *, tell: bool = True) -> str:
        raw = self.objects["Job", job]
        uid, name = raw["metadata"]["uid"], f"{job}-x{self._serial}"
        template = raw["spec"]["template"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": dict(template["metadata"]["labels"]),
                "ownerReferences": [{"kind": "Job", "name": job, "uid": uid}],
            },
            "spec": {"containers": [{"name": "main", "image": "trainer:1"}]},
            "status": {"phase": "Pending"},
        }
        self.create(pod, tell=tell)
        return name

    def pod_of(self, job: str) -> str | None:
        uid = self.objects["Job", job]["metadata"]["uid"]
        for (kind, name), raw in sorted(self.objects.items()):
            if kind == "Pod" and uid in _owners(raw):
                return name
        return None

    def end_job(
        self,
        job: str,
        *,
        code: int = 0,
        message: str | None = None,
        condition: Object | None = None,
        pod_status: Object | None = None,
        tell: bool = True,
    ) -> None:
        """The program ended with `code` and a termination message; the Job controller saw it."""
        pod = self.pod_of(job) or self.start_pod(job, tell=tell)
        if message is None:
            message = self.result(job, code)
        terminated = {"exitCode": code, "message": message, "reason": "Error" if code else "Done"}
        status = {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [{"name": "main", "state": {"terminated": terminated}}],
        }
        self.set_status("Pod", pod, status | (pod_status or {}), tell=tell)
        found = condition or {"type": "Failed" if code else "Complete"}
        found = {"status": "True", "lastTransitionTime": self.text()} | found
        self.set_status("Job", job, {"conditions": [found]}, tell=tell)

    def config(self, job: str) -> Object:
        (container,) = self.objects["Job", job]["spec"]["template"]["spec"]["containers"]
        found: Object = json.loads(_env(container))
        return found

    def result(self, job: str, code: int = 0, **changes: Any) -> str:
        """What the program of a Job would report: the same facts for the same config."""
        config, kind = self.config(job), job_kind(self.objects["Job", job])
        program = {"train": "Train", "import": "Import", "evaluate": "Evaluate", "build": "Build"}[
            kind
        ]
        report: Object = {"schema": "lockstep.dev/result/v1", "program": program}
        if code:
            words = ExitCode(code).name.title().replace("_", "")
            report |= {"exitCode": code, "reason": words, "message": f"ended with {words}"}
            return json.dumps(report | changes)
        facts = {
            "train": self._trained,
            "import": self._imported,
            "evaluate": self._evaluated,
            "build": self._built,
        }[kind]
        report |= {"exitCode": 0, "reason": "Done", **facts(config)}
        return json.dumps(report | changes)

    def _trained(self, config: Object) -> Object:
        digest = sha(config["training"])
        return {
            "training": {
                "artifactDigest": f"sha256:{digest}",
                "modelDigest": f"sha256:{sha('model', digest)}",
                "preprocessingDigest": f"sha256:{sha('preprocessing')}",
                "pooling": "None",
                "normalisation": "L2",
                "dimension": 64,
                "spaceID": digest[:12],
                "steps": 400,
                "trainItems": 9000,
                "seconds": 13.0,
            }
        }

    def _imported(self, config: Object) -> Object:
        digest = config["artifact"]["digest"].removeprefix("sha256:")
        facts: Object = self._trained({"training": None})["training"]
        whose = {"artifactDigest": f"sha256:{digest}", "spaceID": digest[:12]}
        return {"training": facts | whose | {"steps": 0, "trainItems": 0}}

    def _evaluated(self, config: Object) -> Object:
        mean, gain = self.recall, self.recall - 0.854
        spread = (mean * (1 - mean)) ** 0.5
        recall = [
            {
                "k": k,
                "candidate": {"n": self.samples, "mean": mean, "standardDeviation": spread},
                "baseline": {"n": self.samples, "mean": 0.854, "standardDeviation": 0.35},
                "gainOverBaseline": {"n": self.samples, "mean": gain, "standardDeviation": 0.3},
            }
            for k in config["recallAt"]
        ]
        return {
            "evaluation": {
                "artifactDigest": config["artifactDigest"],
                "datasetDigest": f"sha256:{sha('data')}",
                "items": self.samples,
                "classes": 270,
                "recall": recall,
                "variance": 0.9,
                "meanCosine": 0.02,
            }
        }

    def _built(self, config: Object) -> Object:
        digest = sha(config["spaceID"], config["recipe"], config["source"])
        build = {
            "index": config["index"],
            "buildDigest": f"sha256:{digest}",
            "spaceID": config["spaceID"],
            "sourceDigest": f"sha256:{sha('data')}",
            "rows": 15700,
            "expectedRows": 15700,
            "dimension": 64,
            "bytes": 4_019_200,
            "recallK": 10,
            "recall": {"n": 1000, "mean": 0.998, "standardDeviation": 0.02},
            "seconds": 2.0,
        }
        return {"build": build | self.build_changes}

    def end_jobs(self) -> World:
        for job in self.jobs():
            self.end_job(job)
        return self

    def ready(self, kind: str, name: str, *, ready: int | None = None, tell: bool = True) -> None:
        raw = self.objects[kind, name]
        replicas = raw["spec"]["replicas"]
        count = replicas if ready is None else ready
        status = {
            "observedGeneration": raw["metadata"]["generation"],
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": count,
            "availableReplicas": count,
        }
        self.set_status(kind, name, status, tell=tell)

    def workloads(self) -> list[Key]:
        return [key for key in sorted(self.objects) if key[0] == "Deployment"]

    def autoscale(self) -> None:
        """What the autoscalers' controller does without load: it keeps the bounds."""
        for (kind, name), raw in sorted(self.objects.items()):
            workload = self.objects.get(("Deployment", name))
            if kind != "HorizontalPodAutoscaler" or workload is None:
                continue
            now, bounds = workload["spec"]["replicas"], raw["spec"]
            kept = max(bounds["minReplicas"], min(now, bounds["maxReplicas"]))
            if kept != now:
                self.scale(name, kept)

    def scale(self, name: str, count: int, *, tell: bool = True) -> None:
        """An autoscaler writes the number of a Deployment's pods."""

        def change(raw: Object) -> None:
            raw["spec"] = raw["spec"] | {"replicas": count}

        self.edit("Deployment", name, change, tell=tell)

    def speak(self, word: str = "acts", *, tell: bool = True) -> None:
        """The Gateway's controller takes up the route, refuses it, or a replica of it is behind."""
        route = self.objects.get(("HTTPRoute", MODEL))
        if route is None:
            return
        refs, generation = route["spec"]["parentRefs"], route["metadata"]["generation"]
        accepted = "False" if word == "refuses" else "True"
        seen = generation - 1 if word == "is behind" else generation
        states = (("Accepted", accepted), ("ResolvedRefs", "True"))
        conditions = [
            {"type": t, "status": s, "reason": "NotAllowedByListeners", "observedGeneration": seen}
            for t, s in states
        ]
        parents = [{"parentRef": ref, "conditions": conditions} for ref in refs]
        if (route.get("status") or {}).get("parents") != parents:
            self.set_status("HTTPRoute", MODEL, {"parents": parents}, tell=tell)
        if word != "is behind":
            backends = route["spec"]["rules"][-1]["backendRefs"] if word == "acts" else []
            self.routed = {b["name"].removesuffix("-encoder"): b["weight"] for b in backends}

    def measure(self, failed: int = 0) -> None:
        """What is due is scraped: of each thousand requests so many failed."""
        for request in self.plan.measure:
            series = self.measurements.get(request.series, ())
            if not request.is_due or request.number != len(series):
                continue
            counted = tally_of({"200": 1000 - failed, "500": failed}, {0.1: 1000}, 1000)
            reading = counted if series else Tally()
            self.measurements[request.series] = (*series, Measurement(self.now, reading))
            self._serial += 1

    def ready_all(self) -> World:
        self.autoscale()
        for kind, name in self.workloads():
            self.ready(kind, name)
        return self

    def run(self, limit: int = 12) -> World:
        """Jobs succeed and pods become ready, until nothing more happens."""
        for _ in range(limit):
            before = self._serial
            self.settle()
            self.end_jobs()
            self.autoscale()
            if self.tended:
                self.speak()
                self.measure()
            for kind, name in self.workloads():
                raw = self.objects[kind, name]
                status = raw.get("status") or {}
                seen = status.get("observedGeneration"), status.get("readyReplicas")
                if seen != (raw["metadata"]["generation"], raw["spec"]["replicas"]):
                    self.ready(kind, name)
            if self._serial == before:
                return self
        raise AssertionError("the world does not come to rest")

    def run_to(self, stage: str, number: int, limit: int = 12) -> World:
        """Runs until a release is in `stage`, and leaves it there."""
        for _ in range(limit):
            self.settle()
            if self.stage(number) == stage:
                return self
            self.end_jobs()
            if stage != "Warming":
                self.ready_all()
        raise AssertionError(f"r{number} is {self.stage(number)}, not {stage}")

    # -- what there is

    def release(self, number: int) -> Object:
        return self.objects["EmbeddingRelease", f"{MODEL}-r{number}"]

    def has_release(self, number: int) -> bool:
        return ("EmbeddingRelease", f"{MODEL}-r{number}") in self.objects

    def record(self, number: int) -> Object:
        found: Object = self.release(number)["status"]
        return found

    def stage(self, number: int) -> str | None:
        if not self.has_release(number):
            return None
        stage: str | None = self.record(number).get("stage")
        return stage

    @property
    def status(self) -> Object:
        found: Object = self.objects["EmbeddingModel", MODEL]["status"]
        return found

    def condition(self, type_: str) -> Object | None:
        found = (c for c in self.status.get("conditions", []) if c["type"] == type_)
        return next(found, None)

    def says(self, type_: str) -> tuple[str, str] | None:
        found = self.condition(type_)
        return None if found is None else (found["status"], found["reason"])

    def index_status(self, name: str = MODEL) -> Object:
        found: Object = self.objects["VectorIndex", name]["status"]
        return found

    def entry(self) -> str | None:
        """The release that holds the entry point: alone, or with a candidate beside it."""
        found = self.objects.get(("Service", MODEL))
        if found is None:
            return None
        selector = found["spec"]["selector"]
        doors = [key.partition("/")[2] for key in selector if key.startswith("entry.lockstep.dev/")]
        return str(selector.get("lockstep.dev/release") or doors[0])

    def behind_entry(self) -> set[str]:
        """Every release whose encoder pods the entry point's selector really matches."""
        found = self.objects.get(("Service", MODEL))
        if found is None:
            return set()
        wanted = found["spec"]["selector"].items()
        return {
            str(raw["metadata"]["labels"]["lockstep.dev/release"])
            for (kind, _), raw in self.objects.items()
            if kind == "Deployment"
            and wanted <= raw["spec"]["template"]["metadata"]["labels"].items()
        }

    def replicas(self, number: int) -> int:
        """Encoder pods that a release is asked to have."""
        raw = self.objects["Deployment", f"{MODEL}-r{number}-encoder"]
        return int(raw["spec"]["replicas"])

    def reasons(self) -> list[str]:
        return [str(event.reason) for event in self.events]


def job_kind(raw: Object) -> str:
    return str(raw["metadata"]["labels"]["lockstep.dev/component"])


def healthy(**changes: Any) -> World:
    """r1 serves."""
    return _remembered(
        f"healthy {changes}", lambda: World().apply_model(**changes).apply_index().run()
    )


def second(stage: str) -> World:
    """r1 serves, r2 is in `stage`."""
    return _remembered(
        f"second {stage}", lambda: healthy().change_model("training.seed", 7).run_to(stage, 2)
    )


STEPS = [
    {"setWeight": 25},
    {"pause": {"seconds": 60}},
    {"setWeight": 50},
    {"pause": {}},
    {"setWeight": 100},
]


def canary(
    steps: Any = STEPS,
    replicas: int = 3,
    at: int | None = 0,
    stage: str = "Canary",
    **rollout: Any,
) -> World:
    """r1 serves, r2 is in `stage`, and at the step `at` where one is given."""

    def make() -> World:
        spec = model_spec(serving={"replicas": replicas})
        spec["rollout"] |= {"steps": copy.deepcopy(list(steps)), **rollout}
        world = World().apply_model(**spec).apply_index().run()
        return world.change_model("training.seed", 7).run_to(stage, 2)

    world = _remembered(f"canary {steps} {replicas} {stage} {rollout}", make)
    for _ in range(40):
        world.settle()
        if at is None or world.record(2)["step"]["index"] >= at:
            return world
        world.ready_all().settle()
        if world.record(2)["step"]["index"] < at and world.look_again_after is not None:
            world.pass_time(world.look_again_after + 1)
    raise AssertionError(f"r2 does not reach step {at}: {world.record(2)}")


def two() -> World:
    """r2 serves, r1 is kept."""
    return _remembered("two", lambda: healthy().change_model("training.seed", 7).run())


_memory: dict[str, World] = {}


def _remembered(name: str, make: Callable[[], World]) -> World:
    """Many tests begin in the same world. Objects are never changed, so a shallow copy will do."""
    if name not in _memory:
        _memory[name] = make()
    world = copy.copy(_memory[name])
    world.objects, world.heard = dict(world.objects), dict(world.heard)
    world.events, world.writes = list(world.events), list(world.writes)
    world.routed, world.measurements = dict(world.routed), dict(world.measurements)
    return world


def _own(kind: str, name: str, spec: Object) -> Object:
    return {
        "apiVersion": "lockstep.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": copy.deepcopy(spec),
    }


def _set(spec: Object, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        spec = spec.setdefault(parent, {})
    spec[last] = value


def _owners(raw: Object) -> set[str]:
    return {owner["uid"] for owner in raw["metadata"].get("ownerReferences") or []}


def _is_over(raw: Object) -> bool:
    return any(
        condition["type"] in ("Complete", "Failed")
        for condition in (raw.get("status") or {}).get("conditions") or []
    )


def _env(container: Object) -> str:
    return next(str(e["value"]) for e in container["env"] if e["name"] == CONFIG_VARIABLE)


def served_space(raw: Object) -> tuple[str, dict[str, tuple[str, str]]]:
    """The space of an encoder Deployment, and (build, space) of each index it was told."""
    (container,) = raw["spec"]["template"]["spec"]["containers"]
    config = json.loads(_env(container))
    indexes = {i["name"]: (i["buildDigest"], i["spaceID"]) for i in config.get("indexes", [])}
    return config["spaceID"], indexes


def served_build(raw: Object) -> tuple[str, str]:
    """(build, space) of an index Deployment."""
    (container,) = raw["spec"]["template"]["spec"]["containers"]
    config = json.loads(_env(container))
    return config["buildDigest"], config["spaceID"]


def is_empty(plan: Plan) -> bool:
    return not any(
        (
            plan.releases,
            plan.records,
            plan.create,
            plan.apply,
            plan.delete,
            plan.projections,
            plan.events,
        )
    )
