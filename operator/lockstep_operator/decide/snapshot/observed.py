"""One snapshot of a model, its releases, its indexes and everything that they own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lockstep_operator.api.objects import Object
from lockstep_operator.api.release import Images
from lockstep_operator.decide.snapshot.measurements import Series, SeriesKey

FOREIGN_OWNER = "ForeignOwner"


@dataclass(frozen=True)
class Settings:
    """What the operator was started with, as far as decisions depend on it."""

    images: Images
    image_pull_secrets: tuple[str, ...] = ()


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
    read, and `told` says why.
    """

    namespace: str
    name: str
    class_name: str = ""
    features: frozenset[str] | None = None
    told: str = ""


@dataclass(frozen=True)
class Observed:
    """Raw objects, as last seen. Children carry the label `lockstep.dev/model`.

    `indexes` are the VectorIndexes whose `modelRef` names this model. `refusals` are what the
    applier could not carry out in its last try. `measurements` are what was measured so far of what
    plans asked for. `gateway_api`: the cluster has the kind HTTPRoute. `gateways` are those that
    the model names, where its steps mirror.
    """

    namespace: str
    name: str
    model: Object | None
    releases: tuple[Object, ...] = ()
    indexes: tuple[Object, ...] = ()
    jobs: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    deployments: tuple[Object, ...] = ()
    services: tuple[Object, ...] = ()
    autoscalers: tuple[Object, ...] = ()
    routes: tuple[Object, ...] = ()
    gateway_api: bool = False
    gateways: tuple[GatewayFacts, ...] = ()
    refusals: tuple[Refusal, ...] = field(default=())
    measurements: Mapping[SeriesKey, Series] = field(default_factory=dict)
