"""The operator: `decide`, and an applier that follows `runtime` and can be killed.

Its own writes are seen at once. It may die before any write, by `kill_at` or `kill_after`.
"""

from __future__ import annotations

import copy
import json
from typing import Self

from lockstep_operator.api.objects import Object
from lockstep_operator.decide import decide
from lockstep_operator.decide.context.plan import Plan
from lockstep_operator.decide.snapshot.observed import FOREIGN_OWNER, Refusal
from lockstep_operator.decide.vocabulary.compare import difference, with_hash
from tests.unit.decide.worlds.api_server import ApiServer
from tests.unit.decide.worlds.manifests import owners


class Killed(Exception):
    """The operator died before its next write."""


class Conflict(Exception):
    """A status was written against an old resourceVersion."""


class Operator(ApiServer):
    """Passes of the operator over what it has heard."""

    def decide(self) -> Plan:
        return decide(self.observed(), self.settings, self.now)

    def step(self, *, kill_after: int | None = None) -> Plan:
        """One pass. `kill_after` writes the operator dies (before the next one)."""
        self.plan = plan = self.decide()
        self.was_killed = False
        self.look_again_after = plan.look_again_after
        asked = {request.series for request in plan.measure}
        self.measurements = {k: v for k, v in self.measurements.items() if k in asked}
        left = [kill_after]
        refusals: list[Refusal] = []
        try:
            self._carry_out(plan, left, refusals)
        except Conflict:
            for key in self.behind():
                self.tell(key)
        except Killed:
            if kill_after is not None:
                raise
            self.was_killed = True
            self.restart()
            return plan
        self.refusals = tuple(refusals)
        return plan

    def settle(self, limit: int = 30) -> Self:
        """Passes until nothing is left to write, as the work queue does."""
        for _ in range(limit):
            before = len(self.writes)
            self.step()
            if self.was_killed:
                continue
            if len(self.writes) == before and not self.behind():
                again = self.decide()
                assert is_empty(again), f"a settled world got {again}"
                return self
        raise AssertionError(f"does not settle: {self.writes[-12:]}")

    def _carry_out(self, plan: Plan, left: list[int | None], refusals: list[Refusal]) -> None:
        for raw in plan.releases:
            self._create(raw, left, refusals)
        if plan.releases:
            others = (plan.records, plan.create, plan.apply, plan.delete, plan.projections)
            assert not any(others), "a plan that creates a release writes nothing else"
        for write in plan.records:
            self._status(write.of.kind, write.of.name, write.status, left)
        for raw in plan.create:
            self._create(raw, left, refusals)
        for raw in plan.apply:
            self._apply(raw, left, refusals)
        for reference in plan.delete:
            live = self.objects.get((reference.kind, reference.name))
            if live is None or live["metadata"]["uid"] != reference.uid:
                self.tell((reference.kind, reference.name))
                continue
            self._write(left, f"DELETE {reference.kind} {reference.name}")
            self.remove(reference.kind, reference.name)
        for write in plan.projections:
            self._status(write.of.kind, write.of.name, write.status, left)
        self.events.extend(plan.events)

    def _write(self, left: list[int | None], what: str) -> None:
        if left[0] is not None:
            if left[0] == 0:
                raise Killed(what)
            left[0] -= 1
        if self.kill_at == len(self.writes):
            self.kill_at = None
            raise Killed(what)
        self.writes.append(what)

    def _create(self, raw: Object, left: list[int | None], refusals: list[Refusal]) -> None:
        key = raw["kind"], raw["metadata"]["name"]
        live = self.objects.get(key)
        if live is not None:
            self._adopt(raw, live, refusals)
            return
        self._write(left, f"POST {key[0]} {key[1]}")
        self.create(raw)

    def _adopt(self, raw: Object, live: Object, refusals: list[Refusal]) -> None:
        if not owners(raw) & owners(live):
            name, message = raw["metadata"]["name"], "exists and belongs to someone else"
            refusals.append(Refusal(raw["kind"], name, message, FOREIGN_OWNER))
        self.tell((raw["kind"], raw["metadata"]["name"]))

    def _apply(self, raw: Object, left: list[int | None], refusals: list[Refusal]) -> None:
        key = raw["kind"], raw["metadata"]["name"]
        live = self.objects.get(key)
        if live is None:
            self._write(left, f"APPLY {key[0]} {key[1]}")
            self.create(with_hash(raw))
            return
        if not owners(raw) & owners(live):
            self._adopt(raw, live, refusals)
            return
        if difference(raw, live) is None:
            self.tell(key)
            return
        self._write(left, f"APPLY {key[0]} {key[1]}")
        body = copy.deepcopy(with_hash(raw))

        def merge(found: Object) -> None:
            # What the API server defaults, or an autoscaler wrote, stays where it is not named.
            kept = {k: v for k, v in found["spec"].items() if k == "replicas"}
            found["spec"] = kept | body["spec"]
            found["metadata"] |= {
                field: body["metadata"][field]
                for field in ("labels", "annotations", "ownerReferences")
            }

        self.edit(*key, merge)

    def _status(self, kind: str, name: str, status: Object, left: list[int | None]) -> None:
        live, known = self.objects.get((kind, name)), self.heard.get((kind, name))
        if live is None or known is None:
            self.tell((kind, name))
            return
        field_name = "resourceVersion" if kind == "EmbeddingRelease" else "uid"
        if live["metadata"][field_name] != known["metadata"][field_name]:
            raise Conflict(name)
        self._write(left, f"STATUS {kind} {name}")
        # Through JSON, as the real one goes.
        self.put({**copy.deepcopy(live), "status": json.loads(json.dumps(status))})


def is_empty(plan: Plan) -> bool:
    return not any(
        (
            plan.releases,
            plan.records,
            plan.create,
            plan.apply,
            plan.delete,
            plan.projections,
            plan.events,
        )
    )
