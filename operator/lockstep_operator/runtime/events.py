"""Kubernetes Events, few and plain: a storm of Events costs etcd more than it tells anyone.

The same Event within the window is dropped, and a token bucket bounds all of them together. An
Event never fails a reconcile: the status says the same and stays.
"""

from __future__ import annotations

import datetime
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable

from lockstep_core.protocol.labels import GROUP
from lockstep_operator.api.kinds import EVENT
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.plan import Event
from lockstep_operator.runtime import metrics
from lockstep_operator.runtime.client import Api
from lockstep_operator.runtime.errors import ApiError

CONTROLLER = f"{GROUP}/operator"
NOTE_LIMIT = 1000
REMEMBERED = 10_000

logger = logging.getLogger(__name__)


class TokenBucket:
    """At most `burst` at once and `per_second` over time."""

    def __init__(self, *, burst: int, per_second: float, clock: Callable[[], float]) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()

    def take(self) -> bool:
        """Takes one token, or says that there is none."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Recorder:
    """Posts Events about our objects."""

    def __init__(
        self,
        api: Api,
        *,
        instance: str,
        window: float = 600.0,
        burst: int = 300,
        per_second: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._instance = instance[:128]
        self._window = window
        self._clock = clock
        self._bucket = TokenBucket(burst=burst, per_second=per_second, clock=clock)
        self._seen: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    async def record(self, event: Event, *, namespace: str, uid: str) -> None:
        """Posts the Event unless it is a repetition or too many came before it."""
        if self._is_repetition((uid or event.about.name, event.reason, event.note)):
            metrics.EVENTS_DROPPED.labels(why="duplicate").inc()
            return
        if not self._bucket.take():
            metrics.EVENTS_DROPPED.labels(why="throttled").inc()
            return
        body = self._body(event, namespace, uid, datetime.datetime.now(datetime.UTC))
        try:
            await self._api.create(EVENT, namespace, body)
        except ApiError as error:
            metrics.EVENTS_DROPPED.labels(why="failed").inc()
            logger.warning("event not posted", extra={"reason": event.reason, "error": str(error)})

    def _is_repetition(self, identity: tuple[str, str, str]) -> bool:
        now = self._clock()
        while self._seen and next(iter(self._seen.values())) < now - self._window:
            self._seen.popitem(last=False)
        if identity in self._seen:
            return True
        self._seen[identity] = now
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False

    def _body(self, event: Event, namespace: str, uid: str, now: datetime.datetime) -> Object:
        seconds = now.isoformat(timespec="seconds").replace("+00:00", "Z")
        involved = {
            "apiVersion": event.about.api_version,
            "kind": event.about.kind,
            "name": event.about.name,
            "namespace": namespace,
            "uid": uid,
        }
        return {
            **EVENT.type_meta,
            "metadata": {
                "name": f"{event.about.name[:200]}.{uuid.uuid4().hex[:16]}",
                "namespace": namespace,
            },
            "involvedObject": involved,
            "reason": event.reason,
            "action": event.reason,
            "type": event.type.value,
            "message": event.note[:NOTE_LIMIT],
            "eventTime": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "reportingComponent": CONTROLLER,
            "reportingInstance": self._instance,
            # What went before those three, and what tools still sort by and show.
            "firstTimestamp": seconds,
            "lastTimestamp": seconds,
            "count": 1,
            "source": {"component": CONTROLLER},
        }
