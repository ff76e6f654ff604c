"""One snapshot of a model, its releases, its indexes and everything that they own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lockstep_core.protocol.drift import DriftReport
from lockstep_operator.api.kinds import (
    AGGREGATE,
    EMBEDDING_RELEASE,
    HTTP_ROUTE,
    JOB,
    POD,
    VECTOR_INDEX,
)
from lockstep_operator.api.objects import Object
from lockstep_operator.api.release import Images
from lockstep_operator.decide.snapshot.measurements import Series, SeriesKey

FOREIGN_OWNER = "ForeignOwner"
_KINDS = frozenset(kind.kind for kind in AGGREGATE)


@dataclass(frozen=True)
class Settings:
    """What the operator was started with, as far as decisions depend on it."""

    images: Images
    image_pull_secrets: tuple[str, ...] = ()
    drift_releases_per_hour: int = 4
    """Of all models together: what drift may ask for is bounded, whatever is seen."""


@dataclass(frozen=True)
class Refusal:
    """A write that was refused for good (an admission error, a quota, a foreign owner).

    `reason` is the API server's own word, or `FOREIGN_OWNER` when an object of that name belongs
    to someone else.
    """

    kind: str
    name: str
    message: str
    reason: str = ""


@dataclass(frozen=True)
class GatewayFacts:
    """What a Gateway that a model names can do.

    `features` are those that its class lists in `status.supportedFeatures`; None: that could not be
    read, and `problem` says why.
    """

    namespace: str
    name: str
    class_name: str = ""
    features: frozenset[str] | None = None
    problem: str = ""


@dataclass(frozen=True)
class SeenEvent:
    """What a controller, the scheduler or a kubelet said about an object, and when last."""

    reason: str
    message: str
    at: str
    warning: bool = True


# By kind and name of what they are about.
SeenEvents = Mapping[tuple[str, str], tuple[SeenEvent, ...]]
NO_EVENTS: SeenEvents = {}


@dataclass(frozen=True)
class Observed:
    """Raw objects, as last seen.

    `objects` are those of the model's aggregate by kind (`kinds.AGGREGATE`), each kind by name.
    `served` are the kinds that a cluster may lack and this one has. `gateways` are those that the
    model names, where its steps mirror. `refusals` are what the applier could not carry out in its
    last try. `measurements` are what was measured so far of what plans asked for. `events` are
    about what does not start (`decide.jobs.unstarted`), where they could be read. `drift` is what
    was seen for each DriftPolicy, by its uid. `drift_releases` are those that were made for drift
    within the last hour, of all models.
    """

    namespace: str
    name: str
    model: Object | None
    objects: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    served: frozenset[str] = frozenset()
    gateways: tuple[GatewayFacts, ...] = ()
    refusals: tuple[Refusal, ...] = field(default=())
    measurements: Mapping[SeriesKey, Series] = field(default_factory=dict)
    events: SeenEvents = field(default_factory=dict)
    drift: Mapping[str, DriftReport] = field(default_factory=dict)
    drift_releases: int = 0

    def of(self, kind: str) -> tuple[Object, ...]:
        """The objects of one kind. Raises KeyError for one that no pass observes."""
        if kind not in _KINDS:
            raise KeyError(kind)
        return self.objects.get(kind, ())

    @property
    def releases(self) -> tuple[Object, ...]:
        return self.of(EMBEDDING_RELEASE.kind)

    @property
    def indexes(self) -> tuple[Object, ...]:
        """The VectorIndexes whose `modelRef` names this model."""
        return self.of(VECTOR_INDEX.kind)

    @property
    def jobs(self) -> tuple[Object, ...]:
        return self.of(JOB.kind)

    @property
    def pods(self) -> tuple[Object, ...]:
        return self.of(POD.kind)

    @property
    def gateway_api(self) -> bool:
        """Whether the cluster has the kind HTTPRoute."""
        return HTTP_ROUTE.kind in self.served
