"""The watch: what others do is seen when it tells it, and a restart lists everything anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from lockstep_operator.api.kinds import AGGREGATE, HTTP_ROUTE
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.jobs.unstarted import unstarted
from lockstep_operator.decide.snapshot.observed import Observed, SeenEvent
from tests.unit.decide.worlds.specs import MODEL, NAMESPACE
from tests.unit.decide.worlds.state import Key, State


class Watch(State):
    """What the operator knows of the objects, and how it learns the rest."""

    def tell(self, key: Key) -> None:
        if key in self.objects:
            # Shared, never changed: a change of an object is another dict.
            self.heard[key] = self.objects[key]
        else:
            self.heard.pop(key, None)

    def behind(self) -> list[Key]:
        """What the operator has not heard yet."""
        keys = sorted({*self.objects, *self.heard})
        return [key for key in keys if self.objects.get(key) != self.heard.get(key)]

    def restart(self) -> None:
        """A new process lists everything, and remembers no refusal."""
        for key in self.behind():
            self.tell(key)
        self.refusals, self.measurements, self.drift = (), {}, {}

    def observed(self) -> Observed:
        def all_of(kind: str) -> tuple[Object, ...]:
            names = sorted(name for found, name in self.heard if found == kind)
            return tuple(self.heard[kind, name] for name in names)

        model = self.heard.get(("EmbeddingModel", MODEL))
        observed = Observed(
            namespace=NAMESPACE,
            name=MODEL,
            model=model,
            objects={kind.kind: all_of(kind.kind) for kind in AGGREGATE},
            served=frozenset({HTTP_ROUTE.kind} if self.gateway_api else ()),
            gateways=self.gateways,
            refusals=self.refusals,
            measurements=self.measurements,
            drift=self.drift,
            drift_releases=self.drift_releases,
        )
        asked = {(subject.kind, subject.name) for subject in unstarted(observed, self.now)}
        events = {about: said for about, said in self.said.items() if about in asked}
        return replace(observed, events=events)

    def say(self, about: Key, reason: str, message: str, *, warning: bool = True) -> Self:
        """An Event of the cluster's own, now."""
        event = SeenEvent(reason, message, self.text(), warning)
        self.said[about] = (*self.said.get(about, ()), event)
        return self
