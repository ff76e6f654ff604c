"""What delivery tools see of a real release: kubectl wait, Helm 4, approval and revert by the spec
alone, and `kubectl lockstep` beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.support.kube import Object, wait_until
from tests.e2e.support.load import glyph_queries, start_load
from tests.e2e.support.world import World

STEPS: Object = {"steps": [{"setWeight": 50}, {"pause": {}}], "promotion": "Manual"}


@pytest.fixture(scope="module")
def world(make_world: Callable[[str], World]) -> World:
    """A data set, and nothing applied yet."""
    world = make_world("gitops")
    world.draw()
    return world


def plugin(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lockstep_kubectl", *arguments, "-n", world.namespace],
        env={**os.environ, "KUBECONFIG": world.kube.kubeconfig},
        capture_output=True,
        text=True,
        timeout=120,
    )


def until_paused(world: World, number: int) -> Object:
    def look() -> Object | None:
        status = world.status()
        candidate = (status.get("candidate") or {}).get("release")
        paused = status.get("phase") == "Paused" and candidate == f"{world.name}-r{number}"
        return status if paused else None

    found: Object = wait_until(look, what=f"r{number} waits", seconds=240)
    return found


def test_helm_waits_until_the_first_release_serves(world: World, tmp_path: Path) -> None:
    """`--wait` of Helm 4 goes by kstatus: it returns when the model is Ready, and not before."""
    chart = tmp_path / "models"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: models\nversion: 0.1.0\n")
    rollout = {**world.model()["spec"]["rollout"], **STEPS}
    objects = [world.model(serving={"replicas": 2}, rollout=rollout), world.index()]
    (chart / "templates" / "models.yaml").write_text(yaml.safe_dump_all(objects))
    install = ("install", "models", str(chart), "-n", world.namespace)
    world.kube.helm(*install, "--wait=watcher", "--timeout", "5m")
    status = world.status()
    assert status["phase"] == "Healthy"
    assert status["stable"]["release"] == "glyphs-r1"
    world.kube.run(
        *("wait", "--for=condition=Ready", "em/glyphs", "vix/glyphs"),
        *("-n", world.namespace, "--timeout=10s"),
    )


def test_a_revert_in_the_middle_of_a_canary_is_a_rollback(world: World) -> None:
    load = start_load(world, glyph_queries(world, 1, 4), url="http://glyphs:8080/v1/search")
    world.patch("em", {"training": {"seed": 7}})
    shown = wait_until(
        lambda: (
            (text := plugin(world, "status", "glyphs").stdout) and "Job glyphs-r2-" in text and text
        ),
        what="the work of r2 in the tree",
        seconds=60,
    )
    assert "\x1b" not in shown
    until_paused(world, 2)
    text = plugin(world, "status", "glyphs").stdout
    assert "Paused  step 2/2 at 50%" in text
    assert "candidate r2  Canary  50% of the requests" in text
    world.patch("em", {"training": {"seed": None}})
    world.until_stage(2, "Superseded")
    world.until_healthy(1)
    tally = load.stop()
    assert tally["failed"] == 0, tally["failures"]
    history = json.loads(plugin(world, "history", "glyphs", "-o", "json").stdout)
    assert [entry["release"] for entry in history] == ["r2", "r1"]


def test_an_approval_in_the_spec_needs_no_annotation(world: World) -> None:
    world.patch("em", {"training": {"seed": 8}})
    until_paused(world, 3)
    world.patch("em", {"rollout": {"approvedRelease": "r3"}})
    world.kube.run(
        *("wait", "--for=condition=Ready", "em/glyphs", "-n", world.namespace, "--timeout=180s")
    )
    status = world.until_healthy(3)
    assert not status.get("lastHandled")
    assert "lockstep.dev" not in json.dumps(world.em()["metadata"].get("annotations") or {})


def test_a_revert_after_the_promotion_returns_the_kept_release(world: World) -> None:
    releases = len(world.kube.list(world.namespace, "er"))
    world.patch("em", {"training": {"seed": None}})
    world.until_healthy(1)
    assert len(world.kube.list(world.namespace, "er")) == releases, "nothing is trained again"
    done = plugin(world, "rollback", "glyphs", "r3")
    assert done.returncode == 0, done.stderr
    world.until_stage(3, "Serving")
    status = world.status()
    assert status["phase"] == "Degraded" and "was rolled back" in status["message"]


def test_helm_fails_at_once_when_a_release_is_stalled(world: World, tmp_path: Path) -> None:
    values = {
        "rollout": {"gates": [{**world.model()["spec"]["rollout"]["gates"][0], "min": "0.999"}]}
    }
    found = world.model(**values)
    found["metadata"]["name"] = "strict"
    found["spec"]["indexing"] = "None"
    chart = tmp_path / "strict"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: strict\nversion: 0.1.0\n")
    (chart / "templates" / "model.yaml").write_text(yaml.safe_dump(found))
    install = ("install", "strict", str(chart), "-n", world.namespace)
    with pytest.raises((AssertionError, subprocess.CalledProcessError)) as caught:
        world.kube.helm(*install, "--wait=watcher", "--timeout", "5m")
    assert "strict" in str(caught.value)
    strict = world.kube.get(world.namespace, "em", "strict")
    assert strict is not None
    assert any(c["type"] == "Stalled" for c in strict["status"]["conditions"])
