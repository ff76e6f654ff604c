"""Edges 0 to 3, one test each: the first release, what a change asks for, and bad specs."""

from __future__ import annotations

import pytest

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


# -- edge 0: the first release


def test_edge_0_first_release_passes_offline_gates_and_the_entry_appears_last() -> None:
    world = World().apply_model().apply_index().run_to("Warming", 1)
    assert world.entry() is None and world.says("Serving") == ("False", "NoRelease")
    assert world.says("GatesPassed") == ("True", "GatesPassed")
    world.run()
    assert world.stage(1) == "Serving" and world.entry() == "glyphs-r1"
    assert world.status["phase"] == "Healthy" and world.says("Ready") == ("True", "Healthy")
    assert world.record(1)["outcome"] == "Promoted"
    assert world.release(1)["spec"]["cause"] == "First"


def test_edge_0_waits_as_pending_until_an_index_exists_in_either_order() -> None:
    world = World().apply_model().settle()
    assert world.status["phase"] == "Pending" and world.says("Ready") == ("False", "NoIndex")
    assert "spec.modelRef.name: glyphs" in world.status["message"]
    assert not world.has_release(1)
    assert world.apply_index().run().stage(1) == "Serving"

    world = World().apply_index().settle()
    assert world.index_status()["conditions"][0]["reason"] == "ModelNotFound"
    assert world.apply_model().run().stage(1) == "Serving"


def test_edge_0_four_writes_from_apply_to_the_training_job() -> None:
    world = World().apply_model().apply_index().settle()
    assert [w for w in world.writes if "VectorIndex" not in w] == [
        "POST EmbeddingRelease glyphs-r1",
        "STATUS EmbeddingRelease glyphs-r1",
        "POST Job glyphs-r1-train-1",
        "STATUS EmbeddingModel glyphs",
    ]
    world.start_pod("glyphs-r1-train-1")
    assert len(world.settle().writes) == 5


def test_a_model_without_indexes_is_released_alone() -> None:
    world = World().apply_model(indexing="None").run()
    assert world.stage(1) == "Serving" and world.record(1).get("builds") is None
    assert world.condition("IndexFresh") is None
    world.apply_index().settle()
    assert "spec.indexing: None" in world.index_status()["message"]
    world.change_model("indexing", "Required").run()
    assert (
        world.stage(2) == "Serving" and world.release(2)["spec"]["reuse"]["release"] == "glyphs-r1"
    )


# -- edges 1, 2, 2b: what a change of the spec does


def test_edge_1_a_change_of_the_space_trains_beside_what_serves() -> None:
    world = worlds.healthy().change_model("training.seed", 7).settle()
    assert world.stage(2) == "Training" and world.entry() == "glyphs-r1"
    assert world.status["phase"] == "Progressing" and world.says("Serving") == ("True", "Serving")
    assert world.says("Ready") == ("False", "Training")
    world.run()
    assert world.entry() == "glyphs-r2" and world.stage(1) == "Retained"
    assert world.release(2)["spec"]["cause"] == "ModelChanged"
    assert world.status["stable"]["release"] == "glyphs-r2"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training.maxAttempts", 7),
        ("training.activeDeadlineSeconds", 60),
        ("training.template", {"resources": {"requests": {"cpu": "2"}}}),
        ("rollout.gates", []),
        ("rollout.progressDeadlineSeconds", 60),
        ("artifacts.secretRef", None),
    ],
)
def test_edge_2_policy_makes_no_release(path: str, value: object) -> None:
    world = worlds.healthy().change_model(path, value).run()
    assert not world.has_release(2) and world.status["phase"] == "Healthy"


def test_edge_2_serving_fields_roll_in_place_on_stable_retained_and_candidate() -> None:
    world = worlds.healthy().change_model("training.seed", 7).run()
    world.change_model("training.seed", 8).run_to("Warming", 3)
    world.change_model("serving.replicas", 4).change_index("replicas", 3).settle()
    for kind, name in world.workloads():
        wanted = 4 if name.endswith("-encoder") else 3
        assert world.objects[kind, name]["spec"]["replicas"] == wanted
    assert len(world.workloads()) == 6 and not world.has_release(4)


