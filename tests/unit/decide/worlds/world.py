"""The whole world, and how it goes on by itself: Jobs succeed, pods become ready."""

from __future__ import annotations

from typing import Self

from tests.unit.decide.worlds.gateway import Gateway
from tests.unit.decide.worlds.jobs import Jobs
from tests.unit.decide.worlds.measuring import Measuring
from tests.unit.decide.worlds.operator import Operator
from tests.unit.decide.worlds.people import People
from tests.unit.decide.worlds.views import Views
from tests.unit.decide.worlds.workloads import Workloads


class World(Operator, People, Jobs, Workloads, Gateway, Measuring, Views):
    """One model in one namespace, the operator, and everybody who acts beside it."""

    def run(self, limit: int = 12) -> Self:
        """Jobs succeed and pods become ready, until nothing more happens."""
        for _ in range(limit):
            before = self._serial
            self.settle()
            self.end_jobs()
            self.autoscale()
            if self.tended:
                self.speak()
                self.measure()
            for kind, name in self.workloads():
                raw = self.objects[kind, name]
                status = raw.get("status") or {}
                seen = status.get("observedGeneration"), status.get("readyReplicas")
                if seen != (raw["metadata"]["generation"], raw["spec"]["replicas"]):
                    self.ready(kind, name)
            if self._serial == before:
                return self
        raise AssertionError("the world does not come to rest")

    def run_to(self, stage: str, number: int, limit: int = 12) -> Self:
        """Runs until a release is in `stage`, and leaves it there."""
        for _ in range(limit):
            self.settle()
            if self.stage(number) == stage:
                return self
            self.end_jobs()
            if stage != "Warming":
                self.ready_all()
        raise AssertionError(f"r{number} is {self.stage(number)}, not {stage}")
