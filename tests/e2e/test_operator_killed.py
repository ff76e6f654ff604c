"""The operator is killed as each stage begins; the release ends as an undisturbed one does."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.support.kube import wait_until
from tests.e2e.support.world import World

STAGES = ("Training", "Evaluating", "Indexing", "Verifying", "Warming", "Promoting", "Finalizing")


def kill_operator(world: World) -> None:
    """No grace: the process is gone in the middle of whatever it did."""
    selector = "app.kubernetes.io/component=operator"
    arguments = ("delete", "pod", "-n", "lockstep-system", "-l", selector)
    world.kube.run(*arguments, "--grace-period=0", "--force", "--wait=false")


def test_killed_at_every_stage_ends_as_undisturbed(make_world: Callable[[str], World]) -> None:
    world = make_world("killed")
    world.draw()
    world.kube.apply(world.model(), world.index())
    killed: list[str] = []

    def look() -> bool:
        stage = world.stage(1)
        if stage in STAGES and stage not in killed:
            kill_operator(world)
            killed.append(stage)
        assert stage != "Failed", (world.release(1) or {}).get("status")
        return stage == "Serving"

    wait_until(look, what="r1 Serving", seconds=420, every=0.1)
    status = world.until_healthy(1)
    assert {"Training", "Evaluating", "Indexing", "Warming"} <= set(killed), killed
    release = world.release(1)
    assert release is not None
    attempts = release["status"]["attempts"]
    assert attempts["training"] == attempts["evaluating"] == 1
    jobs = world.kube.list(world.namespace, "jobs", "lockstep.dev/model=glyphs")
    names = sorted(job["metadata"]["name"] for job in jobs)
    assert names == ["glyphs-r1-build-glyphs-1", "glyphs-r1-evaluate-1", "glyphs-r1-train-1"]
    assert [r["metadata"]["name"] for r in world.kube.list(world.namespace, "er")] == ["glyphs-r1"]
    assert status["stable"]["release"] == "glyphs-r1"