def test_edge_2_a_roll_in_place_is_told_and_ends_healthy() -> None:
    world = worlds.healthy().change_model("serving.replicas", 4).settle()
    assert world.status["phase"] == "Progressing"
    assert world.says("Reconciling") == ("True", "RollingInPlace")
    assert world.says("Serving") == ("True", "Serving")
    world.ready_all().settle()
    assert world.status["phase"] == "Healthy" and world.condition("Reconciling") is None
    # A field that leaves the template leaves the pods.
    world.change_model("serving.template", {"nodeSelector": {"disk": "fast"}}).run()
    world.change_model("serving.template", {}).settle()
    pod = world.objects["Deployment", "glyphs-r1-encoder"]["spec"]["template"]["spec"]
    assert "nodeSelector" not in pod


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("index", {"type": "Flat"}),
        ("source.uri", "file:///artifacts/datasets/other.npz"),
        ("objectives", {"recall": {"k": 10, "min": "0.90"}}),
    ],
)
def test_edge_2b_an_index_change_starts_at_indexing_with_the_same_model(
    path: str, value: object
) -> None:
    world = worlds.healthy().change_index(path, value).settle()
    assert world.stage(2) == "Indexing" and world.jobs() == ["glyphs-r2-build-glyphs-1"]
    assert world.says("IndexFresh") == ("False", "IndexChanged")
    assert world.release(2)["spec"]["cause"] == "IndexChanged"
    world.run()
    assert world.entry() == "glyphs-r2" and world.says("IndexFresh") == ("True", "UpToDate")
    assert world.record(1)["training"] == world.record(2)["training"]
    assert world.status["recall"] == "0.990", "the gates of the model are still shown"


def test_edge_2b_while_the_same_space_trains_the_indexes_wait_for_the_model() -> None:
    world = World().apply_model().apply_index().settle()
    world.apply_index("second").settle()
    assert world.stage(1) == "Training" and not world.has_release(2)
    assert "wait for the model of r1" in world.status["message"]
    world.end_jobs().settle()
    assert world.stage(1) == "Evaluating"
    world.end_jobs().settle()
    assert world.stage(1) == "Superseded" and world.stage(2) == "Indexing"
    assert not any("r1-build" in write for write in world.writes)
    assert world.release(2)["spec"]["reuse"]["release"] == "glyphs-r1"
    world.run()
    assert [build["index"] for build in world.record(2)["builds"]] == ["glyphs", "second"]


def test_edge_2_an_index_template_that_does_not_start_leaves_the_server_that_answers() -> None:
    world = worlds.healthy().change_index("template", {"image": "none:1"}).settle()
    status = {
        "observedGeneration": world.objects["Deployment", "glyphs-r1-glyphs"]["metadata"][
            "generation"
        ],
        "replicas": 2,
        "updatedReplicas": 1,
        "readyReplicas": 1,
    }
    world.set_status("Deployment", "glyphs-r1-glyphs", status)
    world.settle()
    assert world.says("Serving") == ("True", "Serving")
    assert world.says("Reconciling") == ("True", "RollingInPlace")
    told = "Deployment glyphs-r1-glyphs keeps 1 of the pods of before its last change"
    assert told in world.status["message"] and told in world.index_status()["message"]
    world.ready_all().settle()
    assert world.status["phase"] == "Healthy"


