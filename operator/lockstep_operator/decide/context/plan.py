"""What should be written, as data. The applier carries it out in the order of the fields."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lockstep_operator.api.objects import Object
from lockstep_operator.decide.snapshot.drift import DriftWatch
from lockstep_operator.decide.snapshot.measurements import MeasureRequest


@dataclass(frozen=True)
class Reference:
    """An object by kind and name, in the model's namespace."""

    api_version: str
    kind: str
    name: str
    uid: str | None = None


def reference(target: Object) -> Reference:
    """The object, guarded by its uid."""
    metadata = target["metadata"]
    return Reference(target["apiVersion"], target["kind"], metadata["name"], metadata.get("uid"))


class EventType(StrEnum):
    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True)
class Event:
    """A Kubernetes Event about one of our objects. The status stands alone without it."""

    about: Reference
    type: EventType
    reason: str
    note: str


@dataclass(frozen=True)
class StatusWrite:
    """The whole status of one of our objects; written only if it differs from what is there."""

    of: Reference
    status: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """A crash between any two writes leaves a state from which the next plan goes on.

    1. `releases`: EmbeddingReleases to create by POST. A plan that creates one writes nothing else.
    2. `records`: statuses of releases, before the deeds that they record.
    3. `create`: Jobs, by POST; adopted on AlreadyExists when the owner's uid matches.
    4. `apply`: mutable children, by server-side apply, when they differ.
    5. `delete`: children to delete in the background, guarded by uid where one is given.
    6. `projections`: statuses of the model and of its indexes. They are written also when a record
       was refused, where the plan knew of it: then they report it.
    7. `events`, only after the writes succeeded.

    `measure` and `watch` write nothing: what they ask for is measured beside everything else.
    """

    releases: tuple[Object, ...] = ()
    records: tuple[StatusWrite, ...] = ()
    create: tuple[Object, ...] = ()
    apply: tuple[Object, ...] = ()
    delete: tuple[Reference, ...] = ()
    projections: tuple[StatusWrite, ...] = ()
    events: tuple[Event, ...] = ()
    measure: tuple[MeasureRequest, ...] = ()
    watch: tuple[DriftWatch, ...] = ()
    look_again_after: float | None = None
