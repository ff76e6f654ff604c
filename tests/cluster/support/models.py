"""Small models, the namespace they live in, and what is counted of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.operator_process import OperatorProcess, Writes, wait_for

# From apply to a created training Job, of one model.
WRITES_TO_TRAINING = {
    "create embeddingreleases 201": 1,
    "patch embeddingreleases/status 200": 1,
    "create jobs 201": 1,
    "patch embeddingmodels/status 200": 1,
}

Launch = Callable[..., OperatorProcess]


def model(name: str, *, indexing: str = "None", **rollout: Any) -> dict[str, Any]:
    return {
        "apiVersion": "lockstep.dev/v1alpha1",
        "kind": "EmbeddingModel",
        "metadata": {"name": name},
        "spec": {
            "artifacts": {"uri": "file:///artifacts", "claimName": "lockstep-artifacts"},
            "training": {
                "data": {"uri": "file:///artifacts/datasets/glyphs.npz", "format": "NPZ"},
                "encoder": {"kind": "CNN", "dimension": 64},
                "budget": {"maxSteps": 10},
            },
            "indexing": indexing,
            "rollout": rollout,
        },
    }


def index(name: str, of: str) -> dict[str, Any]:
    return {
        "apiVersion": "lockstep.dev/v1alpha1",
        "kind": "VectorIndex",
        "metadata": {"name": name},
        "spec": {
            "modelRef": {"name": of},
            "source": {"uri": "file:///artifacts/datasets/glyphs.npz", "format": "NPZ"},
            "index": {"type": "Flat"},
        },
    }


class Cluster:
    """What the tests ask of their namespace."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self.control_plane = control_plane
        self.namespace = namespace

    def apply(self, *objects: dict[str, Any]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-f", "-", stdin=listed)

    def kubectl(self, *arguments: str, **options: Any) -> str:
        done = self.control_plane.kubectl("-n", self.namespace, *arguments, **options)
        return done.stdout

    def items(self, kinds: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kinds, "-o", "json"))["items"]
        return found

    def names(self, kinds: str) -> list[str]:
        return sorted(f"{o['kind']}/{o['metadata']['name']}" for o in self.items(kinds))

    def status(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.control_plane.get(kind, name, self.namespace).get("status", {})
        return found

    def trains(self, count: int, seconds: float = 60.0) -> None:
        """Waits until `count` Jobs are there and every model says that it makes progress."""

        def told() -> bool:
            phases = [o.get("status", {}).get("phase") for o in self.items("em")]
            return len(self.items("jobs")) == count and phases == ["Progressing"] * count

        wait_for(f"{count} models train", told, seconds)

    def healthy(self, name: str, release: str) -> None:
        def told() -> bool:
            status = self.status("em", name)
            stable = (status.get("stable") or {}).get("release")
            return status.get("phase") == "Healthy" and stable == release

        wait_for(f"{name} is Healthy with {release}", told, 90)


def no_crash(process: OperatorProcess) -> None:
    bad = [line for line in process.lines() if "traceback" in line or line["level"] == "error"]
    assert bad == []


def four_writes_for_each(count: int, cluster: Cluster, launch: Launch, writes: Writes) -> str:
    """Each of `count` models costs what one does, and a restart nothing. What was measured."""
    operator = launch()
    started = time.monotonic()
    cluster.apply(*(model(f"m{number}") for number in range(count)))
    cluster.trains(count, max(60.0, float(count)))
    measured: dict[str, float] = {
        "models": count,
        "seconds_to_all_training": round(time.monotonic() - started, 1),
    }
    expected = {what: number * count for what, number in WRITES_TO_TRAINING.items()}
    assert writes.settled() == expected
    measured["rss_mib"] = round(operator.resident_mib(), 1)
    assert operator.stop() == 0
    again = launch(name="again")
    assert writes.settled() == expected, "a restart writes nothing"
    measured["rss_mib_after_restart"] = round(again.resident_mib(), 1)
    no_crash(operator)
    no_crash(again)
    return json.dumps(measured)