def test_a_deleted_index_in_use_leaves_the_release_whole() -> None:
    world = World().apply_model().apply_index().apply_index("second", replicas=3).run()
    world.remove("VectorIndex", "second")
    world.run()
    assert not world.has_release(2) and world.status["phase"] == "Healthy"
    assert world.says("IndexFresh") == ("False", "IndexDeleted")
    assert "second, whose VectorIndex was deleted" in world.status["message"]
    assert world.objects["Deployment", "glyphs-r1-second"]["spec"]["replicas"] == 3
    world.remove("Deployment", "glyphs-r1-second")
    world.run()
    assert ("Deployment", "glyphs-r1-second") in world.objects
    world.remove("VectorIndex", "glyphs")
    world.run()
    assert world.status["phase"] == "Healthy" and world.entry() == "glyphs-r1"
    # The next change of the model takes what is live then.
    world.apply_index().change_model("training.seed", 3).run()
    assert [i["name"] for i in world.release(2)["spec"]["indexes"]] == ["glyphs"]


# -- edge 3: a bad spec


@pytest.mark.parametrize("stage", ["Training", "Warming"])
def test_edge_3_an_invalid_spec_keeps_stage_and_traffic(stage: str) -> None:
    world = worlds.healthy().change_model("training.seed", 7).run_to(stage, 2)
    world.change_model("training.budget.maxSteps", -1).settle()
    assert world.says("Ready") == ("False", "InvalidSpec")
    assert world.says("Stalled") == ("True", "InvalidSpec")
    assert world.says("Serving") == ("True", "Serving")
    assert "`spec.training.budget.maxSteps` (-1)" in world.status["message"]
    assert world.stage(2) == stage and world.entry() == "glyphs-r1"
    world.change_model("training.budget.maxSteps", 400).run()
    assert world.stage(2) == "Serving" and world.condition("Stalled") is None


@pytest.mark.parametrize(
    ("store", "uri", "told"),
    [
        ("file:///artifacts", "s3://bucket/x.npz", "must begin with file://"),
        (
            "file:///artifacts",
            "file:///etc/x.npz",
            "must lie under the model's `spec.artifacts.uri`",
        ),
        ("file:///artifacts", "file:///artifacts/../etc/x.npz", "must lie under"),
        ("s3://bucket/models", "s3://other/x.npz", "must lie in bucket, as `spec.artifacts.uri`"),
    ],
)
def test_edge_3_data_that_pods_cannot_reach_is_named(store: str, uri: str, told: str) -> None:
    artifacts = {"uri": store} | ({"claimName": "c"} if store.startswith("file") else {})
    good = "file:///artifacts/x.npz" if store.startswith("file") else "s3://bucket/x.npz"
    world = World().apply_model(artifacts=artifacts).apply_index()
    world.change_index("source.uri", good).change_model("training.data.uri", uri).settle()
    assert world.says("Ready") == ("False", "InvalidSpec") and told in world.status["message"]
    assert not world.has_release(1)
    world.change_model("training.data.uri", good).change_index("source.uri", uri).settle()
    assert world.says("Ready") == ("False", "InvalidIndex") and told in world.status["message"]
    assert world.index_status()["phase"] == "Degraded"


def test_edge_3_an_index_that_cannot_be_read_stops_nothing() -> None:
    world = worlds.healthy()
    world.change_index("replicas", "many").settle()
    assert world.says("Ready") == ("False", "InvalidIndex")
    assert world.says("Serving") == ("True", "Serving")
    assert world.says("IndexFresh") == ("False", "InvalidIndex")
    status = world.index_status()
    assert status["phase"] == "Degraded" and "`spec.replicas` ('many')" in status["message"]
    assert status["serving"]["release"] == "glyphs-r1"
    assert world.change_index("replicas", 2).run().status["phase"] == "Healthy"


def test_edge_3_a_release_of_another_version_is_named_and_nothing_is_done() -> None:
    world = worlds.healthy()
    world.edit("EmbeddingRelease", "glyphs-r1", lambda raw: raw["spec"].update(novel=1))
    world.settle()
    assert world.says("Ready") == ("False", "InvalidRelease")
    assert "glyphs-r1" in world.status["message"] and "novel" in world.status["message"]
    assert world.entry() == "glyphs-r1"
