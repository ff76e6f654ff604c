"""Moments in the lives of a model, each brought about by what users, Jobs and pods do.

Nothing here is a test, and nothing here reaches into `decide`: the same moments can be made with
any version whose tests have the tiny cluster.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

STORE_UNAVAILABLE, PREEMPTED, BAD_DATASET = 74, 75, 3
SLOW = {"name": "latency", "type": "Latency", "quantile": "0.95", "maxMilliseconds": 100}
CLICKS = {
    "name": "clicks",
    "type": "Prometheus",
    "prometheus": {"url": "http://prometheus:9090", "query": 'x{old="$(stable)"}'},
    "minValue": "0.5",
}
IMPORTED = {
    "training": None,
    "artifact": {"uri": "file:///artifacts/imports/store", "digest": "sha256:" + "1" * 64},
    "evaluation": {"data": {"uri": "file:///artifacts/held-out.npz", "format": "NPZ"}},
}
BUCKET = {
    "uri": "s3://models/glyphs",
    "endpoint": "http://s3.storage.svc:7070",
    "region": "us-east-1",
    "secretRef": {"name": "store-keys"},
}
TRAFFIC = {
    "router": "GatewayAPI",
    "gateway": {
        "parentRefs": [{"name": "edge", "namespace": "infra", "sectionName": "https"}],
        "hostnames": ["search.example.net"],
        "mirroring": "Trusted",
    },
}
TEMPLATE = {
    "image": "registry.example.net/mine:2",
    "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "2Gi"}},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
    "priorityClassName": "batch",
}


def new() -> World:
    return World().apply_model().apply_index()


def reported(world: World, job: str, part: str, **facts: Any) -> World:
    """The Job ends well and reports these facts besides what it always does."""
    report = json.loads(world.result(job))
    report[part] |= facts
    world.end_job(job, message=json.dumps(report))
    return world


# -- Jobs


def training_retried() -> World:
    world = new().settle()
    world.end_job("glyphs-r1-train-1", code=STORE_UNAVAILABLE)
    return world.settle()


def training_disrupted() -> World:
    world = new().settle()
    world.end_job("glyphs-r1-train-1", code=PREEMPTED)
    return world.settle()


def training_failed() -> World:
    world = worlds.second("Training")
    world.end_job("glyphs-r2-train-1", code=BAD_DATASET)
    return world.settle()


def training_found_something() -> World:
    """Facts that only some trainings have: metrics, a step that it resumed from, a finding."""
    world = new().settle()
    finding = {
        "name": "Overfitting",
        "step": 300,
        "value": 0.91,
        "bound": 0.95,
        "message": "recall fell from 0.97 to 0.91: train for fewer steps",
    }
    facts = {"metrics": {"loss": 0.25}, "resumedFromStep": 200, "findings": [finding]}
    return reported(world, "glyphs-r1-train-1", "training", **facts).settle().run()


def measured_beside_stable() -> World:
    """An evaluation that measured stable too."""
    world = worlds.second("Evaluating")
    (recall,) = json.loads(world.result("glyphs-r2-evaluate-1"))["evaluation"]["recall"]
    both = recall | {
        "stable": {"n": 4623, "mean": 0.985, "standardDeviation": 0.12},
        "gainOverStable": {"n": 4623, "mean": 0.005, "standardDeviation": 0.1},
    }
    return reported(world, "glyphs-r2-evaluate-1", "evaluation", recall=[both]).settle()


def importing_retried() -> World:
    world = World().apply_model(**IMPORTED).apply_index().settle()
    world.end_job("glyphs-r1-import-1", code=STORE_UNAVAILABLE)
    return world.settle()


def imported_unmeasured() -> World:
    spec = {**IMPORTED, "evaluation": None, "rollout": {"gates": []}}
    return World().apply_model(**spec).apply_index().run()


def gate_undecided() -> World:
    world = worlds.healthy()
    world.samples = 200
    return world.change_model("training.seed", 7).run()


def gate_failed() -> World:
    world = worlds.healthy()
    world.recall = 0.884
    return world.change_model("training.seed", 7).run()


def one_of_two_built() -> World:
    world = new().apply_index("archive").run_to("Indexing", 1)
    world.end_job("glyphs-r1-build-glyphs-1")
    world.settle()
    world.end_job("glyphs-r1-build-archive-1", code=STORE_UNAVAILABLE)
    return world.settle()


def rows_missing() -> World:
    world = worlds.healthy()
    world.build_changes = {"rows": 15_000}
    return world.change_index("index", {"type": "Flat"}).run()


# -- another spec


def index_changed() -> World:
    """r2 has the model of r1, and builds another index."""
    return worlds.healthy().change_index("index", {"type": "Flat"}).settle()


def store_changed() -> World:
    """Trained out of a bucket whose Secret has another name since."""
    data = {"uri": "s3://models/glyphs.npz", "format": "NPZ"}
    training = worlds.model_spec()["training"] | {"data": data}
    world = World().apply_model(artifacts=BUCKET, training=training).apply_index(source=data).run()
    return world.change_model("artifacts", BUCKET | {"secretRef": {"name": "new-keys"}}).run()


def superseded() -> World:
    return worlds.second("Indexing").change_model("training.seed", 8).settle()


def queued_behind_a_candidate() -> World:
    return worlds.canary(at=2, supersede="Queue").change_model("training.seed", 9).settle()


def everything_set() -> World:
    """Fields of a spec that most leave out."""
    spec = worlds.model_spec(
        serving={
            "autoscaling": {
                "minReplicas": 2,
                "maxReplicas": 6,
                "targetCPUUtilizationPercentage": 70,
                "behavior": {"scaleDownStabilizationSeconds": 60},
            },
            "minReadySeconds": 5,
            "template": TEMPLATE,
        },
        revisionHistoryLimit=3,
    )
    spec["training"] |= {"template": TEMPLATE, "maxAttempts": 2, "activeDeadlineSeconds": 7200}
    spec["rollout"] |= {"rollbackWindow": {"releases": 2, "seconds": 3600}}
    build = {"activeDeadlineSeconds": 600, "template": TEMPLATE}
    world = World().apply_model(**spec)
    return world.apply_index(replicas=2, build=build, template=TEMPLATE).run()


# -- pauses before the canary


def paused_while_warming() -> World:
    world = worlds.second("Warming").pass_time(60).annotate("pause", "r2").settle()
    return world.pass_time(30).ready_all().settle()


def resumed() -> World:
    world = worlds.second("Warming").annotate("pause", "r2").settle().pass_time(45)
    return world.annotate("pause", None).settle()


def steps_refused() -> World:
    spec = worlds.model_spec()
    spec["rollout"]["steps"] = [{"setWeight": 25}]
    world = World().apply_model(**spec).apply_index().run()
    return world.change_model("training.seed", 7).run()


# -- the canary


def canary_paused_by_a_person() -> World:
    return worlds.canary(at=1).annotate("pause", "r2").settle()


def canary_held_at_a_step() -> World:
    return worlds.canary(at=1, holdAtStep=2).pass_time(61).settle()


def canary_waits_for_approval() -> World:
    return worlds.canary(steps=[{"setWeight": 25}], promotion="Manual").ready_all().settle()


def canary_approved() -> World:
    """Approved, and the rest of its pods is on its way."""
    return canary_waits_for_approval().annotate("promote", "r2").settle()


def canary_let_past_its_pause() -> World:
    """A person let it go on, and holds it before that happens."""
    world = worlds.canary(at=3).annotate("pause", "r2").settle()
    return world.annotate("promote", "r2").settle()


def canary_aborted(**rollout: Any) -> World:
    world = worlds.canary(replicas=4, at=3, **rollout)
    return world.annotate("abort", "r2").settle()


def canary_aborted_and_over() -> World:
    return canary_aborted().pass_time(31).settle()


def canary_went_back_to_the_old_spec() -> World:
    return worlds.canary(at=2).change_model("training.seed", 0).settle().pass_time(31).settle()


def canary_lost_its_pods() -> World:
    world = worlds.canary(at=1)
    world.ready("Deployment", "glyphs-r2-encoder", ready=0)
    return world.settle()


def canary_crashed() -> World:
    """Its encoder says itself that starting it again will not help."""
    world = worlds.canary(at=1)
    template = world.objects["Deployment", "glyphs-r2-encoder"]["spec"]["template"]
    message = {
        "schema": "lockstep.dev/result/v1",
        "program": "ServeEncoder",
        "exitCode": 6,
        "reason": "DigestMismatch",
        "message": "model.onnx has another digest",
    }
    ended = {"terminated": {"exitCode": 6, "message": json.dumps(message), "reason": "Error"}}
    labels = dict(template["metadata"]["labels"])
    pod: worlds.Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "glyphs-r2-encoder-x", "labels": labels},
        "spec": {"containers": [{"name": "main"}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "main", "state": {"waiting": {}}, "lastState": ended}],
        },
    }
    world.create(pod)
    world.ready("Deployment", "glyphs-r2-encoder", ready=0)
    return world.settle()


def canary_failed() -> World:
    return canary_lost_its_pods().pass_time(31).settle()


def canary_promoting() -> World:
    return worlds.canary(steps=[{"setWeight": 25}], stage="Promoting", at=None)


def finalizing() -> World:
    """The entry point was read back, and nothing after that has happened."""
    world = canary_promoting().ready_all()
    while world.stage(2) != "Finalizing":
        world.step()
    return world


def analysed(*gates: Any) -> World:
    """At an analysis of these gates, with a quarter of the requests."""
    names = [gate["name"] for gate in gates]
    steps = [{"setWeight": 25}, {"analysis": {"gates": names}}, {"pause": {}}]
    return worlds.canary(steps, at=1, gates=[worlds.GATE, *gates])


def analysis_half_done() -> World:
    """One gate has settled, the other has not."""
    patient = SLOW | {"minSamples": 100_000, "inconclusiveLimit": 9}
    return worlds.measured(analysed(worlds.ERRORS, patient), times=3)


def analysis_passed() -> World:
    """A dry run failed, which is in nobody's way."""
    strict = worlds.ERRORS | {"name": "no-errors", "maxRatio": "0.001", "dryRun": True}
    return worlds.measured(analysed(worlds.ERRORS, strict), failed=10)


