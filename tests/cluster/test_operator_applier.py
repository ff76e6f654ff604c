"""The applier's rules on a real API server, with plans made by hand."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep_operator.api.kinds import (
    DEPLOYMENT,
    EMBEDDING_MODEL,
    JOB,
    SERVICE,
    WATCHED,
    ResourceKind,
)
from lockstep_operator.decide.context.plan import Event, EventType, Plan, Reference, StatusWrite
from lockstep_operator.decide.vocabulary.compare import APPLIED_HASH
from lockstep_operator.runtime.applier import Applier, Outcome
from lockstep_operator.runtime.cache import Cache
from lockstep_operator.runtime.client import Api, connect
from lockstep_operator.runtime.errors import Conflict
from lockstep_operator.runtime.events import Recorder
from lockstep_operator.runtime.queue import Key
from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.operator_process import Writes, service_account_kubeconfig, wait_for

MODEL: dict[str, Any] = {
    "apiVersion": "lockstep.dev/v1alpha1",
    "kind": "EmbeddingModel",
    "metadata": {"name": "glyphs"},
    "spec": {
        "artifacts": {"uri": "file:///artifacts", "claimName": "lockstep-artifacts"},
        "training": {
            "data": {"uri": "file:///artifacts/datasets/glyphs.npz", "format": "NPZ"},
            "encoder": {"kind": "CNN", "dimension": 64},
            "budget": {"maxSteps": 10},
        },
    },
}


class World:
    """One model in one namespace, an applier for it, and a count of its writes."""

    def __init__(self, control_plane: ControlPlane, namespace: str, api: Api) -> None:
        self.control_plane = control_plane
        self.namespace = namespace
        self.api = api
        self.key = Key(namespace, "glyphs")
        self.cache = Cache()
        self.applier = self.restarted()
        self.writes = Writes.since_now(control_plane, namespace)
        self.owner: dict[str, Any] = {}

    def restarted(self) -> Applier:
        """An applier that remembers nothing."""
        self.applier = Applier(self.api, self.cache, Recorder(self.api, instance="test"))
        return self.applier

    async def run(self, **plan: Any) -> Outcome:
        return await self.applier.carry_out(self.key, Plan(**plan))

    async def relist(self) -> None:
        """What a new process knows: the lists alone."""
        self.cache = Cache()
        for kind in WATCHED:
            async for page in self.api.pages(kind, self.namespace):
                for body in page["items"]:
                    self.cache.put(kind, body)
        self.restarted()

    async def read(self, kind: ResourceKind, name: str) -> dict[str, Any]:
        return await self.api.get(kind, self.namespace, name)

    def child(self, kind: ResourceKind, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        metadata = {
            "name": name,
            "labels": {"lockstep.dev/model": "glyphs"},
            "ownerReferences": [self.owner],
        }
        return {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": metadata,
            "spec": spec,
        }

    def service(self) -> dict[str, Any]:
        spec = {
            "selector": {"lockstep.dev/release": "r1"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        }
        return self.child(SERVICE, "glyphs", spec)

    def deployment(self) -> dict[str, Any]:
        labels = {"lockstep.dev/model": "glyphs", "lockstep.dev/release": "r1"}
        container = {
            "name": "encoder",
            "image": "lockstep.local/encoder:test",
            "env": [{"name": "EMPTY", "value": ""}, {"name": "A", "value": "1"}],
            "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}},
            "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": False}],
        }
        pod = {
            "hostNetwork": False,
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1024Mi"}}],
        }
        spec = {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        return self.child(DEPLOYMENT, "glyphs-r1-encoder", spec)

    def job(self) -> dict[str, Any]:
        container = {"name": "main", "image": "lockstep.local/trainer:test"}
        pod = {"restartPolicy": "Never", "containers": [container]}
        spec = {"backoffLimit": 0, "template": {"spec": pod}}
        return self.child(JOB, "glyphs-r1-train-1", spec)

    def status(self, **status: Any) -> StatusWrite:
        of = Reference("lockstep.dev/v1alpha1", "EmbeddingModel", "glyphs")
        return StatusWrite(of=of, status={"observedGeneration": 1, **status})


@pytest.fixture
def kubeconfig(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Path]:
    path = service_account_kubeconfig(control_plane, namespace, tmp_path)
    yield path
    control_plane.kubectl("delete", "clusterrolebinding", f"operator-{namespace}")


@pytest.fixture
async def world(
    control_plane: ControlPlane,
    namespace: str,
    kubeconfig: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[World]:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    assert os.environ["KUBECONFIG"] == str(kubeconfig)
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=MODEL)
    async with contextlib.AsyncExitStack() as closing:
        api = Api(await connect())
        closing.push_async_callback(api.close)
        made = World(control_plane, namespace, api)
        model = await made.read(EMBEDDING_MODEL, "glyphs")
        made.cache.put(EMBEDDING_MODEL, model)
        made.owner = {
            "apiVersion": "lockstep.dev/v1alpha1",
            "kind": "EmbeddingModel",
            "name": "glyphs",
            "uid": model["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        yield made


async def test_each_write_is_sent_once_also_over_a_restart(world: World) -> None:
    plan: dict[str, Any] = {
        "create": (world.job(),),
        "apply": (world.deployment(), world.service()),
        "projections": (world.status(phase="Progressing", message="Training r1."),),
    }
    first = await world.run(**plan)
    assert (first.writes, first.refusals) == (4, [])
    assert (await world.run(**plan)).writes == 0
    await world.relist()
    assert (await world.run(**plan)).writes == 0
    assert world.writes.counted() == {
        "create jobs 201": 1,
        "patch deployments 201": 1,
        "patch services 201": 1,
        "patch embeddingmodels/status 200": 1,
    }


async def test_hand_edits_of_owned_fields_are_reverted_and_no_others(world: World) -> None:
    plan = {"apply": (world.deployment(), world.service())}
    await world.run(**plan)
    selector = '{"spec":{"selector":{"lockstep.dev/release":"r9"}}}'
    kubectl = world.control_plane.kubectl
    kubectl("patch", "service", "glyphs", "-n", world.namespace, "-p", selector)
    kubectl("scale", "deployment", "glyphs-r1-encoder", "-n", world.namespace, "--replicas=7")
    kubectl("label", "service", "glyphs", "-n", world.namespace, "team=search")
    await world.relist()
    assert (await world.run(**plan)).writes == 2
    service = await world.read(SERVICE, "glyphs")
    assert service["spec"]["selector"] == {"lockstep.dev/release": "r1"}
    assert service["metadata"]["labels"]["team"] == "search"
    assert (await world.read(DEPLOYMENT, "glyphs-r1-encoder"))["spec"]["replicas"] == 1
    await world.relist()
    assert (await world.run(**plan)).writes == 0


async def test_the_number_of_pods_is_handed_over_before_it_is_left(world: World) -> None:
    """Without the hand-over the API server would make 1 of it, its default."""
    counted, uncounted = world.deployment(), world.deployment()
    counted["spec"]["replicas"] = 3
    del uncounted["spec"]["replicas"]
    await world.run(apply=(counted,))
    assert (await world.run(apply=(uncounted,))).writes == 2
    live = await world.read(DEPLOYMENT, "glyphs-r1-encoder")
    assert live["spec"]["replicas"] == 3
    # Once left, it is not held again, whatever else changes.
    uncounted["spec"]["minReadySeconds"] = 2
    kubectl = world.control_plane.kubectl
    kubectl("scale", "deployment", "glyphs-r1-encoder", "-n", world.namespace, "--replicas=5")
    await world.relist()
    assert (await world.run(apply=(uncounted,))).writes == 1
    assert (await world.read(DEPLOYMENT, "glyphs-r1-encoder"))["spec"]["replicas"] == 5
    # And taken back by naming it.
    assert (await world.run(apply=(counted,))).writes == 1
    assert (await world.read(DEPLOYMENT, "glyphs-r1-encoder"))["spec"]["replicas"] == 3
    assert (await world.run(apply=(counted,))).writes == 0


async def test_a_hand_over_that_was_cut_off_is_done_again(world: World) -> None:
    counted, uncounted = world.deployment(), world.deployment()
    counted["spec"]["replicas"] = 3
    del uncounted["spec"]["replicas"]
    await world.run(apply=(counted,))
    live = await world.read(DEPLOYMENT, "glyphs-r1-encoder")
    metadata = {"name": "glyphs-r1-encoder", "uid": live["metadata"]["uid"]}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}
    # The process died here, and someone scales before the next one looks.
    await world.api.hand_over(DEPLOYMENT, world.namespace, {**body, "spec": {"replicas": 3}})
    kubectl = world.control_plane.kubectl
    kubectl("scale", "deployment", "glyphs-r1-encoder", "-n", world.namespace, "--replicas=4")
    await world.relist()
    await world.run(apply=(uncounted,))
    assert (await world.read(DEPLOYMENT, "glyphs-r1-encoder"))["spec"]["replicas"] == 4


async def test_a_field_that_leaves_the_manifest_leaves_the_object(world: World) -> None:
    manifest = world.service()
    manifest["metadata"]["annotations"] = {"lockstep.dev/note": "x"}
    await world.run(apply=(manifest,))
    assert (await world.run(apply=(world.service(),))).writes == 1
    live = await world.read(SERVICE, "glyphs")
    assert set(live["metadata"]["annotations"]) == {APPLIED_HASH}


async def test_a_strangers_object_is_not_touched(world: World) -> None:
    stranger = world.service()
    del stranger["metadata"]["ownerReferences"]
    stranger["spec"]["selector"] = {"app": "theirs"}
    job = copy.deepcopy(world.job())
    del job["metadata"]["ownerReferences"]
    for body in (stranger, job):
        world.control_plane.kubectl("create", "-n", world.namespace, "-f", "-", stdin=body)
    before = await world.read(SERVICE, "glyphs")
    plan = {
        "create": (world.job(),),
        "apply": (world.service(),),
        "projections": (world.status(phase="Degraded", message="blocked"),),
    }
    outcome = await world.run(**plan)
    assert [(r.kind, r.name) for r in outcome.refusals] == [
        ("Job", "glyphs-r1-train-1"),
        ("Service", "glyphs"),
    ]
    assert "belongs to someone else" in outcome.refusals[1].message
    assert outcome.writes == 1, "the status says it all the same"
    assert await world.read(SERVICE, "glyphs") == before
    await world.relist()
    assert len((await world.run(**plan)).refusals) == 2


async def test_a_job_of_an_earlier_process_is_adopted(world: World) -> None:
    await world.run(create=(world.job(),))
    world.cache = Cache()
    world.restarted()
    outcome = await world.run(create=(world.job(),))
    assert (outcome.writes, outcome.refusals) == (0, [])
    assert world.cache.get(JOB, world.namespace, "glyphs-r1-train-1") is not None
    assert world.writes.counted() == {"create jobs 201": 1, "create jobs 409": 1}


async def test_a_child_that_lost_its_label_gets_it_back(world: World) -> None:
    await world.run(create=(world.job(),), apply=(world.service(),))
    for plural, name in (("jobs", "glyphs-r1-train-1"), ("services", "glyphs")):
        world.control_plane.kubectl(
            "label", plural, name, "-n", world.namespace, "lockstep.dev/model-"
        )
    await world.relist()
    outcome = await world.run(create=(world.job(),), apply=(world.service(),))
    assert (outcome.writes, outcome.refusals) == (2, [])
    for kind, name in ((JOB, "glyphs-r1-train-1"), (SERVICE, "glyphs")):
        live = await world.read(kind, name)
        assert live["metadata"]["labels"]["lockstep.dev/model"] == "glyphs"
        assert len(world.cache.of_model(world.key, kind)) == 1


async def test_the_whole_status_is_ours_and_stale_fields_go(world: World) -> None:
    await world.run(projections=(world.status(phase="Progressing", message="a", recall="0.9"),))
    # Another manager's field goes too; that one no server-side apply of ours would take away.
    world.control_plane.set_status(
        "embeddingmodel", "glyphs", world.namespace, {"gatesSummary": "9/9"}
    )
    await world.relist()
    assert (await world.run(projections=(world.status(phase="Healthy"),))).writes == 1
    live = await world.read(EMBEDDING_MODEL, "glyphs")
    assert live["status"] == {"observedGeneration": 1, "phase": "Healthy"}


async def test_deletes_are_in_the_background_and_guarded_by_uid(world: World) -> None:
    await world.run(create=(world.job(),))
    reference = Reference("batch/v1", "Job", "glyphs-r1-train-1", uid="another-uid")
    with pytest.raises(Conflict):
        await world.run(delete=(reference,))
    job = await world.read(JOB, "glyphs-r1-train-1")
    world.cache.put(JOB, job)
    reference = Reference("batch/v1", "Job", "glyphs-r1-train-1", uid=job["metadata"]["uid"])
    assert (await world.run(delete=(reference,))).writes == 1
    assert world.cache.of_model(world.key, JOB) == ()
    assert (await world.run(delete=(reference,))).writes == 0, "404 is fine"


async def test_quota_and_schema_refuse_and_the_rest_goes_on(world: World) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"count/jobs.batch": "0"}},
    }
    world.control_plane.kubectl("create", "-n", world.namespace, "-f", "-", stdin=quota)
    wait_for(
        "the quota is enforced",
        lambda: (
            world.control_plane.get("resourcequota", "none", world.namespace)
            .get("status", {})
            .get("hard")
        ),
    )
    broken = world.service()
    broken["spec"]["ports"] = [{"name": "http", "port": 0}]
    outcome = await world.run(create=(world.job(),), apply=(broken, world.deployment()))
    assert [refusal.kind for refusal in outcome.refusals] == ["Job", "Service"]
    assert "exceeded quota" in outcome.refusals[0].message
    assert "spec.ports[0].port" in outcome.refusals[1].message
    assert outcome.writes == 1


async def test_a_deed_waits_for_its_record(world: World) -> None:
    """A record that the server refuses stops the plan: its deed would be done twice."""
    bad = world.status(phase="NoSuchPhase")
    outcome = await world.run(records=(bad,), create=(world.job(),))
    assert [refusal.kind for refusal in outcome.refusals] == ["EmbeddingModel"]
    assert world.cache.get(JOB, world.namespace, "glyphs-r1-train-1") is None


async def test_a_refused_record_is_told_by_a_plan_that_knows_of_it(world: World) -> None:
    """What rests on the record is not done, and the status that says why is written."""
    bad = world.status(phase="Nonsense")
    plan = Plan(
        records=(bad,),
        create=(world.job(),),
        projections=(world.status(phase="Degraded", message="The API server refused it."),),
    )
    first = await world.applier.carry_out(world.key, plan)
    assert (first.writes, len(first.refusals)) == (0, 1)
    assert "Nonsense" in first.refusals[0].message
    second = await world.applier.carry_out(world.key, plan, first.refusals)
    assert (second.writes, second.refusals) == (1, first.refusals)
    assert (await world.read(EMBEDDING_MODEL, "glyphs"))["status"]["phase"] == "Degraded"
    assert "create jobs 201" not in world.writes.counted()


async def test_a_stale_view_is_repaired_and_the_pass_repeated(world: World) -> None:
    await world.run(apply=(world.service(),))
    world.control_plane.kubectl("delete", "service", "glyphs", "-n", world.namespace)
    world.control_plane.kubectl("create", "-n", world.namespace, "-f", "-", stdin=world.service())
    changed = world.service()
    changed["spec"]["selector"] = {"lockstep.dev/release": "r2"}
    with pytest.raises(Conflict):
        await world.run(apply=(changed,))
    assert (await world.run(apply=(changed,))).writes == 1


async def test_events_come_after_the_writes_and_not_twice(world: World) -> None:
    about = Reference("lockstep.dev/v1alpha1", "EmbeddingModel", "glyphs")
    event = Event(about, EventType.NORMAL, "TrainingStarted", "r1 trains.")
    for _ in range(2):
        await world.run(events=(event,))
    described = world.control_plane.kubectl(
        "describe", "embeddingmodel", "glyphs", "-n", world.namespace
    ).stdout
    assert described.count("TrainingStarted") == 1
    assert "lockstep.dev/operator" in described
    assert "<unknown>" not in described[described.index("Events:") :]


async def test_events_are_listed_in_the_order_of_their_times(world: World) -> None:
    about = Reference("lockstep.dev/v1alpha1", "EmbeddingModel", "glyphs")
    reasons = ["TrainingStarted", "Evaluating", "Canary"]
    for reason in reasons:
        await world.run(events=(Event(about, EventType.NORMAL, reason, reason),))
        await asyncio.sleep(1.1)  # The fields are of whole seconds.
    listed = world.control_plane.kubectl(
        *("get", "events", "-n", world.namespace, "--sort-by=.lastTimestamp"),
        *("-o", "jsonpath={range .items[*]}{.reason} {.lastTimestamp} {.count}{'\\n'}{end}"),
    ).stdout
    rows = [line.split() for line in listed.splitlines()]
    assert [row[0] for row in rows] == reasons
    assert all(len(row) == 3 and row[2] == "1" for row in rows), rows


async def test_parallel_appliers_make_one_job(world: World) -> None:
    """Two processes that both believe to lead: names are the last line of defence."""
    other = World(world.control_plane, world.namespace, world.api)
    await asyncio.gather(world.run(create=(world.job(),)), other.run(create=(world.job(),)))
    jobs = [page async for page in world.api.pages(JOB, world.namespace)]
    assert len(jobs[0]["items"]) == 1
