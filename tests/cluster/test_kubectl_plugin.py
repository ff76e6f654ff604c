"""`kubectl lockstep` against a real API server, and verbs against the real operator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.kubelet import Kubelet
from tests.cluster.support.models import Cluster, Launch, model
from tests.cluster.support.operator_process import wait_for

Plugin = Callable[..., "subprocess.CompletedProcess[str]"]
WAITS = {"steps": [{"pause": {}}]}


@pytest.fixture
def plugin(control_plane: ControlPlane, namespace: str) -> Plugin:
    """Runs the plugin as its own process, in the namespace of the test."""

    def run(*arguments: str, where: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        options = where or ("-n", namespace)
        return subprocess.run(
            [sys.executable, "-m", "lockstep_kubectl", *arguments, *options],
            env={**os.environ, "KUBECONFIG": str(control_plane.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=90,
        )

    return run


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stdout
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def server_of(control_plane: ControlPlane) -> str:
    shown = control_plane.kubectl("config", "view", "--minify", "-o", "json").stdout
    return str(json.loads(shown)["clusters"][0]["cluster"]["server"])


def at_the_pause(cluster: Cluster, name: str) -> None:
    """Changes the space, and waits until r2 waits for a person."""
    cluster.kubectl(
        *("patch", "em", name, "--type=merge", "-p"),
        json.dumps({"spec": {"training": {"seed": 7}}}),
    )
    wait_for(f"{name} waits", lambda: cluster.status("em", name).get("phase") == "Paused", 90)


def serves(cluster: Cluster, release: str) -> None:
    """Waits until a release has the entry point for good: nothing of the switch is left to do."""

    def served() -> bool:
        return bool(cluster.status("er", release).get("stage") == "Serving")

    try:
        wait_for(f"{release} serves", served, 60)
    except AssertionError as error:
        told = cluster.status("em", release.rpartition("-")[0])
        raise AssertionError(f"{error}: {json.dumps(told, indent=1)}") from None


def test_a_model_that_is_not_there_is_told_with_those_that_are(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    refused(plugin("status", "glyphs"), '"glyphs"', namespace, "there is none", "-n")
    cluster.apply(model("alpha"), model("beta"))
    for verb in ("status", "promote", "resume", "history", "gates"):
        refused(plugin(verb, "glyphs"), '"glyphs"', "there are alpha, beta")


def test_a_kubeconfig_that_leads_nowhere_is_told(
    plugin: Plugin, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    missing = plugin("status", where=("--kubeconfig", str(tmp_path / "none")))
    refused(missing, "--kubeconfig")
    refused(plugin("status", where=("--context", "none")), "none", "--context")
    dead = tmp_path / "dead"
    dead.write_text(control_plane.kubeconfig.read_text())
    control_plane_of = ("--kubeconfig", str(dead), "-n", namespace)
    cluster_name = json.loads(control_plane.kubectl("config", "view", "-o", "json").stdout)[
        "clusters"
    ][0]["name"]
    subprocess.run(
        [
            *(control_plane.kubectl_path, f"--kubeconfig={dead}", "config", "set-cluster"),
            *(cluster_name, "--server=https://127.0.0.1:1"),
        ],
        check=True,
        capture_output=True,
    )
    refused(plugin("status", where=control_plane_of), "no answer", "https://127.0.0.1:1")


def test_without_an_operator_the_verb_says_that_nobody_answered(
    plugin: Plugin, cluster: Cluster, control_plane: ControlPlane, namespace: str
) -> None:
    cluster.apply(model("lone"))
    shown = plugin("status", "lone")
    assert shown.returncode == 0 and "has not looked at this model yet" in shown.stdout
    refused(plugin("promote", "lone"), "nothing to promote", "there is none yet")
    refused(plugin("recall", "lone"), "no encoder pod of lone runs")
    release = {
        "apiVersion": "lockstep.dev/v1alpha1",
        "kind": "EmbeddingRelease",
        "metadata": {"name": "lone-r1", "labels": {"lockstep.dev/model": "lone"}},
    }
    spec = control_plane.get("em", "lone", namespace)["spec"]
    cluster.apply(release | {"spec": release_spec(spec)})
    done = plugin("abort", "lone", "r1", "--timeout", "1")
    assert done.returncode == 3
    assert "did not answer within 1 s" in done.stderr and "kubectl get" in done.stderr
    assert annotations(cluster, "lone")["lockstep.dev/abort"] == "r1"


def release_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """Inputs of a release that no operator made."""
    training = {
        key: value
        for key, value in spec["training"].items()
        if key not in ("maxAttempts", "activeDeadlineSeconds", "template")
    }
    return {
        "model": "lone",
        "number": 1,
        "cause": "First",
        "spaceHash": "a",
        "indexHash": "b",
        "artifacts": spec["artifacts"],
        "training": training,
        "images": {"trainer": "t:1", "encoder": "e:1", "indexer": "i:1"},
    }


def annotations(cluster: Cluster, name: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(cluster.kubectl("get", "em", name, "-o", "json"))[
        "metadata"
    ].get("annotations", {})
    return found


def test_verbs_are_asked_answered_and_asked_again(
    plugin: Plugin,
    cluster: Cluster,
    launch: Launch,
    kubelet: Kubelet,
    control_plane: ControlPlane,
) -> None:
    launch()
    cluster.apply(model("glyphs", **WAITS))
    cluster.healthy("glyphs", "glyphs-r1")
    refused(plugin("rollback", "glyphs"), "no earlier release is kept", "r1 (Serving)")
    refused(plugin("abort", "glyphs"), "nothing to abort", "kubectl lockstep rollback")
    refused(plugin("retry", "glyphs"), "nothing to retry", "did not fail")
    refused(plugin("resume", "glyphs"), "nothing holds glyphs", "Healthy")
    refused(plugin("promote", "glyphs", "r9"), 'no release "r9"', "r1 (Serving)")
    answered = plugin("promote", "glyphs", "r1")
    refused(answered, "promote r1: refused", "r1 is Serving")
    refused(plugin("promote", "glyphs", "glyphs-r1"), "promote r1: refused")
    assert annotations(cluster, "glyphs")["lockstep.dev/promote"] == "r1.2"

    at_the_pause(cluster, "glyphs")
    shown = plugin("status", "glyphs").stdout
    assert "Paused  step 1/1" in shown and "▶ pause" in shown and "\x1b" not in shown
    assert "\nContinue: kubectl annotate em/glyphs" in shown
    done = plugin("promote", "em/glyphs", "-o", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["value"], told["accepted"]) == ("r2", True)
    assert (told["context"], told["server"]) == (control_plane.name, server_of(control_plane))
    cluster.healthy("glyphs", "glyphs-r2")

    back = plugin("rollback", "glyphs")
    assert back.returncode == 0 and "the entry point moves to r1" in back.stdout
    where = f"({server_of(control_plane)}), context {control_plane.name}"
    assert "glyphs of cluster" in back.stdout and where in back.stdout
    refused(plugin("abort", "glyphs"), "nothing to abort", where)
    serves(cluster, "glyphs-r1")
    history = plugin("history", "glyphs").stdout
    assert [line.split()[0] for line in history.splitlines()] == ["RELEASE", "r2", "r1"]
    assert "recall@1 1.000 (n=1000)" in plugin("gates", "glyphs", "r2").stdout


def test_pause_and_resume(
    plugin: Plugin, cluster: Cluster, launch: Launch, kubelet: Kubelet
) -> None:
    launch()
    cluster.apply(model("held", **WAITS))
    cluster.healthy("held", "held-r1")
    at_the_pause(cluster, "held")
    done = plugin("pause", "held")
    assert done.returncode == 0 and "r2 is held" in done.stdout, done.stderr
    done = plugin("resume", "held")
    assert done.returncode == 0 and "r2" in done.stdout, done.stderr
    assert "lockstep.dev/pause" not in annotations(cluster, "held")
    refused(plugin("resume", "held"), "nothing holds held", "lockstep.dev/promote=r2")
    done = plugin("abort", "held")
    assert done.returncode == 0 and "r2 is aborted" in done.stdout, done.stderr


def test_kubectl_finds_the_plugin_and_all_namespaces_are_shown(
    control_plane: ControlPlane, cluster: Cluster, namespace: str
) -> None:
    cluster.apply(model("found"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [control_plane.kubectl_path, "lockstep", "status", "-A", "-o", "json"],
        env={**os.environ, "PATH": path, "KUBECONFIG": str(control_plane.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    shown = {(view["namespace"], view["name"]) for view in json.loads(done.stdout)}
    assert (namespace, "found") in shown