def analysis_undecided() -> World:
    return worlds.measured(
        analysed(worlds.ERRORS | {"minSamples": 100_000, "inconclusiveLimit": 0})
    )


def analysis_failed() -> World:
    return worlds.measured(analysed(worlds.ERRORS), failed=300).pass_time(31).settle()


def by_a_gateway(*steps: Any) -> World:
    """r2 beside r1, as the weights of a route that its Gateway acts on."""
    world = World(gateway_api=True, tended=True)
    spec = worlds.model_spec(serving={"replicas": 4})
    spec["rollout"] |= {"steps": list(steps), "traffic": TRAFFIC}
    world.apply_model(**spec).apply_index().run()
    return world.change_model("training.seed", 7).run()


# -- after the promotion


def watch_undecided() -> World:
    return worlds.measured(
        worlds.promoted(worlds.ERRORS | {"minSamples": 100_000, "inconclusiveLimit": 0})
    )


def watch_failed_and_stays() -> World:
    """What failed stays until what it replaced is ready."""
    world = worlds.promoted()
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    return worlds.measured(world, failed=300)


def watch_failed_and_goes_back() -> World:
    """r1 returns: its pods come first."""
    return worlds.measured(worlds.promoted(capacity="ResourceAware"), failed=300)


def verbs_remembered() -> World:
    """The last value of every verb, most of them refused."""
    world = worlds.two().change_model("training.seed", 8).run_to("Training", 3)
    world.annotate("pause", "r3").annotate("retry", "r3").annotate("promote", "r7")
    world.annotate("abort", "r1").annotate("rollback", "r3")
    return world.settle()


