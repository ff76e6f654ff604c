"""What is true in a world, what the operator has heard of it, and what the test may set."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from lockstep_core.protocol.drift import DriftReport
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.plan import Event, Plan
from lockstep_operator.decide.snapshot.measurements import Series, SeriesKey
from lockstep_operator.decide.snapshot.observed import GatewayFacts, Refusal, SeenEvent, Settings
from tests.unit.decide.worlds.specs import SETTINGS, START

# Kind and name of an object: all are in one namespace.
Key = tuple[str, str]


@dataclass
class State:
    """What is true (`objects`), and what the operator has heard of it (`heard`)."""

    now: datetime = START
    objects: dict[Key, Object] = field(default_factory=dict)
    heard: dict[Key, Object] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    gateway_api: bool = False
    gateways: tuple[GatewayFacts, ...] = ()
    # Whether `run` lets the Gateways act on the route and measurements come.
    tended: bool = False
    # What the Gateways act on: percent of the requests by release.
    routed: dict[str, int] = field(default_factory=dict)
    measurements: dict[SeriesKey, Series] = field(default_factory=dict)
    # What controllers, the scheduler and kubelets said, by kind and name.
    said: dict[Key, tuple[SeenEvent, ...]] = field(default_factory=dict)
    # What the monitors show, by the uid of the policy; and releases made for drift, of all models.
    drift: dict[str, DriftReport] = field(default_factory=dict)
    drift_releases: int = 0
    events: list[Event] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    settings: Settings = SETTINGS
    look_again_after: float | None = None
    plan: Plan = field(default_factory=Plan)
    recall: float = 0.99
    samples: int = 4623
    build_changes: dict[str, Any] = field(default_factory=dict)
    # Digests of artifacts that are damaged in the store: what makes one again mends it.
    rotten: set[str] = field(default_factory=set)
    # The operator dies instead of making the write of this number, once.
    kill_at: int | None = None
    was_killed: bool = False
    _serial: int = 0

    def pass_time(self, seconds: float) -> Self:
        self.now += timedelta(seconds=seconds)
        return self

    def text(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
