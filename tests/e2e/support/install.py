"""The operator on the dev cluster, installed from the chart."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.support.kube import Kube

CHART = Path(__file__).parents[3] / "charts" / "lockstep"


def install(kube: Kube) -> None:
    """Installs the chart, or upgrades to it, with the newest images of the tag `dev`."""
    kube.helm(
        *("upgrade", "--install", "lockstep", str(CHART), "--namespace", "lockstep-system"),
        *("--create-namespace", "--set", "registry=lockstep.local,image.tag=dev"),
        *("--wait", "--timeout", "3m"),
    )
    # The image keeps its tag from build to build: take the newest one.
    kube.run("rollout", "restart", "-n", "lockstep-system", "deploy")
    kube.run("rollout", "status", "-n", "lockstep-system", "deploy", "--timeout=120s")