def long_history() -> World:
    world = worlds.healthy(revisionHistoryLimit=3)
    for seed in (7, 8, 9):
        world.change_model("training.seed", seed).run()
    return world.annotate("abort", "r4").run()


def indexes_changed_under_it() -> World:
    """An index was deleted, another cannot be read."""
    world = new().apply_index("archive").apply_index("broken").run()
    world.remove("VectorIndex", "archive")
    world.change_index("objectives", {"recall": {"min": "lots"}}, "broken")
    return world.settle()


def deleted() -> World:
    world = worlds.healthy()
    mark = {"deletionTimestamp": "2026-01-31T13:00:00Z"}
    world.edit("EmbeddingModel", "glyphs", lambda raw: raw["metadata"].update(mark))
    world.step()
    return world


def refused() -> World:
    world = worlds.second("Warming").ready_all()
    refusal = worlds.Refusal("Service", "glyphs", "exceeded quota: services.", "Forbidden")
    world.refusals = (refusal,)
    world.step()
    return world


MOMENTS: dict[str, Callable[[], World]] = {
    "just-applied": new,
    "pending-without-an-index": lambda: World().apply_model().settle(),
    "created": lambda: _stepped(new(), 1),
    "training": lambda: worlds.second("Training"),
    "training-retried": training_retried,
    "training-disrupted": training_disrupted,
    "training-failed": training_failed,
    "training-with-findings": training_found_something,
    "importing": lambda: World().apply_model(**IMPORTED).apply_index().settle(),
    "importing-retried": importing_retried,
    "imported-unmeasured": imported_unmeasured,
    "evaluating": lambda: worlds.second("Evaluating"),
    "evaluating-undecided": gate_undecided,
    "evaluating-waived": lambda: gate_undecided().annotate("promote", "r2").settle(),
    "evaluating-failed": gate_failed,
    "evaluated-beside-stable": measured_beside_stable,
    "indexing-one-of-two": one_of_two_built,
    "indexing-a-reused-model": index_changed,
    "verifying-failed": rows_missing,
    "store-changed": store_changed,
    "superseded": superseded,
    "queued-behind-a-candidate": queued_behind_a_candidate,
    "everything-set": everything_set,
    "warming": lambda: worlds.second("Warming"),
    "warming-paused": paused_while_warming,
    "warming-resumed": resumed,
    "warming-steps-refused": steps_refused,
    "canary-at-a-weight": lambda: worlds.canary(at=1),
    "canary-weight-not-reached": lambda: worlds.canary(at=2),
    "canary-step-pause": lambda: worlds.canary(at=3),
    "canary-paused-by-a-person": canary_paused_by_a_person,
    "canary-held-at-step": canary_held_at_a_step,
    "canary-approval-required": canary_waits_for_approval,
    "canary-let-past-its-pause": canary_let_past_its_pause,
    "canary-approved": canary_approved,
    "canary-analysis-begun": lambda: worlds.measured(analysed(worlds.ERRORS), times=1),
    "canary-analysis-half-done": analysis_half_done,
    "canary-analysis-passed": analysis_passed,
    "canary-analysis-undecided": analysis_undecided,
    "canary-analysis-failed": analysis_failed,
    "canary-by-a-gateway": lambda: by_a_gateway({"setWeight": 5}, {"pause": {}}),
    "canary-mirrored": lambda: by_a_gateway({"mirror": 10}, {"pause": {}}),
    "canary-promoting": canary_promoting,
    "finalizing": finalizing,
    "rolling-back-aborted": lambda: canary_aborted(capacity="ResourceAware"),
    "rolling-back-failed": canary_lost_its_pods,
    "rolling-back-crashed": canary_crashed,
    "canary-aborted": canary_aborted_and_over,
    "canary-reverted": canary_went_back_to_the_old_spec,
    "canary-failed": canary_failed,
    "serving": worlds.healthy,
    "serving-and-retained": worlds.two,
    "serving-and-retired": lambda: worlds.two().pass_time(90_000).run(),
    "serving-watched": lambda: worlds.measured(worlds.promoted(), times=1),
    "serving-watch-passed": lambda: worlds.measured(worlds.promoted()),
    "serving-watch-of-a-query": lambda: worlds.promoted(CLICKS),
    "serving-watch-undecided": watch_undecided,
    "serving-watch-failed": watch_failed_and_stays,
    "serving-watch-failed-going-back": watch_failed_and_goes_back,
    "rolled-back-by-a-watch": lambda: worlds.measured(worlds.promoted(), failed=300).run(),
    "rolled-back-by-a-person": lambda: worlds.two().annotate("rollback", "r1").run(),
    "aborted": lambda: worlds.second("Training").annotate("abort", "r2").run(),
    "retried": lambda: training_failed().annotate("retry", "r2").settle(),
    "verbs-remembered": verbs_remembered,
    "long-history": long_history,
    "indexes-changed": indexes_changed_under_it,
    "invalid-spec": lambda: worlds.healthy().change_model("serving.replicas", "many").settle(),
    "write-refused": refused,
    "deleted": deleted,
}


def _stepped(world: World, times: int) -> World:
    for _ in range(times):
        world.step()
    return world
