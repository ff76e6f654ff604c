"""Edges 27 to 29, and what others do in the cluster: deletions, refusals, names of their own."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.snapshot.snapshot import read
from lockstep_operator.decide.status.index_status import project_index
from lockstep_operator.decide.status.model_status import project_model
from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


# -- edges 27, 28, 29


@pytest.mark.parametrize("stage", ["Training", "Evaluating", "Indexing", "Warming"])
def test_edge_27_a_restart_is_no_transition(stage: str) -> None:
    world = worlds.second(stage)
    world.restart()
    assert worlds.is_empty(world.decide())


def test_edge_28_children_deleted_by_hand_come_back() -> None:
    world = worlds.two()
    for key in [k for k in world.objects if k[0] in ("Deployment", "Service")]:
        before = worlds.served_space(world.objects[key]) if key[0] == "Deployment" else None
        world.remove(*key)
        world.settle()
        assert key in world.objects and world.entry() == "glyphs-r2"
        assert before is None or worlds.served_space(world.objects[key]) == before
        world.run()
    world = worlds.second("Training")
    world.remove("Job", "glyphs-r2-train-1")
    world.settle()
    assert world.jobs() == ["glyphs-r2-train-1"] and world.record(2)["attempts"]["training"] == 1
    world.end_jobs().settle()
    world.remove("Job", "glyphs-r2-train-1")
    world.settle()
    assert "glyphs-r2-train-1" not in world.jobs(live_only=False), "its facts are known"


def test_edge_28_the_entry_edited_by_hand_is_put_right() -> None:
    world = worlds.two()

    def point_at(release: str, **more: str) -> None:
        selector = {"lockstep.dev/release": release, "lockstep.dev/model": "glyphs", **more}
        world.edit("Service", "glyphs", lambda raw: raw["spec"].update(selector=selector))

    point_at("glyphs-r1")
    world.settle()
    assert world.entry() == "glyphs-r2"
    point_at("glyphs-r2", **{"lockstep.dev/component": "encoder", "app": "mine"})
    world.settle()
    assert "app" not in world.objects["Service", "glyphs"]["spec"]["selector"]


def test_edge_28_a_record_deleted_by_hand_lets_the_kept_release_take_over() -> None:
    world = worlds.two()
    world.remove("EmbeddingRelease", "glyphs-r2")
    world.settle()
    assert world.entry() == "glyphs-r1" and world.stage(1) == "Serving"
    assert world.stage(2) == "Training", "and what the spec asks is made again"
    world.run()
    assert world.entry() == "glyphs-r2"


def test_edge_29_a_model_that_is_deleted_writes_its_phase_and_nothing_else() -> None:
    world = worlds.second("Indexing")
    stamp = {"deletionTimestamp": world.text()}
    world.edit("EmbeddingModel", "glyphs", lambda raw: raw["metadata"].update(stamp))
    plan = world.step()
    assert [write.of.kind for write in plan.projections] == ["EmbeddingModel"]
    assert not (plan.records or plan.create or plan.apply or plan.delete)
    assert world.status["phase"] == "Terminating"
    assert worlds.is_empty(world.decide())
    world.remove("EmbeddingModel", "glyphs")
    world.settle()
    assert {key[0] for key in world.objects} == {"VectorIndex"}
    assert "there is no EmbeddingModel of that name" in world.index_status()["message"]


def test_nothing_at_all_is_an_empty_plan() -> None:
    assert worlds.is_empty(World().decide())


# -- names that belong to someone else


def test_a_foreign_entry_service_is_never_touched_and_fails_the_candidate() -> None:
    world = World().apply_model().apply_index().run_to("Warming", 1)
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "glyphs"}, "spec": {}}
    world.create(foreign)
    before = dict(world.objects["Service", "glyphs"])
    world.ready_all().settle()
    assert world.stage(1) == "Failed" and world.says("Ready") == ("False", "NameConflict")
    assert "Service glyphs exists and belongs to someone else" in world.status["message"]
    assert world.objects["Service", "glyphs"] == before
    world.remove("Service", "glyphs")
    assert world.annotate("retry", "r1").run().entry() == "glyphs-r1"


def test_a_foreign_entry_service_that_is_not_labelled_is_told_by_the_applier() -> None:
    world = World().apply_model().apply_index().run_to("Warming", 1).ready_all()
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "glyphs"}, "spec": {}}
    world.create(foreign, tell=False)
    world.step()
    world.heard.pop(("Service", "glyphs"))
    world.step()
    assert world.stage(1) == "Failed" and world.says("Ready") == ("False", "NameConflict")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Deployment", "glyphs-r1-encoder"),
        ("Deployment", "glyphs-r1-glyphs"),
        ("Job", "glyphs-r1-evaluate-1"),
    ],
)
def test_a_foreign_child_fails_the_candidate_and_is_not_touched(kind: str, name: str) -> None:
    world = World().apply_model().apply_index().settle()
    api = "batch/v1" if kind == "Job" else "apps/v1"
    world.create({"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": {}})
    before = dict(world.objects[kind, name])
    for _ in range(3):
        for job in world.jobs():
            if job != name:
                world.end_job(job)
        world.settle()
    assert world.stage(1) == "Failed" and world.says("Ready") == ("False", "NameConflict")
    assert world.objects[kind, name] == before


def test_a_foreign_child_of_what_serves_is_told_and_stays() -> None:
    world = worlds.healthy()
    world.edit("Service", "glyphs", lambda raw: raw["metadata"].update(ownerReferences=[]))
    world.settle()
    assert world.says("Serving") == ("False", "NameConflict")
    assert world.says("Stalled") == ("True", "NameConflict")


def test_refusals_are_told_and_tried_again() -> None:
    from lockstep_operator.decide.snapshot.observed import Refusal

    world = worlds.healthy()
    refused = "admission webhook denied the request"
    world.refusals = (Refusal("Deployment", "glyphs-r1-encoder", refused),)
    (write,) = [w for w in world.decide().projections if w.of.kind == "EmbeddingModel"]
    assert refused in write.status["message"] and write.status["phase"] == "Degraded"

    world.refusals = (Refusal("EmbeddingRelease", "glyphs-r2", refused),)
    world.change_model("training.seed", 7)
    world.refusals = (Refusal("EmbeddingRelease", "glyphs-r2", refused),)
    plan = world.decide()
    assert not plan.releases and refused in plan.projections[0].status["message"]
    world.step()
    world.refusals = (Refusal("EmbeddingRelease", "glyphs-r2", refused),)
    assert world.decide().releases, "told once, then tried again"
    world.run()
    assert world.entry() == "glyphs-r2"

    world = worlds.second("Warming")
    world.remove("Deployment", "glyphs-r2-encoder")
    world.refusals = (Refusal("Deployment", "glyphs-r2-encoder", "exceeded quota: pods"),)
    (write,) = [w for w in world.decide().projections if w.of.kind == "EmbeddingModel"]
    assert "exceeded quota: pods" in write.status["message"]


def test_too_many_indexes_are_named() -> None:
    world = World().apply_model()
    for number in range(33):
        world.apply_index(f"index-{number}")
    world.settle()
    assert "33 VectorIndexes name this model" in world.status["message"]


def test_a_field_that_others_keep_rewriting_holds_no_release_up() -> None:
    world = worlds.second("Warming")

    def rewrite(raw: Any) -> None:
        raw["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 99

    world.edit("Deployment", "glyphs-r2-encoder", rewrite)
    world.ready_all()
    world.step()
    assert world.stage(2) == "Promoting"


def test_a_broken_index_of_a_model_that_is_gone_is_told_too() -> None:
    world = World().apply_index().apply_index("second")
    world.change_index("replicas", "many", "second")
    world.set_status("VectorIndex", "second", {"novel": 1})
    world.settle()
    assert "there is no EmbeddingModel" in world.index_status()["message"]
    assert "`spec.replicas` ('many')" in world.index_status("second")["message"]


def test_two_live_jobs_of_one_kind_become_one_before_the_next_is_made() -> None:
    world = worlds.second("Training")
    stray = copy.deepcopy(world.objects["Job", "glyphs-r2-train-1"])
    stray["metadata"]["name"] = "glyphs-r2-train-7"
    world.create(stray)
    world.remove("Job", "glyphs-r2-train-1")
    world.step()
    assert world.jobs() == []
    world.settle()
    assert world.jobs() == ["glyphs-r2-train-1"]


def test_a_mixed_pair_is_told_should_it_ever_be() -> None:
    world = worlds.healthy()
    raw = copy.deepcopy(world.release(1))
    raw["status"]["builds"][0]["spaceID"] = "ffffffffffff"
    world.put(raw)
    world.settle()
    assert world.says("Paired") == ("False", "SpaceMismatch")


def test_a_repair_is_planned_in_the_pass_in_which_a_kept_release_leaves_its_window() -> None:
    """What one release enters must not wipe what was planned for another."""
    world = worlds.two().pass_time(86401)
    world.remove("Deployment", "glyphs-r2-encoder")
    plan = world.step()
    assert world.stage(1) == "Retired"
    assert [raw["metadata"]["name"] for raw in plan.apply] == ["glyphs-r2-encoder"]
    assert [name for _, name in world.workloads()] == ["glyphs-r2-encoder", "glyphs-r2-glyphs"]


def test_statuses_are_told_from_a_health_that_plans_nothing() -> None:
    world = worlds.two()
    world.remove("Deployment", "glyphs-r2-encoder")
    context = ReconcileContext(read(world.observed(), world.settings, world.now))
    project_model(context)
    for index in context.snapshot.indexes:
        project_index(context, index)
    planned = (context.create, context.apply, context.delete, context.events, context.conflicts)
    assert not any(planned) and context.look_again_after is None
