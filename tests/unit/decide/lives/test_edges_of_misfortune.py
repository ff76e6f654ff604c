"""What hostile or unlucky users do: names used again, records deleted, a store that moves."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from lockstep_operator.api.release import Images
from lockstep_operator.decide.snapshot.observed import Refusal, Settings
from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


CLAIM = {"uri": "file:///artifacts", "claimName": "lockstep-artifacts"}
BUCKET = {"uri": "s3://models/glyphs", "secretRef": {"name": "old-keys"}}


def in_a_bucket(world: World | None = None) -> World:
    """r1 serves out of a bucket."""
    world = world or worlds.World()
    data = {"uri": "s3://models/glyphs.npz", "format": "NPZ"}
    training = worlds.model_spec()["training"] | {"data": data}
    return world.apply_model(artifacts=BUCKET, training=training).apply_index(source=data).run()


def made_again(world: World, *, children_stay: bool) -> Any:
    """Deletes the model and applies it again before garbage collection has seen to its children."""
    spec = world.objects["EmbeddingModel", "glyphs"]["spec"]
    remnants = {
        key: raw
        for key, raw in world.objects.items()
        if raw["metadata"].get("ownerReferences") and (children_stay or key[0] != "Job")
    }
    world.remove("EmbeddingModel", "glyphs")
    world.settle()
    for key, raw in remnants.items():
        world.objects[key] = raw
        world.tell(key)
    world.apply_model(**copy.deepcopy(spec))
    return remnants


def collect(world: World, remnants: dict[Any, Any]) -> None:
    for key, raw in remnants.items():
        if world.objects.get(key) is not None and (
            world.objects[key]["metadata"]["uid"] == raw["metadata"]["uid"]
        ):
            world.remove(*key)


# -- names used again


def test_a_model_made_again_owns_nothing_of_the_one_before() -> None:
    world = worlds.healthy()
    remnants = made_again(world, children_stay=True)
    old = world.release(1)["metadata"]["uid"]
    world.settle()
    assert world.status.get("stable") is None, "the old r1 is not the new model's"
    assert world.release(1)["metadata"]["uid"] == old
    uid = world.objects["EmbeddingModel", "glyphs"]["metadata"]["uid"]
    assert world.release(2)["metadata"]["ownerReferences"][0]["uid"] == uid
    world.run()
    assert world.stage(2) == "Promoting"
    assert "Service glyphs of a deleted release is still being removed" in world.status["message"]
    assert world.entry() == "glyphs-r1"
    collect(world, remnants)
    world.pass_time(6).run()
    assert (world.stage(2), world.entry()) == ("Serving", "glyphs-r2")


@pytest.mark.parametrize("kinds", [("Job",), ("Service", "Deployment")])
def test_children_of_a_deleted_release_of_the_same_name_are_waited_for(kinds: Any) -> None:
    world = worlds.healthy()
    remnants = made_again(world, children_stay=True)
    for key in list(remnants):
        if key[0] not in kinds or key == ("Service", "glyphs"):
            world.objects.pop(key, None)
            world.tell(key)
            remnants.pop(key)
    world.settle()
    world.run()
    assert world.stage(1) == ("Training" if kinds == ("Job",) else "Warming")
    assert "of a deleted release is still being removed" in world.status["message"]
    assert world.look_again_after == 5.0
    for key, raw in remnants.items():
        assert world.objects[key]["metadata"]["uid"] == raw["metadata"]["uid"], "left alone"
    collect(world, remnants)
    world.pass_time(6).run()
    assert (world.stage(1), world.entry()) == ("Serving", "glyphs-r1")


# -- records and children deleted by hand


def test_the_record_of_the_only_release_is_deleted_and_another_number_comes() -> None:
    world = worlds.healthy()
    world.remove("EmbeddingRelease", "glyphs-r1")
    world.run()
    assert not world.has_release(1)
    assert (world.stage(2), world.entry()) == ("Serving", "glyphs-r2")


def test_the_record_of_a_candidate_is_deleted_and_it_starts_again_as_another() -> None:
    world = worlds.second("Training")
    world.remove("EmbeddingRelease", "glyphs-r2")
    world.settle()
    assert (world.stage(1), world.stage(2), world.stage(3)) == ("Serving", None, "Training")
    assert world.entry() == "glyphs-r1"


def test_the_entry_point_is_deleted_and_made_again_at_once() -> None:
    world = worlds.healthy()
    world.remove("Service", "glyphs")
    world.step()
    assert world.entry() == "glyphs-r1"
    assert world.settle().status["phase"] == "Healthy"


def test_a_service_of_what_serves_is_deleted_and_told() -> None:
    world = worlds.healthy()
    world.remove("Service", "glyphs-r1-encoder")
    world.step()
    assert "Service glyphs-r1-encoder was gone and is made again" in world.status["message"]
    assert world.settle().status["phase"] == "Healthy"


# -- the store


def test_a_wrong_claim_is_mended_by_a_right_one() -> None:
    world = worlds.World().apply_model(artifacts=CLAIM | {"claimName": "none"}).apply_index()
    world.settle()
    world.change_model("artifacts", CLAIM).run()
    assert (world.stage(1), world.stage(2)) == ("Superseded", "Serving")
    assert world.release(2)["spec"]["artifacts"] == CLAIM
    assert world.release(2)["spec"]["cause"] == "StoreChanged"


@pytest.mark.parametrize("failed", [False, True])
def test_another_secret_is_another_release_of_the_same_model(failed: bool) -> None:
    world = in_a_bucket()
    if failed:
        world.change_model("training.seed", 7).settle()
        world.end_job("glyphs-r2-train-1", code=3)
        world.settle()
        assert world.stage(2) == "Failed"
    world.change_model("artifacts", BUCKET | {"secretRef": {"name": "new-keys"}}).settle()
    newest = world.release(3 if failed else 2)
    assert newest["spec"]["cause"] == "StoreChanged"
    assert ("reuse" in newest["spec"]) is not failed, "what passed its gates is not trained again"
    container = world.objects["Deployment", "glyphs-r1-encoder"]["spec"]["template"]["spec"]
    assert container["containers"][0]["envFrom"][0]["secretRef"]["name"] == "old-keys"
    world.run()
    assert world.entry() == newest["metadata"]["name"]


def test_another_secret_while_a_candidate_trains_starts_it_anew() -> None:
    world = in_a_bucket().change_model("training.seed", 7).settle()
    world.change_model("artifacts", BUCKET | {"secretRef": {"name": "new-keys"}}).settle()
    assert (world.stage(2), world.stage(3)) == ("Superseded", "Training")


@pytest.mark.parametrize(
    "store",
    [
        {"uri": "file:///artifacts", "claimName": "another"},
        {"uri": "file:///artifacts/datasets", "claimName": "lockstep-artifacts"},
    ],
)
def test_another_store_trains_anew_and_what_serves_keeps_reading_the_old_one(store: Any) -> None:
    world = worlds.healthy().change_model("artifacts", store).settle()
    assert "reuse" not in world.release(2)["spec"], "the old model is not in the new store"
    world.run_to("Evaluating", 2)
    asked = world.config("glyphs-r2-evaluate-1")
    assert asked["artifacts"] == store
    assert "stableArtifactDigest" not in asked, "stable is in a store that the pod does not reach"
    (container,) = world.objects["Deployment", "glyphs-r1-encoder"]["spec"]["template"]["spec"][
        "containers"
    ]
    assert json.loads(worlds.config_text(container))["artifacts"] == CLAIM
    assert world.run().entry() == "glyphs-r2"


# -- numbers that must stay bounded


def test_old_failed_jobs_go_and_the_last_ones_stay() -> None:
    world = worlds.healthy().change_model("training.maxAttempts", 20)
    world.change_model("training.seed", 7).settle()
    for attempt in range(1, 8):
        world.end_job(f"glyphs-r2-train-{attempt}", code=74)
        world.settle().pass_time(2000).settle()
    names = [name for name in world.jobs(live_only=False) if name.startswith("glyphs-r2-train")]
    assert names == [f"glyphs-r2-train-{attempt}" for attempt in (5, 6, 7, 8)]
    world.run()
    ended = [name for name in world.jobs(live_only=False) if name.startswith("glyphs-r2-train")]
    assert ended == [f"glyphs-r2-train-{attempt}" for attempt in (6, 7, 8)]


def test_thirty_two_indexes_make_one_release_and_a_message_one_can_read() -> None:
    world = worlds.World().apply_model()
    for number in range(32):
        world.apply_index(f"i{number}")
    world.run_to("Warming", 1)
    assert len(world.status["message"]) < 600
    assert "more" in world.status["message"]
    world.run()
    assert world.status["phase"] == "Healthy"
    assert len(json.dumps(world.release(1))) < 500_000


def test_the_shortest_history_keeps_what_may_return() -> None:
    world = worlds.healthy(revisionHistoryLimit=1)
    for seed in (7, 8, 9):
        world.change_model("training.seed", seed).run()
    assert (world.stage(4), world.stage(3)) == ("Serving", "Retained")
    world.annotate("rollback", "r3").run()
    assert world.entry() == "glyphs-r3"


def test_no_rollback_window_drains_and_retires() -> None:
    rollout = {"gates": [], "rollbackWindow": {"releases": 0, "seconds": 0}}
    world = worlds.healthy(rollout=rollout).change_model("training.seed", 7).run()
    assert world.stage(1) == "Retained", "requests drain"
    world.pass_time(31).run()
    assert world.stage(1) == "Retired"
    assert ("Deployment", "glyphs-r1-encoder") not in world.objects
    world.annotate("rollback", "r1").run()
    assert world.entry() == "glyphs-r2"
    assert "apply its spec again" in world.status["lastHandled"][0]["outcome"]


# -- clocks and versions


@pytest.mark.parametrize("stage", ["Training", "Evaluating", "Indexing", "Warming"])
def test_a_clock_that_is_set_back_ends_nothing_early_and_stops_nothing(stage: str) -> None:
    world = worlds.second(stage).annotate("pause", "r2").settle()
    world.pass_time(-7200).settle().annotate("pause", None).settle()
    assert world.record(2).get("pausedSeconds") == 0
    assert world.run().entry() == "glyphs-r2"


def test_new_images_of_the_operator_roll_no_release_that_lives() -> None:
    world = worlds.two()
    images = Images(trainer="trainer:2", encoder="encoder:2", indexer="indexer:2")
    world.settings = Settings(images=images)
    world.restart()
    before = list(world.writes)
    assert world.settle().writes == before
    world.change_model("training.seed", 8).run()
    (container,) = world.objects["Deployment", "glyphs-r3-encoder"]["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["image"] == "encoder:2"


# -- refused records


def test_a_record_that_is_refused_is_told_and_nothing_of_the_pass_is() -> None:
    world = worlds.second("Training")
    world.end_job("glyphs-r2-train-1")
    before = world.status["candidate"]
    world.refusals = (Refusal("EmbeddingRelease", "glyphs-r2", "denied by policy", "Forbidden"),)
    plan = world.decide()
    assert [write.of.name for write in plan.records] == ["glyphs-r2"], "it is tried again"
    told = next(w.status for w in plan.projections if w.of.kind == "EmbeddingModel")
    assert told["message"] == (
        "The API server refused EmbeddingRelease glyphs-r2: denied by policy. It is tried again."
        " r1 serves all requests."
    )
    assert told["candidate"] == before, "what was not recorded did not happen"
    ready = next(c for c in told["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "WriteRefused")


# -- indexes side by side


def test_of_two_indexes_the_one_that_failed_is_named_and_both_say_so() -> None:
    world = worlds.World().apply_model().apply_index("a").apply_index("b")
    world.run_to("Indexing", 1)
    world.end_job("glyphs-r1-build-b-1", code=3)
    world.settle()
    assert "r1 failed at Indexing" in world.status["message"]
    assert world.jobs() == []
    for name in ("a", "b"):
        assert "r1 carried it and failed" in world.index_status(name)["message"]


def test_an_index_called_encoder_does_not_meet_the_encoder() -> None:
    world = worlds.World().apply_model().apply_index("encoder").apply_index("train").run()
    assert world.status["phase"] == "Healthy"
    selectors = [
        json.dumps(raw["spec"]["selector"], sort_keys=True)
        for (kind, _), raw in world.objects.items()
        if kind == "Service"
    ]
    assert len(selectors) == 4 and len(set(selectors)) == 3, "the entry and r1's encoder"
