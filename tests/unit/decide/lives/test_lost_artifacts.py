"""Files of a release are damaged or gone in the store: who says so, and what makes them again."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_operator.decide.releases.checks import TRY_AGAIN_SECONDS
from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit

IMPORTED: dict[str, Any] = {
    "training": None,
    "artifact": {"uri": "file:///artifacts/imports/store", "digest": "sha256:" + 64 * "1"},
    "evaluation": {"data": {"uri": "file:///artifacts/held-out.npz", "format": "NPZ"}},
}
DAY = 86_400
# A day and the longest jitter.
DUE = DAY * 1.1 + 1


def model_of(world: World, number: int) -> str:
    return str(world.record(number)["training"]["artifactDigest"])


def build_of(world: World, number: int, index: str = "glyphs") -> str:
    (found,) = [b for b in world.record(number)["builds"] if b["index"] == index]
    return str(found["buildDigest"])


def refuses(world: World, digest: str, *, number: int = 2, old: bool = False) -> None:
    """A server of the release ends by what it read; an `old` one names it in its message alone."""
    world.refuse(f"glyphs-r{number}", digest, old=old)


def fails_by(world: World, digest: str, *, old: bool = False) -> World:
    """r2 fails by what its server refused, and its pods go."""
    refuses(world, digest, old=old)
    world.settle()
    assert world.stage(2) == "Failed"
    world.remove("Pod", "glyphs-r2-refuses")
    return world.pass_time(5)


def made_anew(world: World, before: set[tuple[str, str]]) -> list[str]:
    """Parts of the names of the Jobs that are there since."""
    names = {name for kind, name in world.objects.keys() - before if kind == "Job"}
    return sorted(name.removeprefix("glyphs-r2-") for name in names)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("lost", "stage", "jobs"),
    [
        ("model", "Training", ["build-glyphs-2", "evaluate-2", "train-2"]),
        ("glyphs", "Indexing", ["build-glyphs-2"]),
    ],
)
def test_edge_21_retry_enters_the_stage_that_makes_what_was_refused(
    lost: str, stage: str, jobs: list[str], old: bool
) -> None:
    world = worlds.second("Warming")
    digest = model_of(world, 2) if lost == "model" else build_of(world, 2)
    fails_by(world, digest, old=old).settle()
    assert world.says("Ready") == ("False", "ArtifactRefused")
    (damaged,) = world.record(2)["damaged"]
    assert damaged["artifact"] == digest and damaged.get("index", "model") == lost
    what = "model" if lost == "model" else "index glyphs"
    assert f"Or make its {what} again: " in world.status["message"]
    before = set(world.objects)
    world.annotate("retry", "r2").settle()
    assert world.stage(2) == stage and "damaged" not in world.record(2)
    assert f"tried again from {stage}, which makes its {what} again" in world.handled("retry")
    assert world.run().entry() == "glyphs-r2"
    assert made_anew(world, before) == jobs and not world.rotten


def test_of_several_indexes_the_lost_build_alone_is_made_again() -> None:
    world = worlds.healthy().apply_index("second", index={"type": "Flat"}).run_to("Warming", 2)
    whole = build_of(world, 2)
    fails_by(world, build_of(world, 2, "second"))
    before = set(world.objects)
    world.annotate("retry", "r2").run()
    assert made_anew(world, before) == ["build-second-2"] and world.entry() == "glyphs-r2"
    assert build_of(world, 2) == whole


def test_a_model_that_was_reused_is_trained_by_the_release_that_lost_it() -> None:
    world = worlds.healthy().change_index("index", {"type": "Flat"}).run_to("Warming", 2)
    assert world.release(2)["spec"]["reuse"]["release"] == "glyphs-r1"
    refuses(world, model_of(world, 2))
    world.settle()
    # r1 serves from the same artifact: it is read, and what is read is told.
    assert world.jobs() == ["glyphs-r1-check-1"]
    world.run().pass_time(5)
    assert world.says("ArtifactsWhole") == ("False", "ArtifactsDamaged")
    world.annotate("retry", "r2").settle()
    assert world.stage(2) == "Training"
    assert world.run().entry() == "glyphs-r2"


def test_a_lost_import_is_imported_again() -> None:
    world = worlds.World().apply_model(**IMPORTED).apply_index().run()
    digest = "sha256:" + 64 * "7"
    world.change_model("artifact.digest", digest).run_to("Warming", 2)
    fails_by(world, digest).annotate("retry", "r2").settle()
    assert world.stage(2) == "Importing"
    assert world.run().entry() == "glyphs-r2"


def test_a_job_that_refuses_the_model_makes_a_retry_train_it_again() -> None:
    world = worlds.second("Indexing")
    job, digest = world.jobs()[0], model_of(world, 2)
    told = {"reason": "ArtifactRefused", "message": "is corrupt", "damage": {"artifact": digest}}
    world.end_job(job, code=6, message=world.result(job, 6, **told))
    world.settle()
    assert world.stage(2) == "Failed" and world.record(2)["failedStage"] == "Indexing"
    world.annotate("retry", "r2").settle()
    assert world.stage(2) == "Training"
    assert world.run().entry() == "glyphs-r2"


def test_a_retry_of_what_is_not_damaged_makes_nothing_again() -> None:
    """Another space is refused by the same exit code, and no file is wrong then."""
    world = worlds.second("Warming")
    fails_by(world, "sha256:" + 64 * "e")
    assert "damaged" not in world.record(2)
    world.annotate("retry", "r2").settle()
    assert world.stage(2) == "Warming"


# -- the schedule


def test_files_of_what_serves_and_of_what_is_kept_are_read_once_a_day() -> None:
    spec = {"rollbackWindow": {"seconds": 30 * DAY}, "gates": [worlds.GATE]}
    world = worlds.healthy(rollout=spec).change_model("training.seed", 7).run()
    assert not world.jobs() and world.says("ArtifactsWhole") is None
    writes = len(world.writes)
    world.pass_time(DAY - 1).settle()
    assert not world.jobs() and len(world.writes) == writes
    world.pass_time(DUE - DAY).settle()
    assert world.jobs() == ["glyphs-r1-check-1", "glyphs-r2-check-1"]
    assert world.config("glyphs-r2-check-1")["builds"] == [build_of(world, 2)]
    new = world.writes[writes:]
    assert new == ["POST Job glyphs-r1-check-1", "POST Job glyphs-r2-check-1"]
    world.end_jobs().settle()
    records = [w for w in world.writes[writes + 2 :] if "EmbeddingRelease" in w]
    assert len(records) == 2 and world.says("ArtifactsWhole") == ("True", "ArtifactsWhole")
    # From the second time on, a result is one write and the model's status stays as it is.
    writes = len(world.writes)
    world.pass_time(DUE).settle().end_jobs().settle()
    assert [w.partition(" ")[0] for w in world.writes[writes:]] == ["POST"] * 2 + ["STATUS"] * 2
    assert world.status["phase"] == "Healthy"


def test_checks_run_by_the_image_of_now_without_devices_and_write_nothing() -> None:
    limits = {"limits": {"nvidia.com/gpu": "1"}}
    template = {"image": "mine:1", "resources": limits, "priorityClassName": "low"}
    world = worlds.healthy(serving={"template": template}).pass_time(DUE).settle()
    (container,) = (pod := pod_of(world, "glyphs-r1-check-1"))["containers"]
    assert container["image"] == "encoder:1" and "limits" not in container["resources"]
    assert pod["priorityClassName"] == "low"
    assert all(m.get("readOnly") for m in container["volumeMounts"] if m["name"] == "artifacts")


def pod_of(world: World, job: str) -> Any:
    return world.objects["Job", job]["spec"]["template"]["spec"]


def test_zero_turns_the_schedule_off_and_not_the_check_of_a_release_that_takes_over() -> None:
    world = worlds.two().change_model("rollout.checkArtifactsSeconds", 0).settle()
    world.pass_time(DAY - 100).settle()
    assert not world.jobs() and world.look_again_after is not None
    world.annotate("rollback", "r1").settle()
    assert world.entry() == "glyphs-r1", "nothing waits for the check"
    assert world.jobs() == ["glyphs-r1-check-1"]
    assert world.run().pass_time(30 * DAY).settle().jobs() == []


def test_a_store_that_is_away_is_no_verdict_and_is_asked_again() -> None:
    world = worlds.healthy().pass_time(DUE).settle()
    told = {"reason": "StoreUnavailable", "message": "cannot read"}
    job = "glyphs-r1-check-1"
    world.end_job(job, code=74, message=world.result(job, 74, **told))
    world.settle()
    assert world.says("ArtifactsWhole") == ("Unknown", "ArtifactsUnchecked")
    assert "damaged" not in world.record(1) and world.status["phase"] == "Healthy"
    assert not world.pass_time(TRY_AGAIN_SECONDS - 10).settle().jobs()
    assert world.pass_time(11).settle().jobs() == ["glyphs-r1-check-2"]
    world.end_jobs().settle()
    assert world.says("ArtifactsWhole") == ("True", "ArtifactsWhole")


def test_of_many_checks_the_last_three_jobs_stay() -> None:
    world = worlds.healthy()
    for _ in range(5):
        world.pass_time(DUE).settle().end_jobs().settle()
    names = [name for kind, name in sorted(world.objects) if kind == "Job" and "check" in name]
    assert names == ["glyphs-r1-check-3", "glyphs-r1-check-4", "glyphs-r1-check-5"]


def test_a_pod_that_refuses_its_files_asks_for_a_check_at_once() -> None:
    world = worlds.healthy()
    refuses(world, build_of(world, 1), number=1)
    assert world.settle().jobs() == ["glyphs-r1-check-1"]
    world.end_jobs().settle()
    assert world.record(1)["damaged"][0]["index"] == "glyphs"
    assert not world.pass_time(60).settle().jobs(), "at most one in an hour"


# -- what serves


def test_what_serves_from_lost_files_is_told_and_another_release_takes_its_place() -> None:
    world = worlds.healthy()
    world.rotten.add(build_of(world, 1))
    world.pass_time(DUE).run()
    assert world.status["phase"] == "Healthy" and world.stage(1) == "Serving"
    message = world.status["message"]
    for part in ("vectors.npy of its index glyphs", build_of(world, 1), "lockstep.dev/retry=r1"):
        assert part in message
    assert "the next pod of it that starts fails" in world.record(1)["message"]
    assert world.reasons().count("ArtifactsDamaged") == 1
    world.pass_time(5).annotate("retry", "r1").settle()
    assert world.jobs() == ["glyphs-r1-check-2"] and not world.has_release(2)
    world.end_jobs().settle()
    # The model is whole, and is not trained again.
    assert world.release(2)["spec"]["cause"] == "ArtifactsDamaged"
    assert world.stage(2) == "Indexing" and world.entry() == "glyphs-r1"
    world.run()
    assert world.entry() == "glyphs-r2" and world.stage(1) == "Retained"
    # The build came out the same: publishing it mended the store.
    assert world.pass_time(DUE).run().says("ArtifactsWhole") == ("True", "ArtifactsWhole")
    assert not world.has_release(3)


def test_a_release_that_fails_in_place_of_another_is_the_one_to_retry() -> None:
    world = worlds.healthy()
    world.rotten.add(build_of(world, 1))
    world.pass_time(DUE).run().pass_time(5).annotate("retry", "r1").settle().end_jobs()
    world.settle()
    world.end_job("glyphs-r2-build-glyphs-1", code=3)
    world.settle()
    assert world.stage(2) == "Failed" and world.entry() == "glyphs-r1"
    assert "lockstep.dev/retry=r2" in world.status["message"]
    world.pass_time(60).annotate("retry", "r1.2").run()
    assert world.handled("retry") == "refused: r2 was made in its place and ended: retry that"
    assert world.annotate("retry", "r2").run().entry() == "glyphs-r2"
    # A person who goes back asks for nothing, though the files may be lost there still.
    world.annotate("rollback", "r1").run()
    assert world.entry() == "glyphs-r1" and not world.has_release(3)


def test_a_lost_model_is_not_reused_by_the_release_that_takes_its_place() -> None:
    world = worlds.healthy()
    world.rotten.add(model_of(world, 1))
    world.pass_time(DUE).run().annotate("retry", "r1").settle().end_jobs()
    world.pass_time(1).settle().end_jobs().settle()
    assert world.has_release(2) and "reuse" not in world.release(2)["spec"]
    # Nor by a release for another reason.
    world = worlds.healthy()
    world.rotten.add(model_of(world, 1))
    world.pass_time(DUE).run().change_index("index", {"type": "Flat"}).settle()
    assert "reuse" not in world.release(2)["spec"] and world.stage(2) == "Training"


def test_files_that_were_restored_are_read_on_retry_and_nothing_is_made() -> None:
    world = worlds.healthy()
    world.rotten.add(build_of(world, 1))
    world.pass_time(DUE).run()
    world.rotten.clear()
    world.pass_time(5).annotate("retry", "r1").run()
    assert not world.has_release(2) and "damaged" not in world.record(1)
    assert world.says("ArtifactsWhole") == ("True", "ArtifactsWhole")
    assert "ArtifactsWhole" in world.reasons()


def test_a_candidate_is_not_compared_with_a_model_that_cannot_be_read() -> None:
    world = worlds.healthy()
    world.rotten.add(model_of(world, 1))
    world.pass_time(DUE).run().change_model("training.seed", 7).run_to("Evaluating", 2)
    assert "stableArtifactDigest" not in world.config("glyphs-r2-evaluate-1")


# -- the way back


def kept_with_lost_files(ready: int | None = None) -> World:
    """r2 serves, r1 is kept and lost its build; its index has so many pods ready."""
    spec = {"rollbackWindow": {"seconds": 30 * DAY}, "gates": [worlds.GATE]}
    world = worlds.healthy(rollout=spec).change_model("training.seed", 7).run()
    world.rotten.add(build_of(world, 1))
    world.pass_time(DUE).run()
    if ready is not None:
        world.ready("Deployment", "glyphs-r1-glyphs", ready=ready)
        world.settle()
    return world


def test_a_kept_release_whose_files_are_gone_is_told() -> None:
    world = kept_with_lost_files()
    assert world.says("ArtifactsWhole") == ("False", "ArtifactsDamaged")
    message = (world.condition("ArtifactsWhole") or {})["message"]
    for part in ("r1 is kept", "as long as its pods run", "vectors.npy", build_of(world, 1)):
        assert part in message
    assert world.status["phase"] == "Healthy" and "vectors.npy" in world.status["message"]
    assert "there is no way back to it" in (
        kept_with_lost_files(ready=0).condition("ArtifactsWhole") or {}
    ).get("message", "")


def test_edge_25_a_rollback_to_ready_pods_is_at_once_and_tells_what_it_risks() -> None:
    world = kept_with_lost_files().annotate("rollback", "r1").settle()
    assert world.entry() == "glyphs-r1"
    assert "r1, but its next pod that starts fails: vectors.npy" in world.handled("rollback")


def test_edge_25_a_rollback_to_lost_files_without_pods_is_refused() -> None:
    world = kept_with_lost_files(ready=0).annotate("rollback", "r1").settle()
    assert world.entry() == "glyphs-r2"
    answer = world.handled("rollback")
    for part in ("refused", "not whole", "vectors.npy", build_of(world, 1), "Apply its spec again"):
        assert part in answer


def test_edge_25_a_rollback_that_is_refused_has_the_files_read() -> None:
    world = worlds.two()
    world.ready("Deployment", "glyphs-r1-glyphs", ready=0)
    world.annotate("rollback", "r1").settle()
    assert world.jobs() == ["glyphs-r1-check-1"]


def test_a_kept_release_that_was_just_read_is_not_read_again_when_it_takes_over() -> None:
    world = worlds.two().pass_time(10).annotate("rollback", "r1").run()
    world.pass_time(60).annotate("rollback", "r2").run()
    world.pass_time(60).annotate("rollback", "r1.2").run()
    names = [name for kind, name in sorted(world.objects) if kind == "Job" and "check" in name]
    assert names == ["glyphs-r1-check-1", "glyphs-r2-check-1"]


def test_a_spec_that_asks_for_a_lost_release_makes_another() -> None:
    world = kept_with_lost_files(ready=0).change_model("training.seed", 0).settle()
    assert world.has_release(3) and world.entry() == "glyphs-r2"
    # Its model is whole, and reused.
    assert world.release(3)["spec"]["reuse"]["release"] == "glyphs-r1"
    assert world.run().entry() == "glyphs-r3"
