"""Releases that go well and releases that fail: users are served by release 1 throughout."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.support.kube import wait_until
from tests.e2e.support.load import glyph_queries, start_load
from tests.e2e.support.world import World


@pytest.fixture(scope="module")
def world(make_world: Callable[[str], World]) -> World:
    """Release 1 serves."""
    world = make_world("releases")
    world.draw()
    world.kube.apply(world.model(), world.index())
    world.until_healthy(1)
    return world


def newest(world: World) -> int:
    releases = world.kube.list(world.namespace, "er")
    return max(int(r["spec"]["number"]) for r in releases)


def assert_still_serves(world: World, status: dict[str, object], failed: int) -> None:
    """Release 1 answers, and the status says who serves and how to go on."""
    assert (status["stable"] or {})["release"] == "glyphs-r1"  # type: ignore[index]
    conditions = {c["type"]: c for c in status["conditions"]}  # type: ignore[attr-defined]
    assert conditions["Serving"]["status"] == "True"
    assert conditions["Ready"]["status"] == "False"
    assert conditions["Stalled"]["status"] == "True"
    assert f"lockstep.dev/retry=r{failed}" in str(status["message"])
    queries = glyph_queries(world, 1, 4)
    url = "http://glyphs:8080/v1/search"
    tally = start_load(world, queries, url=url, connections=2, limit=20).finish()
    assert tally["failed"] == 0, tally["failures"]
    assert set(tally["answers"]) == {"glyphs-r1"}


def test_first_release_reads_well(world: World) -> None:
    status = world.status()
    release = world.release(1)
    assert release is not None
    facts = release["status"]
    assert status["stable"]["spaceID"] == facts["training"]["spaceID"]
    assert facts["training"]["artifactDigest"].startswith("sha256:")
    build = facts["builds"][0]
    assert build["spaceID"] == facts["training"]["spaceID"]
    assert build["rows"] == build["expectedRows"] > 500
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    assert conditions["Ready"] == conditions["Serving"] == conditions["Paired"] == "True"
    assert "Reconciling" not in conditions
    assert "Stalled" not in conditions
    index = world.kube.get(world.namespace, "vix", "glyphs")
    assert index is not None
    assert index["status"]["serving"]["buildDigest"] == build["buildDigest"]


def test_gate_that_fails_stops_the_release(world: World) -> None:
    gate = {"name": "relevance", "type": "Recall", "k": 1, "minSamples": 100}
    gates = [{**gate, "minGainOverBaseline": "0.95"}]
    world.patch("em", {"training": {"seed": 11}, "rollout": {"gates": gates}})
    number = 2
    status = world.until_failed(number)
    assert "GateFailed" in str(world.condition("Ready"))
    assert "gain over raw inputs" in str(status["message"])
    # The columns stand beside what serves; what failed has its own record.
    record = (world.release(number) or {})["status"]
    assert "gain over raw inputs" in str(record["gates"])
    assert "gain over raw inputs" not in str(status["gates"])
    assert_still_serves(world, status, number)
    world.patch("em", {"rollout": {"gates": [{**gate, "min": "0.80"}]}})


def test_job_that_fails_names_the_data_and_the_pod(world: World) -> None:
    missing = "file:///artifacts/datasets/none.npz"
    world.patch("em", {"training": {"data": {"uri": missing}, "maxAttempts": 1}})
    number = 3
    status = world.until_failed(number)
    failure = (world.release(number) or {})["status"]["lastFailure"]
    assert "none.npz" in failure["message"]
    assert failure["exitCode"]
    assert failure["pod"].startswith("glyphs-r3-train-1")
    assert "none.npz" in str(status["message"])
    assert_still_serves(world, status, number)


def test_image_that_does_not_exist_fails_after_the_deadline(world: World) -> None:
    world.patch(
        "em",
        {
            "training": {
                "data": {"uri": world.dataset},
                "seed": 12,
                "template": {"image": "lockstep.invalid/none:dev"},
            },
            "rollout": {"progressDeadlineSeconds": 15},
        },
    )
    number = 4
    status = world.until_failed(number, seconds=120)
    assert "lockstep.invalid/none:dev" in str(status["message"])
    assert_still_serves(world, status, number)
    fixed = {"training": {"template": None}, "rollout": {"progressDeadlineSeconds": 900}}
    world.patch("em", fixed)


def test_corrupt_artifact_is_refused_and_named(world: World) -> None:
    """One byte of the trained model is flipped on the volume before anything reads it."""
    number = 5
    world.patch("em", {"training": {"seed": 13}})
    world.until_stage(number, "Training")
    world.patch("em", {"rollout": {"paused": True}})
    facts = wait_until(
        lambda: ((world.release(number) or {}).get("status") or {}).get("training"),
        what="r5 to be trained",
    )
    digest = facts["artifactDigest"].removeprefix("sha256:")
    world.python(
        "flip",
        "import json,pathlib\n"
        "root=pathlib.Path('/artifacts')\n"
        f"m=json.loads((root/'manifests/sha256/{digest}').read_text())\n"
        "f=[f for f in m['files'] if f['path']=='model.onnx'][0]\n"
        "p=root/'blobs/sha256'/f['sha256'].removeprefix('sha256:')\n"
        "b=bytearray(p.read_bytes()); b[len(b)//2]^=1; p.chmod(0o644); p.write_bytes(b)\n",
    )
    world.patch("em", {"rollout": {"paused": False}})
    status = world.until_failed(number)
    assert "model.onnx" in str(status["message"])
    assert_still_serves(world, status, number)
    (damaged,) = (world.release(number) or {})["status"]["damaged"]
    assert (damaged["artifact"], damaged["file"]) == (f"sha256:{digest}", "model.onnx")


def test_what_was_refused_is_trained_again_on_retry_and_serves(world: World) -> None:
    """The result of the first training is in the store, and its artifact is not whole."""
    number = 5
    world.annotate("retry", f"r{number}")
    status = world.until_healthy(number)
    release = world.release(number)
    assert release is not None
    assert "damaged" not in release["status"]
    assert "makes its model again" in str(status["lastHandled"])
    jobs = world.kube.list(world.namespace, "jobs", f"lockstep.dev/release=glyphs-r{number}")
    trained = [j for j in jobs if j["metadata"]["labels"]["lockstep.dev/component"] == "train"]
    assert len(trained) == 2
    # Release 1 is kept: its spec brings it back for the tests that follow.
    world.patch("em", {"training": {"seed": 0}})
    world.until_healthy(1)


def test_degraded_index_is_stopped_at_verifying(world: World) -> None:
    """The model is unchanged: no training, only a build that misses its objective."""
    world.patch("em", {"training": {"seed": 0}})
    wait_until(lambda: world.status().get("phase") == "Healthy", what="revert to r1", seconds=60)
    before = newest(world)
    worst = {"type": "HNSW", "hnsw": {"m": 2, "efConstruction": 1, "efSearch": 1}}
    world.patch("vix", {"index": worst})
    number = before + 1
    status = world.until_failed(number)
    release = world.release(number)
    assert release is not None
    assert release["status"]["failedStage"] == "Verifying"
    assert release["spec"]["reuse"]["release"] == "glyphs-r1"
    assert "recall@10" in str(status["message"])
    trained = world.kube.list(world.namespace, "jobs", f"lockstep.dev/release=glyphs-r{number}")
    assert not [j for j in trained if j["metadata"]["labels"]["lockstep.dev/component"] == "train"]
    assert_still_serves(world, status, number)


def test_changed_recipe_is_a_release_of_the_same_space(world: World) -> None:
    before = newest(world)
    world.patch("vix", {"index": {"type": "Flat", "hnsw": None}})
    number = before + 1
    status = world.until_healthy(number)
    first, now = world.release(1), world.release(number)
    assert first is not None
    assert now is not None
    assert status["stable"]["spaceID"] == first["status"]["training"]["spaceID"]
    assert now["status"]["builds"][0]["buildDigest"] != first["status"]["builds"][0]["buildDigest"]


def test_broken_index_template_leaves_the_server_that_answers(world: World) -> None:
    """The one server of the index stays until one of the new template is ready."""
    world.patch("vix", {"template": {"image": "lockstep.invalid/none:dev"}})

    def is_told() -> bool:
        index = world.kube.get(world.namespace, "vix", "glyphs") or {}
        return "keeps 1 of the pods" in str((index.get("status") or {}).get("message"))

    wait_until(is_told, what="the rollout of the index servers to be stuck", seconds=60)
    queries = glyph_queries(world, 1, 4)
    url = "http://glyphs:8080/v1/search"
    tally = start_load(world, queries, url=url, connections=2, limit=20).finish()
    assert tally["failed"] == 0, tally["failures"]
    world.patch("vix", {"template": None})
    wait_until(lambda: world.status().get("phase") == "Healthy", what="the pods to be whole")


def test_model_of_another_store_is_imported_and_serves(world: World) -> None:
    """What r1 was trained to, copied as from another cluster, under another model."""
    trained = (world.release(1) or {})["status"]["training"]
    world.python(
        "copy",
        "import pathlib,shutil\n"
        "root=pathlib.Path('/artifacts'); other=root/'imports'/'elsewhere'\n"
        "for part in ('manifests','blobs'): shutil.copytree(root/part, other/part)\n",
    )
    other = World(world.kube, world.namespace, name="imported")
    model = other.model()
    training = model["spec"].pop("training")
    uri = "file:///artifacts/imports/elsewhere"
    model["spec"]["artifact"] = {"uri": uri, "digest": trained["artifactDigest"]}
    model["spec"]["evaluation"] = {"data": training["data"]}
    other.kube.apply(model, other.index())
    status = other.until_healthy(1)
    assert status["stable"]["spaceID"] == trained["spaceID"]
    facts = (other.release(1) or {})["status"]
    assert facts["training"]["steps"] == 0
    assert facts["evaluation"]["items"] > 100
    other.kube.run("delete", "em,vix", "imported", "-n", other.namespace)


def test_deleting_the_model_removes_everything(world: World) -> None:
    world.kube.run("delete", "em", "glyphs", "-n", world.namespace, "--wait=true")

    def left() -> bool:
        kinds = "er,jobs,deployments,services,pods"
        items = world.kube.list(world.namespace, kinds, "lockstep.dev/model=glyphs")
        return not items

    wait_until(left, what="everything of the model to go", seconds=120)
    index = world.kube.get(world.namespace, "vix", "glyphs")
    assert index is not None, "a VectorIndex is the user's own"
