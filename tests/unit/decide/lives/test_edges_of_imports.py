"""A model that was trained elsewhere: Importing instead of Training, and what asks for another."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_operator.decide.vocabulary.hashing import imported_space_hash
from tests.unit.decide import worlds
from tests.unit.decide.worlds import GATE, World

pytestmark = pytest.mark.unit

DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
SOURCE = {"uri": "file:///artifacts/imports/store", "digest": DIGEST}
HELD_OUT = {"data": {"uri": "file:///artifacts/held-out.npz", "format": "NPZ"}}


def importing(**changes: Any) -> World:
    """A model that imports and is measured on a set of its own."""
    spec = {"training": None, "artifact": dict(SOURCE), "evaluation": HELD_OUT} | changes
    return World().apply_model(**spec).apply_index()


def unmeasured(**changes: Any) -> World:
    return importing(evaluation=None, rollout={"gates": []}, **changes)


def test_edge_0_an_import_takes_the_place_of_training_and_is_measured() -> None:
    world = importing().settle()
    assert world.stage(1) == "Importing" and world.jobs() == ["glyphs-r1-import-1"]
    assert world.config("glyphs-r1-import-1")["artifact"] == SOURCE
    assert world.status["message"].startswith("r1 is imported, attempt 1 of 3.")
    world.end_jobs().settle()
    assert world.stage(1) == "Evaluating" and world.jobs() == ["glyphs-r1-evaluate-1"]
    assert world.config("glyphs-r1-evaluate-1")["data"]["uri"] == HELD_OUT["data"]["uri"]
    world.run()
    assert (world.stage(1), world.entry()) == ("Serving", "glyphs-r1")
    facts = world.record(1)["training"]
    assert (facts["artifactDigest"], facts["steps"]) == (DIGEST, 0)
    assert world.says("GatesPassed") == ("True", "GatesPassed")
    spec = world.release(1)["spec"]
    assert "training" not in spec and spec["spaceHash"] == imported_space_hash(
        DIGEST, "file:///artifacts"
    )


def test_edge_4_without_a_labelled_set_nothing_is_measured_and_the_status_says_so() -> None:
    world = unmeasured().settle()
    world.end_jobs().settle()
    assert world.stage(1) == "Indexing" and "GatesNotJudged" in world.reasons()
    world.run()
    assert world.stage(1) == "Serving" and world.status["phase"] == "Healthy"
    told = world.condition("GatesPassed")
    assert told is not None and (told["status"], told["reason"]) == ("Unknown", "GatesNotJudged")
    assert "imported without `spec.evaluation`" in told["message"]
    alone = World().apply_model(
        training=None, artifact=SOURCE, indexing="None", rollout={"gates": []}
    )
    alone.settle()
    alone.end_jobs().settle()
    assert alone.stage(1) == "Warming"


def test_a_gate_that_came_while_it_was_imported_is_not_skipped() -> None:
    """`supersede: Queue` lets the candidate end first, under the gates of now."""
    world = unmeasured().settle()
    queue = {"gates": [GATE], "supersede": "Queue"}
    world.change_model("rollout", queue).change_model("evaluation", HELD_OUT).settle()
    world.end_jobs().settle()
    assert world.stage(1) == "Failed"
    assert "gate relevance asks for it: set `spec.evaluation.data`" in world.record(1)["message"]
    world.run()
    assert world.stage(2) == "Serving" and world.record(2)["evaluation"]["items"] == 4623


@pytest.mark.parametrize(
    ("code", "retried"),
    [
        (ExitCode.DIGEST_MISMATCH, False),
        (ExitCode.SELF_CHECK_FAILED, False),
        (ExitCode.BAD_CONFIG, False),
        (ExitCode.STORE_UNAVAILABLE, True),
        (ExitCode.INTERNAL, True),
    ],
)
def test_edge_5_and_6_what_another_attempt_mends_is_tried_again(
    code: ExitCode, retried: bool
) -> None:
    world = importing(artifact={**SOURCE, "maxAttempts": 2}).settle()
    world.end_job("glyphs-r1-import-1", code=code)
    world.settle()
    if not retried:
        assert world.stage(1) == "Failed" and world.record(1)["failedStage"] == "Importing"
        assert world.record(1)["lastFailure"]["exitCode"] == code
        assert "Change `spec.artifact`, `spec.artifacts` or an index" in world.status["message"]
        return
    assert world.stage(1) == "Importing" and world.record(1)["attempts"]["importing"] == 2
    world.pass_time(60).settle()
    assert world.jobs() == ["glyphs-r1-import-2"]
    world.end_job("glyphs-r1-import-2", code=code)
    world.settle()
    assert world.stage(1) == "Failed" and "attempt 2 of 2" in world.record(1)["message"]


def test_edge_6_another_artifact_than_was_asked_for_is_no_import() -> None:
    world = importing().settle()
    facts = world.imported({"artifact": {"digest": OTHER}})["training"]
    result = world.result("glyphs-r1-import-1", training=facts)
    world.end_job("glyphs-r1-import-1", message=result)
    world.settle()
    assert world.stage(1) == "Failed" and OTHER in world.record(1)["message"]
    assert world.record(1)["lastFailure"]["reason"] == "ResultMismatch"
    world = importing().settle()
    world.end_job("glyphs-r1-import-1", message=world.result("glyphs-r1-import-1", training=None))
    world.settle()
    assert world.record(1)["lastFailure"]["reason"] == "InvalidResult"


def test_edge_21_a_retry_imports_under_another_name() -> None:
    world = importing().settle()
    world.end_job("glyphs-r1-import-1", code=ExitCode.DIGEST_MISMATCH)
    world.settle()
    world.annotate("retry", "r1").settle()
    assert world.stage(1) == "Importing" and world.jobs() == ["glyphs-r1-import-2"]
    world.run()
    assert world.stage(1) == "Serving"


def test_edge_1_another_digest_is_another_release_beside_what_serves() -> None:
    world = importing().run()
    world.change_model("artifact", {**SOURCE, "digest": OTHER}).settle()
    assert (world.stage(2), world.entry()) == ("Importing", "glyphs-r1")
    assert world.release(2)["spec"]["cause"] == "ModelChanged"
    world.run()
    assert world.entry() == "glyphs-r2"
    world.change_model("artifact", dict(SOURCE)).run()
    assert world.entry() == "glyphs-r1" and not world.has_release(3)


def test_edge_1_from_training_to_an_import_and_back() -> None:
    world = worlds.healthy()
    training = world.objects["EmbeddingModel", "glyphs"]["spec"]["training"]
    world.change_model("training", None, tell=False)
    world.change_model("evaluation", HELD_OUT, tell=False).change_model("artifact", dict(SOURCE))
    world.run()
    assert (world.stage(2), world.entry()) == ("Serving", "glyphs-r2")
    world.change_model("artifact", None, tell=False).change_model("evaluation", None, tell=False)
    world.change_model("training", training).run()
    assert world.entry() == "glyphs-r1" and not world.has_release(3)


def test_another_place_matters_until_the_artifact_was_taken_over() -> None:
    world = importing().settle()
    elsewhere = {**SOURCE, "uri": "file:///artifacts/imports/other"}
    world.end_job("glyphs-r1-import-1", code=ExitCode.DIGEST_MISMATCH)
    world.settle()
    world.change_model("artifact", elsewhere).settle()
    assert world.stage(2) == "Importing", "the place was wrong, and another one is another try"
    assert world.release(2)["spec"]["cause"] == "ModelChanged"
    world.run()
    world.change_model("artifact", dict(SOURCE)).settle()
    assert world.status["phase"] == "Healthy" and not world.has_release(3)


def test_another_labelled_set_matters_until_the_release_served() -> None:
    world = importing().settle()
    world.end_jobs().settle()
    world.end_job("glyphs-r1-evaluate-1", code=ExitCode.BAD_DATASET)
    world.settle()
    assert "Change `spec.evaluation.data`, and" in world.status["message"]
    assert "spec.artifact" not in world.status["message"]
    other = {"data": {**HELD_OUT["data"], "uri": "file:///artifacts/other.npz"}}
    world.change_model("evaluation", other).run()
    assert world.stage(2) == "Serving"
    assert world.release(2)["spec"]["evaluation"]["data"]["uri"] == "file:///artifacts/other.npz"
    world.change_model("evaluation", HELD_OUT).settle()
    assert world.status["phase"] == "Healthy" and not world.has_release(3)


def test_edge_2b_an_index_change_reuses_what_was_imported() -> None:
    world = importing().run()
    world.change_index("index", {"type": "Flat"}).settle()
    assert world.stage(2) == "Indexing" and world.release(2)["spec"]["cause"] == "IndexChanged"
    world.run()
    assert world.record(2)["training"]["artifactDigest"] == DIGEST
    assert not [key for key in world.objects if key[1].startswith("glyphs-r2-import")]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"artifact": {**SOURCE, "uri": "file:///elsewhere"}}, "`spec.artifact.uri`"),
        ({"artifact": {**SOURCE, "uri": "s3://bucket/store"}}, "`spec.artifact.uri`"),
        (
            {"evaluation": {"data": {**HELD_OUT["data"], "uri": "file:///x/y.npz"}}},
            "`spec.evaluation.data.uri`",
        ),
        ({"training": worlds.model_spec()["training"]}, "exactly one of `training` and `artifact`"),
        ({"artifact": None, "evaluation": None}, "exactly one of `training` and `artifact`"),
    ],
)
def test_edge_3_what_no_pod_can_read_is_refused_by_its_field(
    changes: dict[str, Any], field: str
) -> None:
    world = importing(**changes).settle()
    assert world.says("Ready") == ("False", "InvalidSpec") and field in world.status["message"]
    assert not world.has_release(1)


def test_the_store_of_the_model_may_be_the_source() -> None:
    world = importing(artifact={**SOURCE, "uri": "file:///artifacts"}).run()
    assert world.stage(1) == "Serving"
