"""The controllers of Deployments and autoscalers: pods become ready, their number moves."""

from __future__ import annotations

from typing import Self

from lockstep_operator.api.objects import Object
from tests.unit.decide.worlds.api_server import ApiServer
from tests.unit.decide.worlds.state import Key


class Workloads(ApiServer):
    """Deployments: how many pods they should have, and how many are ready."""

    def workloads(self) -> list[Key]:
        return [key for key in sorted(self.objects) if key[0] == "Deployment"]

    def ready(self, kind: str, name: str, *, ready: int | None = None, tell: bool = True) -> None:
        raw = self.objects[kind, name]
        replicas = raw["spec"]["replicas"]
        count = replicas if ready is None else ready
        status = {
            "observedGeneration": raw["metadata"]["generation"],
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": count,
            "availableReplicas": count,
        }
        self.set_status(kind, name, status, tell=tell)

    def ready_all(self) -> Self:
        self.autoscale()
        for kind, name in self.workloads():
            self.ready(kind, name)
        return self

    def autoscale(self) -> None:
        """What the autoscalers' controller does without load: it keeps the bounds."""
        for (kind, name), raw in sorted(self.objects.items()):
            workload = self.objects.get(("Deployment", name))
            if kind != "HorizontalPodAutoscaler" or workload is None:
                continue
            now, bounds = workload["spec"]["replicas"], raw["spec"]
            kept = max(bounds["minReplicas"], min(now, bounds["maxReplicas"]))
            if kept != now:
                self.scale(name, kept)

    def scale(self, name: str, count: int, *, tell: bool = True) -> None:
        """An autoscaler writes the number of a Deployment's pods."""

        def change(raw: Object) -> None:
            raw["spec"] = raw["spec"] | {"replicas": count}

        self.edit("Deployment", name, change, tell=tell)
