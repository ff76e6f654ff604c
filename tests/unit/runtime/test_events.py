"""The brakes of Events, and the times that tools sort them by."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from lockstep_operator.api.kinds import ResourceKind
from lockstep_operator.decide.context.plan import Event, EventType, Reference
from lockstep_operator.runtime.events import Recorder, TokenBucket

pytestmark = pytest.mark.unit


def test_the_token_bucket_bounds_bursts_and_rates() -> None:
    clock = [0.0]
    bucket = TokenBucket(burst=3, per_second=2.0, clock=lambda: clock[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock[0] = 0.5
    assert [bucket.take(), bucket.take()] == [True, False]


class Posted:
    """An API that keeps what is posted."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    async def create(self, kind: ResourceKind, namespace: str, body: dict[str, Any]) -> None:
        assert body["apiVersion"] == kind.api_version and body["metadata"]["namespace"] == namespace
        self.bodies.append(body)


async def test_an_event_has_the_older_fields_that_tools_sort_by_and_show() -> None:
    posted = Posted()
    recorder = Recorder(posted, instance="operator-0")  # type: ignore[arg-type]
    about = Reference("lockstep.dev/v1alpha1", "EmbeddingModel", "glyphs", "u1")
    event = Event(about, EventType.WARNING, "GateFailed", "r2 failed.")
    await recorder.record(event, namespace="shop", uid="u1")
    (body,) = posted.bodies
    # events.k8s.io/v1 refuses an Event that has them.
    assert body["apiVersion"] == "v1"
    at = datetime.datetime.fromisoformat(body["eventTime"])
    for name in ("firstTimestamp", "lastTimestamp"):
        # Of whole seconds, as the API server keeps them.
        assert datetime.datetime.fromisoformat(body[name]) == at.replace(microsecond=0)
        assert body[name].endswith("Z")
    assert body["count"] == 1
    assert body["source"] == {"component": body["reportingComponent"]}
    assert body["involvedObject"] == {
        "apiVersion": "lockstep.dev/v1alpha1",
        "kind": "EmbeddingModel",
        "name": "glyphs",
        "namespace": "shop",
        "uid": "u1",
    }
    assert (body["reason"], body["message"]) == ("GateFailed", "r2 failed.")
